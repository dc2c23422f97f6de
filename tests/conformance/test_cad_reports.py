"""CAD reports: silent in every validator, and no fault of the known list gets past validators and gate together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import projection_samples as projections
from support import result_samples as samples
from support import validators

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Classification, Code, Detection, Failure, Findings, InPatient, OnImage
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

NODULE = Code("27925004", "SCT", "Nodule")


def _screening(change: Callable[[Findings], Findings] = lambda findings: findings) -> samples.Sample:
    headers = projections.mammograms()
    return projections.sample(headers, change(projections.screening(headers)), ("MAMMOGRAPHY-CAD",))


def _radiograph() -> samples.Sample:
    headers = projections.chest_radiograph()
    read = projections.projections(headers)
    outline = np.array([[5.0, 6.0], [9.5, 6.0], [8.0, 11.25]])
    nodule = Detection(key="n1", label="Nodule", type=NODULE, certainty=0.6,
                       at=OnImage(sop_instance_uid=read[0].source.sop_instance_uid, center=(7.0, 8.0), outline=outline))
    findings = Findings(projections=read, detections=(nodule,), looked_for=(NODULE,))
    return projections.sample(headers, findings, ("CHEST-CAD",))


def _ct() -> samples.Sample:
    headers = samples.stack()
    volume = samples.volume_of(headers)
    place = to_patient(volume.affine, np.array([[2.0, 10.0, 20.0]]))[0]
    at = InPatient(center_lps=(float(place[0]), float(place[1]), float(place[2])), extent_mm=(4.0, 4.0, 4.0))
    nodule = Detection(key="n1", label="Nodule", type=NODULE, certainty=0.6, at=at)
    findings = Findings(volume=volume, detections=(nodule,), looked_for=(NODULE,))
    return samples.sample(headers, findings, forms=("CHEST-CAD",))


def _written(sample: samples.Sample, folder: Path) -> Path:
    (form,) = sample.provenance.order.forms
    (result,) = write(sample.findings, sample.source, sample.provenance, (form,))
    path = folder / f"{form}.dcm"
    result.dataset.save_as(path, enforce_file_format=True)
    return path


def _check(sample: samples.Sample, path: Path) -> None:
    check({sample.provenance.order.forms[0]: [path]}, sample.findings, sample.source, sample.provenance)


def _everybody_accepts(sample: samples.Sample, folder: Path) -> str:
    path = _written(sample, folder)
    _check(sample, path)
    validators.dciodvfy(path)
    validators.pixelmed_cad(path, templates=sample.provenance.order.forms[0] == "MAMMOGRAPHY-CAD")
    return validators.dsrdump(path)


@pytest.mark.peer
def test_a_screening_report_is_accepted_by_all(tmp_path: Path) -> None:
    shown = _everybody_accepts(_screening(), tmp_path)
    assert "Mammographic breast mass" in shown
    assert "(POLYLINE,5/6,9.5/6,9.5/11.25,5/11.25,5/6)" in shown


@pytest.mark.peer
def test_a_screening_without_findings_is_a_report_that_says_so(tmp_path: Path) -> None:
    sample = _screening(lambda findings: replace(findings, detections=(), composites=(), measurements=()))
    shown = _everybody_accepts(sample, tmp_path)
    assert "All algorithms succeeded; without findings" in shown
    assert "Detection Performed" in shown


@pytest.mark.peer
def test_a_detector_that_failed_is_named_as_failed(tmp_path: Path) -> None:
    failed = (Failure(what=projections.CALCIFICATIONS, reason="out of time"),)
    shown = _everybody_accepts(_screening(lambda findings: replace(findings, failures=failed)), tmp_path)
    assert "Not all algorithms succeeded; with findings" in shown
    assert "Failed Detections" in shown
    assert "Partially Succeeded" in shown


@pytest.mark.peer
@pytest.mark.parametrize("sample", [_radiograph, _ct], ids=["radiograph", "CT"])
def test_a_chest_report_is_accepted_by_all(sample: Callable[[], samples.Sample], tmp_path: Path) -> None:
    shown = _everybody_accepts(sample(), tmp_path)
    assert "Abnormal opacity" in shown
    assert "Nodule" in shown


def test_findings_of_another_kind_make_no_cad_report() -> None:
    headers = samples.stack()
    sample = samples.sample(headers, samples.lungs(samples.volume_of(headers)))
    assert write(sample.findings, sample.source, sample.provenance, ("MAMMOGRAPHY-CAD", "CHEST-CAD")) == ()


@pytest.mark.parametrize(("change", "words"), [
    (lambda f: replace(f.detections[0], type=Code("4147007", "SCT", "Mass")), "no single image finding of CID 6014"),
    (lambda f: replace(f.detections[0], descriptors=((projections.DISTRIBUTION, projections.GROUPED),)),
     "does not describe"),
])
def test_what_the_templates_cannot_say_is_refused_in_words(
    change: Callable[[Findings], Detection], words: str
) -> None:
    sample = _screening(lambda f: replace(f, detections=(change(f), *f.detections[1:])))
    with pytest.raises(RunFailed, match=words):
        write(sample.findings, sample.source, sample.provenance, ("MAMMOGRAPHY-CAD",))


def test_a_mammogram_that_does_not_name_its_breast_makes_no_report() -> None:
    sample = _screening(
        lambda f: replace(f, projections=(replace(f.projections[0], laterality=""), *f.projections[1:]))
    )
    with pytest.raises(RunFailed, match="which breast"):
        write(sample.findings, sample.source, sample.provenance, ("MAMMOGRAPHY-CAD",))


def test_a_breast_composition_stands_in_the_report(tmp_path: Path) -> None:
    density = Classification(key="density", name=Code("129715009", "SCT", "Breast composition"),
                             value=Code("129718006", "SCT", "Heterogeneously dense"))
    sample = _screening(lambda f: replace(f, classifications=(density,)))
    path = _written(sample, tmp_path)
    _check(sample, path)
    assert "Heterogeneously dense" in str(pydicom.dcmread(path))


def _items(item: Dataset) -> list[Dataset]:
    return [item, *(each for child in item.get("ContentSequence", []) for each in _items(child))]


def _named(report: Dataset, value: str) -> list[Dataset]:
    return [item for item in _items(report)
            if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == value]


def _finding(report: Dataset) -> Dataset:
    return _named(report, "111059")[0]


def _without(parent: str, child: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        for item in _named(report, parent):
            item.ContentSequence = [each for each in item.ContentSequence if each not in _named(item, child)]

    return change


def _set_code(name: str, value: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        _named(report, name)[0].ConceptCodeSequence[0].CodeValue = value

    return change


def _graphic(name: str, how: Callable[[list[float]], list[float]]) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        item = _named(report, name)[0]
        item.GraphicData = how([float(value) for value in item.GraphicData])

    return change


def _refer_to(*place: int) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        _named(report, "111010")[0].ContentSequence[0].ReferencedContentItemIdentifier = list(place)

    return change


def _percentage(value: float) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        _named(report, "111012")[0].MeasuredValueSequence[0].NumericValue = value

    return change


def _as_circle(report: Dataset) -> None:
    _named(report, "111010")[0].GraphicType = "CIRCLE"


def _no_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def _other_template(report: Dataset) -> None:
    report.ContentTemplateSequence[0].TemplateIdentifier = "1500"


def _swap_sides(report: Dataset) -> None:
    for item, value in zip(_named(report, "111027"), ("80248007", "73056007", "80248007", "73056007"), strict=True):
        item.ConceptCodeSequence[0].CodeValue = value


def _by_value(report: Dataset) -> None:
    """The image itself where a reference to the library is due."""
    center = _named(report, "111010")[0]
    image = _named(report, "111028")[0].ContentSequence[0]
    center.ContentSequence[0] = image
    center.ContentSequence[0].RelationshipType = "SELECTED FROM"


MAMMOGRAPHY_FAULTS: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "no rendering intent": (_without("111059", "111056"), "codes"),
    "a summary outside CID 6047": (_set_code("111017", "111222"), "outcome"),
    "no image library": (lambda report: report.ContentSequence.pop(1), "outcome"),
    "no summary of analyses": (lambda report: report.ContentSequence.pop(4), "outcome"),
    "no algorithm version": (_without("111059", "111003"), "codes"),
    "no center": (_without("111059", "111010"), "geometry"),
    "a center that is not the point": (_graphic("111010", lambda data: [*data, *data]), "geometry"),
    "a finding of another name": (_set_code("111059", "4147007"), "codes"),
    "a summary of another outcome": (_set_code("111017", "111241"), "outcome"),
    "a reference to what is not there": (_refer_to(1, 2, 9), "reference"),
    "a reference to no image": (_refer_to(1, 3), "reference"),
    "a reference to another image": (_refer_to(1, 2, 3), "reference"),
    "an image instead of a reference": (_by_value, "reference"),
    "evidence that lacks an image": (_no_evidence, "reference"),
    "another template": (_other_template, "codes"),
    "an outline that is not closed": (_graphic("111041", lambda data: data[:-2]), "geometry"),
    "an outline elsewhere": (_graphic("111041", lambda data: [value + 1 for value in data]), "geometry"),
    "a mirrored outline": (
        _graphic("111041", lambda data: [32 - v if i % 2 == 0 else v for i, v in enumerate(data)]), "geometry"
    ),
    "coordinates outside the image": (_graphic("111010", lambda data: [99.0, data[1]]), "geometry"),
    "a share for a percentage": (_percentage(101), "plausibility"),
    "the other breast": (_swap_sides, "laterality"),
    "something else looked for": (_set_code("111022", "129770007"), "outcome"),
}
CHEST_FAULTS: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "no rendering intent": (_without("111059", "111056"), "codes"),
    "a nodule as the finding itself": (_set_code("111059", "27925004"), "codes"),
    "no modifier": (_without("111059", "112024"), "codes"),
    "a modifier of no group": (_set_code("112024", "39607008"), "codes"),
    "no findings summary": (lambda report: report.ContentSequence.pop(2), "outcome"),
    "a reference to no image": (_refer_to(1, 1), "reference"),
    "an outline elsewhere": (_graphic("111041", lambda data: [value + 1 for value in data]), "geometry"),
}


def _refused(sample: samples.Sample, change: Callable[[Dataset], Any], folder: Path) -> str:
    path = _written(sample, folder)
    report = pydicom.dcmread(path)
    change(report)
    report.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        _check(sample, path)
    return refusal.value.check


@pytest.mark.parametrize("fault", MAMMOGRAPHY_FAULTS)
def test_a_faulty_mammography_report_is_refused_by_the_gate(fault: str, tmp_path: Path) -> None:
    change, name = MAMMOGRAPHY_FAULTS[fault]
    assert _refused(_screening(), change, tmp_path) == name


@pytest.mark.parametrize("fault", CHEST_FAULTS)
def test_a_faulty_chest_report_is_refused_by_the_gate(fault: str, tmp_path: Path) -> None:
    change, name = CHEST_FAULTS[fault]
    assert _refused(_radiograph(), change, tmp_path) == name


@pytest.mark.peer
@pytest.mark.parametrize("change", [
    _without("111059", "111056"), _set_code("111017", "111222"), _without("111059", "111003"), _as_circle,
    lambda report: report.ContentSequence.pop(4),
], ids=["intent", "summary", "version", "circle", "analyses"])
def test_pixelmed_is_awake_for_the_rows_of_tid_4000(change: Callable[[Dataset], Any], tmp_path: Path) -> None:
    path = _written(_screening(), tmp_path)
    report = pydicom.dcmread(path)
    change(report)
    report.save_as(path, enforce_file_format=True)
    with pytest.raises(validators.Rejected):
        validators.pixelmed_cad(path, templates=True)
