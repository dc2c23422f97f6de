"""The words of the one-page report, in English and Chinese, and how it writes numbers, units and names.

What a pipeline says itself (labels, remarks, reasons) stays in the language it was said in.
"""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.findings import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.valuerep import PersonName

    from radnode.pipelines.findings import Code
    from radnode.pipelines.languages import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Everything the page says of itself; fields in braces are filled in.

    outcomes: code value of CID 6047 -> sentence. qualifications: Content Qualification -> word. sexes: Patient's Sex.
    terms: coding scheme and code value -> word; other concepts keep their code meaning. table: the five column heads.
    """

    language: str
    title: str
    notice: str
    unverified: str
    qualifications: Mapping[str, str]
    patient_name: str
    patient_id: str
    birth_date: str
    sex: str
    sexes: Mapping[str, str]
    study_date: str
    accession_number: str
    study: str
    not_stated: str
    outcomes: Mapping[str, str]
    looked_for: str
    not_analysed: str
    remarks: str
    relations: Mapping[Relation, str]
    table: tuple[str, str, str, str, str]
    found: str
    certainty: str
    whole_study: str
    image: str
    frame: str
    more: str
    picture: str
    made_by: str
    intended_use: str
    input: str
    model: str
    page: str
    separator: str
    terms: Mapping[tuple[str, str], str]

    def term(self, code: Code) -> str:
        """A concept in this language where it is known, else its code meaning."""
        return self.terms.get((code.scheme, code.value), code.meaning)


ENGLISH = Texts(
    language="en",
    title="AI result: {title}",
    notice="{qualification} - not for diagnosis",
    unverified="Made by a machine - not verified by a person",
    qualifications={"RESEARCH": "RESEARCH", "SERVICE": "SERVICE"},
    patient_name="Patient's name",
    patient_id="Patient ID",
    birth_date="Birth date",
    sex="Sex",
    sexes={"M": "male", "F": "female", "O": "other"},
    study_date="Study date",
    accession_number="Accession number",
    study="Study",
    not_stated="not stated",
    outcomes={
        "111241": "Nothing found. Every analysis succeeded.",
        "111242": "Something was found. Every analysis succeeded.",
        "111243": "Nothing found, but not every analysis succeeded.",
        "111244": "Something was found. Not every analysis succeeded.",
        "111245": "No analysis succeeded. That no finding is shown says nothing about the patient.",
    },
    looked_for="Looked for: {what}.",
    not_analysed="NOT analysed: {what}. {reason}",
    remarks="Read with the findings",
    relations={
        Relation.SAME_PLACE: "{label}: {members} are the same finding on several images.",
        Relation.OVER_TIME: "{label}: {members} are the same finding at several times.",
        Relation.OPPOSITE_SIDE: "{label}: {members} are the same place on both sides.",
    },
    table=("Finding", "Side, image", "What", "Value", "Unit"),
    found="found",
    certainty="Certainty",
    whole_study="Study",
    image="image {number}",
    frame="frame {number}",
    more="and {count} more: see the report object",
    picture="{place}; not for measuring",
    made_by="Made by {title} ({name} {version}) on radnode {node}, {date}.",
    intended_use="Intended use: {use}",
    input="Input: {received} instances received, {read} images read. Input digest: {digest}. Revision: {revision}.",
    model="Model digest: {model}. Configuration digest: {configuration}.",
    page="Page {number} of {count}",
    separator=", ",
    terms={},
)

CHINESE = Texts(
    language="zh-CN",
    title="AI 结果：{title}",
    notice="{qualification} - 不得用于诊断",
    unverified="由机器生成 - 未经人工核实",
    qualifications={"RESEARCH": "RESEARCH（仅供研究）", "SERVICE": "SERVICE（仅供维护）"},
    patient_name="患者姓名",
    patient_id="患者编号",
    birth_date="出生日期",
    sex="性别",
    sexes={"M": "男", "F": "女", "O": "其他"},
    study_date="检查日期",
    accession_number="检查号",
    study="检查",
    not_stated="未注明",
    outcomes={
        "111241": "未检出任何目标。所有分析均已完成。",
        "111242": "有发现。所有分析均已完成。",
        "111243": "未检出任何目标，但部分分析未能完成。",
        "111244": "有发现。部分分析未能完成。",
        "111245": "所有分析均未能完成。未显示发现并不说明患者的任何情况。",
    },
    looked_for="分析内容：{what}。",
    not_analysed="未能分析：{what}。{reason}",
    remarks="阅读结果时须注意",
    relations={
        Relation.SAME_PLACE: "{label}：{members} 是同一发现在多幅图像上的显示。",
        Relation.OVER_TIME: "{label}：{members} 是同一发现在不同时间的显示。",
        Relation.OPPOSITE_SIDE: "{label}：{members} 是左右两侧的同一部位。",
    },
    table=("发现", "侧别、图像", "项目", "数值", "单位"),
    found="已发现",
    certainty="可信度",
    whole_study="整个检查",
    image="图像 {number}",
    frame="帧 {number}",
    more="另有 {count} 项：请查看报告对象",
    picture="{place}；不得用于测量",
    made_by="由 {title}（{name} {version}）在 radnode {node} 上生成，{date}。",
    intended_use="预期用途：{use}",
    input="输入：收到 {received} 个实例，读取 {read} 幅图像。输入摘要：{digest}。修订：{revision}。",
    model="模型摘要：{model}。配置摘要：{configuration}。",
    page="第 {number} 页，共 {count} 页",
    separator="、",
    terms={
        ("SCT", "7771000"): "左", ("SCT", "24028007"): "右", ("SCT", "51440002"): "双侧", ("SCT", "66459002"): "单侧",
        ("SCT", "80248007"): "左乳", ("SCT", "73056007"): "右乳", ("SCT", "63762007"): "双乳",
        ("SCT", "91723000"): "解剖结构", ("SCT", "39607008"): "肺", ("SCT", "76752008"): "乳房",
        ("SCT", "10200004"): "肝", ("SCT", "64033007"): "肾", ("SCT", "78961009"): "脾", ("SCT", "80891009"): "心脏",
        ("SCT", "118565006"): "体积", ("DCM", "112031"): "衰减系数", ("SCT", "373098007"): "平均值",
        ("99RADNODE", "LAA-950"): "低于 -950 HU 的肺容积百分比",
        ("SCT", "410668003"): "长度", ("SCT", "103355008"): "宽度", ("SCT", "81827009"): "直径",
        ("SCT", "131184002"): "面积", ("SCT", "27925004"): "结节", ("SCT", "129788004"): "乳腺肿块",
        ("SCT", "129769006"): "钙化簇", ("DCM", "111047"): "癌症概率", ("DCM", "111038"): "钙化数目",
        ("DCM", "111012"): "发现的可信度", ("DCM", "111011"): "特征的可信度", ("DCM", "111037"): "边缘",
        ("SCT", "129742005"): "毛刺状病灶", ("DCM", "111008"): "钙化分布", ("SCT", "129766004"): "成簇分布",
        ("SCT", "129793001"): "乳腺密度", ("SCT", "129715009"): "乳腺构成", ("DCM", "112024"): "发现的修饰",
        ("DCM", "112033"): "异常致密影",
    },
)

TEXTS: Mapping[Language, Texts] = {"en": ENGLISH, "zh": CHINESE}

# UCUM -> how the page writes it. Others keep their code meaning.
_UNITS = {
    "1": "–", "%": "%", "mm": "mm", "cm": "cm", "mm2": "mm²", "cm2": "cm²", "mm3": "mm³", "cm3": "cm³", "ml": "mL",
    "mL": "mL", "[hnsf'U]": "HU", "ms": "ms", "s": "s", "deg": "°", "g/cm3": "g/cm³", "g/ml{SUVbw}": "SUVbw (g/mL)",
}


def number_text(value: float) -> str:
    """Four significant digits, and every digit before the decimal point."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.3e}"


def unit_text(unit: Code) -> str:
    """A unit as it stands behind a number."""
    return _UNITS.get(unit.value, unit.meaning)


def date_text(date: str) -> str:
    """DICOM's 20260302 as 2026-03-02, which is read the same everywhere."""
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 else date


def name_texts(name: PersonName) -> tuple[str, ...]:
    """The component groups of a name (PS3.5 6.2.1.2) that are there, each as "family, given ..."."""
    parts = [group.partition("^") for group in str(name).split("=") if group.strip("^ ")]
    return tuple(
        ", ".join(filter(None, (family.strip(), " ".join(rest.replace("^", " ").split()))))
        for family, _, rest in parts
    )
