"""Both languages say the same, and numbers, dates and names are written so that they cannot be misread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from pydicom.valuerep import PersonName
from support import result_samples as samples

from radnode.pipelines.ct_lung import measures
from radnode.pipelines.findings import Code
from radnode.pipelines.results import chest_cad, mammography_cad
from radnode.pipelines.results.pdf_rows import rows_of
from radnode.pipelines.results.pdf_texts import CHINESE, ENGLISH, Texts, date_text, name_texts, number_text, unit_text

if TYPE_CHECKING:
    from types import ModuleType


def _sentences(texts: Texts) -> Iterator[tuple[str, str]]:
    """(which, sentence) of everything but the terms, which need not be known."""
    for field in fields(texts):
        value = getattr(texts, field.name)
        if isinstance(value, str):
            yield field.name, value
        elif isinstance(value, tuple):
            yield from ((f"{field.name} {number}", each) for number, each in enumerate(value))
        elif field.name != "terms":
            assert isinstance(value, Mapping)
            yield from ((f"{field.name} {key}", each) for key, each in value.items())


def test_both_languages_have_every_sentence_with_the_same_blanks() -> None:
    english, chinese = dict(_sentences(ENGLISH)), dict(_sentences(CHINESE))
    assert set(english) == set(chinese)
    for which, sentence in english.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", chinese[which])), which


def test_every_chinese_sentence_is_chinese() -> None:
    latin = {"language", "page", "separator"}
    assert [which for which, sentence in _sentences(CHINESE)
            if which not in latin and not re.search("[\u4e00-\u9fff]", sentence)
            and not re.fullmatch(r"[{}\w\s-]*", sentence)] == []
    assert all(re.search("[\u4e00-\u9fff]", term) for term in CHINESE.terms.values())


def test_a_concept_without_a_translation_keeps_its_meaning() -> None:
    assert CHINESE.term(Code("39607008", "SCT", "Lung")) == "肺"
    assert CHINESE.term(Code("x", "99X", "Something new")) == "Something new"
    assert ENGLISH.term(Code("39607008", "SCT", "Lung")) == "Lung"


def test_a_code_of_another_scheme_is_another_concept() -> None:
    assert CHINESE.term(Code("39607008", "99X", "Something else")) == "Something else"


@pytest.mark.parametrize("module", [measures, mammography_cad, chest_cad])
def test_every_concept_that_a_shipped_pipeline_or_a_form_names_is_known_in_chinese(module: ModuleType) -> None:
    """Units are written as symbols; names with an underscore stand in the other forms alone."""
    named = [each for name, each in vars(module).items() if isinstance(each, Code) and not name.startswith("_")]
    assert named
    named += list(getattr(module, "SIDES", {}).values())
    assert [code for code in named if code.scheme != "UCUM" and (code.scheme, code.value) not in CHINESE.terms] == []
    assert [code for code in named if code.scheme == "UCUM" and unit_text(code) == code.meaning] == []


def test_every_row_of_a_page_of_the_shipped_pipeline_is_in_chinese() -> None:
    """Through the table itself: whatever it prints of lungs, labels apart, which the pipeline says."""
    sample = samples.sample()
    lungs = replace(sample.findings, measurements=tuple(
        replace(each, of=sample.findings.segments[0].key)
        for each in measures.coded("", measures.LungMeasures(volume_ml=2500.0, mean_hu=-820.0, emphysema_percent=3.0))
    ))
    rows = [row for group in rows_of(lungs, sample.source, CHINESE).groups for row in group]
    assert len(rows) >= 3
    assert [row for row in rows if not re.search("[\u4e00-\u9fff]", row[1] + row[2])] == []
    assert {row[4] for row in rows} >= {"mL", "HU", "%"}


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (7.0, "7"), (-798.53, "-798.5"), (1244.53, "1245"), (1234567.8, "1234568"), (0.0625, "0.0625"),
    (999.96, "1000"), (0.00001234, "1.234e-05"), (12.5, "12.5"),
])
def test_a_number_keeps_four_digits_and_all_before_the_point(value: float, text: str) -> None:
    assert number_text(value) == text


def test_units_are_written_as_they_are_read() -> None:
    assert unit_text(Code("mm3", "UCUM", "cubic millimeter")) == "mm³"
    assert unit_text(Code("[hnsf'U]", "UCUM", "Hounsfield unit")) == "HU"
    assert unit_text(Code("{counts}/s", "UCUM", "Counts per second")) == "Counts per second"


def test_a_date_is_read_the_same_everywhere() -> None:
    assert date_text("20260302") == "2026-03-02"
    assert date_text("") == ""


def test_family_and_given_names_stay_apart_in_every_spelling() -> None:
    assert name_texts(PersonName("Yamada^Tarou=山田^太郎=やまだ^たろう")) == (
        "Yamada, Tarou", "山田, 太郎", "やまだ, たろう")
    assert name_texts(PersonName("Müller^Änne^^Dr.")) == ("Müller, Änne Dr.",)
    assert name_texts(PersonName("=王^小东")) == ("王, 小东",)
    assert name_texts(PersonName("^^")) == ()
