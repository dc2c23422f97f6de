"""The one-page report: read by others, complete in English and Chinese, and refused when it misleads."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pypdf
import pytest
from pypdf.generic import DictionaryObject, NameObject, TextStringObject
from support import projection_samples as projections
from support import result_samples as samples
from support import validators

from radnode.pipelines import languages
from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Code, Detection, Failure, Findings, InPatient, Measurement, Rendering
from radnode.pipelines.forms import Wanted
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results import gate_pdf, pdf_page, pdf_report
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.pdf_texts import TEXTS
from radnode.pipelines.results.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.languages import Language

NODULE = Code("27925004", "SCT", "Nodule")
DIAMETER = Code("81827009", "SCT", "Diameter")
MM = Code("mm", "UCUM", "millimeter")


def _writing(sample: samples.Sample, language: Language = "en") -> Writing:
    provenance = replace(sample.provenance, order=replace(sample.provenance.order, language=language))
    return Writing(findings=sample.findings, source=sample.source, provenance=provenance, wanted=Wanted("PDF"))


def _named(name: str) -> samples.Sample:
    headers = samples.stack()
    for header in headers:
        header.PatientName = name
    return samples.sample(headers)


def _nodules(count: int) -> Findings:
    """Lungs with that many nodules, the later the more certain, on alternating sides."""
    findings = samples.lungs(samples.volume_of(samples.stack()))
    detections, measurements = [], []
    for number in range(count):
        index = np.array([[number % 6, 5 + number % 10, 8 + number % 15]], dtype=np.float64)
        x, y, z = to_patient(findings.grid.affine, index)[0].tolist()
        detections.append(Detection(
            key=f"n{number}", label=f"Nodule {number}", type=NODULE, certainty=(number + 1) / (count + 1),
            laterality=samples.LEFT if number % 2 else samples.RIGHT, at=InPatient(center_lps=(x, y, z)),
        ))
        measurements.append(Measurement(of=f"n{number}", name=DIAMETER, value=3.123 * number + 1, unit=MM))
        measurements.append(Measurement(of=f"n{number}", name=samples.VOLUME, value=1234.567 * number + 1,
                                        unit=samples.CUBIC_MM))
    return replace(findings, detections=tuple(detections), measurements=(*findings.measurements, *measurements))


def _document(result: Dataset) -> bytes:
    return bytes(result.EncapsulatedDocument[: result.EncapsulatedDocumentLength])


def _pages(result: Dataset) -> int:
    return len(pypdf.PdfReader(io.BytesIO(_document(result))).pages)


def _text(result: Dataset, folder: Path) -> str:
    """What poppler reads, its lines joined."""
    path = folder / "page.pdf"
    path.write_bytes(_document(result))
    return " ".join(validators.poppler_text(path).split())


def _faults(result: Dataset, sample: samples.Sample, folder: Path, language: Language = "en") -> list[str]:
    path = folder / "result.dcm"
    result.save_as(path, enforce_file_format=True)
    return [name for name, _ in gate_pdf.faults([pydicom.dcmread(path)], _writing(sample, language))]


@pytest.mark.peer
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_accepted_with_its_sources_and_says_everything(language: Language, tmp_path: Path) -> None:
    failure = Failure(what=NODULE, reason="The lower third of the lungs is not in the scan.")
    findings = replace(samples.lungs(samples.volume_of(samples.stack())), failures=(failure,),
                       looked_for=(NODULE, samples.LUNG))
    sample = samples.sample(None, findings)
    sources = []
    for number, header in enumerate(sample.headers):
        sources.append(tmp_path / f"source-{number}.dcm")
        sources[-1].write_bytes(samples.encoded(header))
    (result,) = pdf_report.write(_writing(sample, language))
    path = tmp_path / "PDF.dcm"
    result.save_as(path, enforce_file_format=True)
    validators.dciodvfy(path)
    validators.dcentvfy(sources, [path])
    assert _faults(result, sample, tmp_path, language) == []
    said = _text(result, tmp_path)
    for each in ("RESEARCH", "Müller, Änne", "PAT-1", "1960-01-02", "2026-03-02", "A-77", failure.reason,
                 *findings.remarks, samples.MANIFEST.model_digest, sample.provenance.order.input_digest,
                 "mm³", "HU", TEXTS[language].unverified):
        assert each in said
    for measured in findings.measurements:
        assert f"{measured.value:.4g}" in said


@pytest.mark.peer
@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_letters_are_embedded_and_drawn(language: Language, tmp_path: Path) -> None:
    (result,) = pdf_report.write(_writing(_named("Wang^XiaoDong=王^小东"), language))
    path = tmp_path / "page.pdf"
    path.write_bytes(_document(result))
    fonts = validators.poppler_fonts(path)
    assert {name.split("+")[1] for name, _ in fonts} == {"FiraGO", "FiraGOBold", "WenQuanYiMicroHei"}
    assert all(embedded for _, embedded in fonts)
    assert (validators.poppler_picture(path, tmp_path / "page") < 128).mean() > 0.005


def test_words_behind_a_name_in_another_font_keep_their_letters(tmp_path: Path) -> None:
    with pdf_page.sheet(TEXTS["en"], samples.STARTED, "foot", 1) as page:
        page.ink(9)
        page.write_in(20, 80, "Patient")
        page.ink(9, bold=True, colour=(170, 0, 0))
        page.write_in(20, 80, "王 Wang")
        page.ink(9, bold=True, colour=(170, 0, 0))
        page.write_in(20, 80, "Left side")
        document = bytes(page.output())
    path = tmp_path / "page.pdf"
    path.write_bytes(document)
    assert "Left side" in validators.poppler_text(path)


@pytest.mark.parametrize("name", [
    "Müller^Änne", "Nguyễn^Thị Ánh", "Никитин^Пётр", "Παπαδόπουλος^Γεώργιος", "כהן^שלום", "محمد^علی", "สมชาย^ใจดี",
    "Wang^XiaoDong=王^小東", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Hong^Gildong=洪^吉洞=홍^길동",
    "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "O'Neil^A. (B) +c*", "A" * 64,
])
def test_a_name_in_any_script_comes_back_from_the_page(name: str, tmp_path: Path) -> None:
    sample = _named(name)
    (result,) = pdf_report.write(_writing(sample))
    assert _faults(result, sample, tmp_path) == []
    other = _named(name.replace("^", "^X", 1) if "^" in name else name[:-1] + "B")
    assert _faults(result, replace(sample, source=other.source), tmp_path) == ["patient"]


def test_a_character_that_no_font_has_is_shown_as_its_code_point(tmp_path: Path) -> None:
    sample = _named("Li^Wei=\N{CJK UNIFIED IDEOGRAPH-20000}^伟")
    (result,) = pdf_report.write(_writing(sample))
    assert "[U+20000], 伟" in _text(result, tmp_path)
    assert _faults(result, sample, tmp_path) == []


def test_a_page_in_chinese_is_not_written_without_a_chinese_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(languages, "EAST_ASIAN_FONT", tmp_path / "absent.ttc")
    with pytest.raises(RunFailed, match="fonts-wqy-microhei"):
        pdf_report.write(_writing(samples.sample(), "zh"))
    (result,) = pdf_report.write(_writing(_named("Li^Wei=李^伟")))
    assert "Li, Wei / [U+674E], [U+4F1F]" in _text(result, tmp_path)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_same_findings_give_the_same_bytes(language: Language) -> None:
    first, second = (pdf_report.write(_writing(samples.sample(), language))[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_does_not_fit_is_counted_and_the_most_certain_comes_first(language: Language, tmp_path: Path) -> None:
    sample = samples.sample(None, _nodules(20))
    (result,) = pdf_report.write(_writing(sample, language))
    assert _pages(result) == 1
    assert _faults(result, sample, tmp_path, language) == []
    said = _text(result, tmp_path)
    shown = sum(f"Nodule {number} " in said for number in range(20))
    assert 5 < shown < 20
    assert TEXTS[language].more.format(count=22 - shown) in said
    assert "Nodule 19 " in said
    assert "Nodule 0 " not in said


def test_remarks_that_fill_a_page_are_never_cut(tmp_path: Path) -> None:
    sentence = "the lower third of the lungs is not in the scan. "
    remarks = tuple(f"Remark {number}: {sentence * 6}" for number in range(20))
    sample = samples.sample(None, replace(_nodules(20), remarks=remarks))
    (result,) = pdf_report.write(_writing(sample))
    assert _pages(result) == 2
    assert _faults(result, sample, tmp_path) == []
    said = _text(result, tmp_path)
    assert "Page 1 of 2" in said
    assert "Page 2 of 2" in said
    assert all(f"Remark {number}:" in said for number in range(20))


def test_nothing_found_is_a_page_that_says_so(tmp_path: Path) -> None:
    sample = samples.sample(None, samples.nothing(samples.volume_of(samples.stack())))
    (result,) = pdf_report.write(_writing(sample))
    assert _faults(result, sample, tmp_path) == []
    assert "Nothing found. Every analysis succeeded." in _text(result, tmp_path)


def test_what_a_workstation_should_not_show_is_counted_only(tmp_path: Path) -> None:
    findings = _nodules(2)
    hidden = tuple(replace(each, rendering=Rendering.NOT_SHOWN) for each in findings.detections[:1])
    sample = samples.sample(None, replace(findings, detections=(*hidden, *findings.detections[1:])))
    (result,) = pdf_report.write(_writing(sample))
    assert _faults(result, sample, tmp_path) == []
    said = _text(result, tmp_path)
    assert "Nodule 0" not in said
    assert "and 1 more: see the report object" in said
    assert _faults(pdf_report.write(_writing(samples.sample(None, findings)))[0], sample, tmp_path) != []


def test_marks_on_mammograms_are_named_by_side_and_view(tmp_path: Path) -> None:
    headers = projections.mammograms()
    sample = projections.sample(headers, projections.screening(headers), ("PDF",))
    (result,) = pdf_report.write(_writing(sample))
    assert _faults(result, sample, tmp_path) == []
    said = _text(result, tmp_path)
    assert "L MLO, image 4" in said
    assert "Mass, left: Mass CC, Mass MLO are the same finding on several images." in said


def _measured(change: Callable[[float], float]) -> Callable[[Findings], Findings]:
    def altered(findings: Findings) -> Findings:
        first, *others = findings.measurements
        return replace(findings, measurements=(replace(first, value=change(first.value)), *others))

    return altered


def _exchanged_numbers(findings: Findings) -> Findings:
    names = {"lung-right": "lung-left", "lung-left": "lung-right"}
    return replace(findings, measurements=tuple(replace(each, of=names[each.of]) for each in findings.measurements))


def _exchanged_sides(findings: Findings) -> Findings:
    right, left = findings.segments
    exchanged = replace(right, laterality=samples.LEFT), replace(left, laterality=samples.RIGHT)
    return replace(findings, segments=exchanged)


def _one_lung(findings: Findings) -> Findings:
    kept = findings.segments[:1]
    return replace(findings, segments=kept, measurements=tuple(
        each for each in findings.measurements if each.of == kept[0].key))


def _other_unit(findings: Findings) -> Findings:
    first, *others = findings.measurements
    return replace(findings, measurements=(replace(first, unit=Code("ml", "UCUM", "milliliter")), *others))


def _no_remark(findings: Findings) -> Findings:
    return replace(findings, remarks=())


def _another_outcome(findings: Findings) -> Findings:
    return replace(findings, failures=(Failure(what=NODULE, reason="No reason."),))


def _mirrored_image(axis: int) -> Callable[[Findings], Findings]:
    def altered(findings: Findings) -> Findings:
        voxels = np.flip(findings.grid.voxels, axis).copy()
        return replace(findings, volume=replace(findings.grid, voxels=voxels))

    return altered


def _mirrored_segments(findings: Findings) -> Findings:
    return replace(findings, segments=tuple(
        replace(each, voxels=np.flip(each.voxels, 2).copy()) for each in findings.segments))


def _mirrored_patient(findings: Findings) -> Findings:
    affine = findings.grid.affine.copy()
    affine[:3, 2] *= -1
    return replace(findings, volume=replace(findings.grid, affine=affine))


@pytest.mark.parametrize(("change", "name"), [
    (_measured(lambda value: value * 1.01), "measurements"), (_measured(lambda value: -value), "measurements"),
    (_measured(lambda value: value * 10), "measurements"), (_exchanged_numbers, "measurements"),
    (_exchanged_sides, "measurements"), (_one_lung, "measurements"), (_other_unit, "measurements"),
    (_no_remark, "remarks"), (_another_outcome, "remarks"), (_mirrored_image(0), "voxels"),
    (_mirrored_image(1), "voxels"), (_mirrored_image(2), "voxels"), (_mirrored_segments, "voxels"),
    (_mirrored_patient, "laterality"),
])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_of_other_findings_is_refused(
    change: Callable[[Findings], Findings], name: str, language: Language, tmp_path: Path
) -> None:
    sample = samples.sample()
    (result,) = pdf_report.write(_writing(replace(sample, findings=change(sample.findings)), language))
    assert name in _faults(result, sample, tmp_path, language)


def _other_patient(header: Dataset) -> None:
    header.PatientID = "PAT-2"


def _other_birth_date(header: Dataset) -> None:
    header.PatientBirthDate = "19600103"


def _other_study(header: Dataset) -> None:
    header.StudyDate, header.AccessionNumber = "20260303", "A-78"


@pytest.mark.parametrize("change", [_other_patient, _other_birth_date, _other_study])
def test_a_page_of_another_patient_or_study_is_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    headers = samples.stack()
    for header in headers:
        change(header)
    (result,) = pdf_report.write(_writing(samples.sample(headers)))
    assert "patient" in _faults(result, samples.sample(), tmp_path)


def _shorter(result: Dataset) -> None:
    result.EncapsulatedDocumentLength -= 2


def _truncated(result: Dataset) -> None:
    result.EncapsulatedDocument = result.EncapsulatedDocument[: len(result.EncapsulatedDocument) // 4 * 2]
    result.EncapsulatedDocumentLength = len(result.EncapsulatedDocument)


def _other_type(result: Dataset) -> None:
    result.MIMETypeOfEncapsulatedDocument = "text/xml"


def _not_burned_in(result: Dataset) -> None:
    result.BurnedInAnnotation = "NO"


def _other_images(result: Dataset) -> None:
    result.SourceInstanceSequence = result.SourceInstanceSequence[1:]


def _with_a_script(result: Dataset) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(_document(result)))
    script = DictionaryObject({NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("0")})
    writer.root_object[NameObject("/OpenAction")] = script
    buffer = io.BytesIO()
    writer.write(buffer)
    content = buffer.getvalue()
    result.EncapsulatedDocumentLength = len(content)
    result.EncapsulatedDocument = content + b"\0" * (len(content) % 2)


@pytest.mark.parametrize(("change", "name"), [
    (_shorter, "encoding"), (_truncated, "encoding"), (_other_type, "encoding"), (_with_a_script, "encoding"),
    (_not_burned_in, "markings"), (_other_images, "reference"),
])
def test_a_document_that_is_not_what_it_says_is_refused(
    change: Callable[[Dataset], None], name: str, tmp_path: Path
) -> None:
    sample = samples.sample(forms=("PDF",))
    (result,) = pdf_report.write(_writing(sample))
    change(result)
    path = tmp_path / "PDF.dcm"
    result.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check({"PDF": [path]}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == name
