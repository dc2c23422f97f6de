"""Each fault of the report for OHIF that could reach a reader is caught, and by the check that is named after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import ohif
from support import result_samples as samples

from radnode.pipelines.findings import Findings, InPatient
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom import Dataset

FORMS = ("OHIF",)


def _sample(**options: object) -> samples.Sample:
    headers = ohif.square_stack(**options)
    return samples.sample(headers, ohif.marked(samples.volume_of(headers)), forms=FORMS)


def _files(sample: samples.Sample, folder: Path, change: Callable[[Dataset], None] | None = None) -> list[Path]:
    files = []
    for result in write(sample.findings, sample.source, sample.provenance, FORMS):
        files.append(folder / f"{result.number}.dcm")
        result.dataset.save_as(files[-1], enforce_file_format=True)
        if change is not None:
            again = pydicom.dcmread(files[-1])
            change(again)
            again.save_as(files[-1], enforce_file_format=True)
    return files


def _checked(sample: samples.Sample, files: list[Path], findings: Findings | None = None) -> None:
    check({"OHIF": files}, findings or sample.findings, sample.source, sample.provenance)


@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("step", [2.5, -2.5], ids=["ascending", "descending"])
def test_what_the_writer_wrote_passes(orientation: tuple[float, ...], step: float, tmp_path: Path) -> None:
    sample = _sample(orientation=orientation, step=step)
    files = _files(sample, tmp_path)
    assert len(files) == 1
    _checked(sample, files)


def test_frames_of_a_multi_frame_image_pass(tmp_path: Path) -> None:
    headers = ohif.square_stack()
    image, volume = samples.enhanced(headers), samples.volume_of(headers)
    frames = tuple(
        replace(frame, sop_class_uid=str(image.SOPClassUID), sop_instance_uid=str(image.SOPInstanceUID), frame_number=n)
        for n, frame in enumerate(volume.frames, 1)
    )
    findings = ohif.marked(volume)
    in_patient = tuple(each for each in findings.detections if isinstance(each.at, InPatient))
    findings = replace(findings, volume=replace(volume, frames=frames), detections=in_patient, measurements=())
    sample = samples.sample([image], findings, forms=FORMS)
    files = _files(sample, tmp_path)
    named = [int(item.ReferencedSOPSequence[0].ReferencedFrameNumber) for item in _items(pydicom.dcmread(files[0]))
             if item.get("ValueType") == "IMAGE" and "ReferencedFrameNumber" in item.ReferencedSOPSequence[0]]
    assert named == [4, 2]
    _checked(sample, files)


@pytest.mark.parametrize("findings", [samples.lungs, samples.nothing])
def test_findings_without_a_place_give_no_report_and_pass(findings: Callable[..., Findings], tmp_path: Path) -> None:
    headers = ohif.square_stack()
    sample = samples.sample(headers, findings(samples.volume_of(headers)), forms=FORMS)
    assert _files(sample, tmp_path) == []
    _checked(sample, [])


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    (one,), (other,) = (_files(_sample(), _folder(tmp_path, name)) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def _items(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _items(child)


def _group(report: Dataset, tool: str) -> Dataset:
    return next(item for item in _items(report) if any(
        child.get("TextValue", "").endswith(tool) for child in item.get("ContentSequence", [])
        if child.ConceptNameCodeSequence[0].CodeValue == "112039"
    ))  # fmt: skip


def _within(report: Dataset, tool: str, value_type: str) -> Dataset:
    return next(item for item in _items(_group(report, tool)) if item.get("ValueType") == value_type)


def _moved(tool: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        place = _within(report, tool, "SCOORD")
        place.GraphicData = [value + 1.0 for value in _list(place.GraphicData)]

    return change


def _mirrored(report: Dataset) -> None:
    place = _within(report, "PlanarFreehandROI", "SCOORD")
    place.GraphicData = [value if n % 2 else 32 - value for n, value in enumerate(place.GraphicData)]


def _rows_first(report: Dataset) -> None:
    place = _within(report, "PlanarFreehandROI", "SCOORD")
    data = _list(place.GraphicData)
    place.GraphicData = [value for pair in zip(data[1::2], data[::2], strict=True) for value in pair]


def _beyond(report: Dataset) -> None:
    _within(report, "ArrowAnnotate", "SCOORD").GraphicData = [25.5, 24.5]


def _list(values: object) -> list[float]:
    return list(values)  # type: ignore[call-overload,no-any-return]


def _other_image(tool: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        images = [item.ReferencedSOPSequence[0] for item in _items(report) if item.get("ValueType") == "IMAGE"]
        mine = _within(report, tool, "IMAGE").ReferencedSOPSequence[0]
        other = next(each for each in images if each.ReferencedSOPInstanceUID != mine.ReferencedSOPInstanceUID)
        mine.ReferencedSOPInstanceUID = other.ReferencedSOPInstanceUID

    return change


def _other_number(report: Dataset) -> None:
    _within(report, "Length", "NUM").MeasuredValueSequence[0].NumericValue = "4.5"


def _certainty_as_area(report: Dataset) -> None:
    content = _group(report, "PlanarFreehandROI").ContentSequence
    numbers = [item for item in content if item.ValueType == "NUM"]
    numbers[1].ContentSequence = numbers[0].ContentSequence
    del numbers[0].ContentSequence
    first, second = (list(content).index(item) for item in numbers[:2])
    content[first], content[second] = numbers[1], numbers[0]


def _other_area(report: Dataset) -> None:
    _within(report, "PlanarFreehandROI", "NUM").MeasuredValueSequence[0].NumericValue = "99"


def _left_out(report: Dataset) -> None:
    for item in _items(report):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "126010":
            item.ContentSequence.pop()


def _other_tool(report: Dataset) -> None:
    _within(report, "Length", "TEXT").TextValue = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"


def _own_name(report: Dataset) -> None:
    _within(report, "Length", "TEXT").TextValue = "radnode lung"


def _neighbours_identity(report: Dataset) -> None:
    _within(report, "Length", "UIDREF").UID = _within(report, "ArrowAnnotate", "UIDREF").UID


def _translated(report: Dataset) -> None:
    _group(report, "Length").ConceptNameCodeSequence[0].CodeMeaning = "Messung"


def _no_machine(report: Dataset) -> None:
    for item in _items(_group(report, "Length")):
        if item.ConceptNameCodeSequence[0].CodeValue == "121106":
            item.TextValue = "Left lung: Diameter"


def _another_finding(report: Dataset) -> None:
    _within(report, "RectangleROI", "CODE").ConceptCodeSequence[0].CodeValue = "4147007"


def _no_evidence(report: Dataset) -> None:
    report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence.pop()


def _a_segment(report: Dataset) -> None:
    _within(report, "Length", "IMAGE").ReferencedSOPSequence[0].ReferencedSegmentNumber = 1


def _no_remark(report: Dataset) -> None:
    for item in _items(report):
        if item.get("TextValue", "").startswith("The left lung touches"):
            item.TextValue = "-"


def _verified(report: Dataset) -> None:
    report.VerificationFlag = "VERIFIED"


@pytest.mark.parametrize(("change", "caught_by"), [
    (_moved("PlanarFreehandROI"), "coordinates"),
    (_moved("RectangleROI"), "coordinates"),
    (_moved("ArrowAnnotate"), "coordinates"),
    (_moved("Length"), "coordinates"),
    (_mirrored, "coordinates"),
    (_rows_first, "coordinates"),
    (_beyond, "coordinates"),
    (_other_image("PlanarFreehandROI"), "reference"),
    (_other_image("Length"), "reference"),
    (_other_number, "measurements"),
    (_certainty_as_area, "measurements"),
    (_other_area, "measurements"),
    (_left_out, "marks"),
    (_other_tool, "marks"),
    (_own_name, "marks"),
    (_neighbours_identity, "marks"),
    (_translated, "meanings"),
    (_no_machine, "marks"),
    (_another_finding, "marks"),
    (_no_evidence, "reference"),
    (_a_segment, "marks"),
    (_no_remark, "remarks"),
    (_verified, "verification"),
])  # fmt: skip
def test_a_fault_is_caught(change: Callable[[Dataset], None], caught_by: str, tmp_path: Path) -> None:
    sample = _sample()
    with pytest.raises(GateRefused) as refusal:
        _checked(sample, _files(sample, tmp_path, change))
    assert refusal.value.check == caught_by


@pytest.mark.parametrize("key", ["deep", "deep-box"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_place_in_the_patient_that_was_marked_elsewhere_is_caught(key: str, axis: int, tmp_path: Path) -> None:
    sample = _sample()
    elsewhere = []
    for found in sample.findings.detections:
        at = found.at
        if found.key == key and isinstance(at, InPatient):
            moved = tuple(value + 2.7 * (n == axis) for n, value in enumerate(at.center_lps))
            at = replace(at, center_lps=moved)
        elsewhere.append(replace(found, at=at))
    files = _files(sample, tmp_path)
    with pytest.raises(GateRefused) as refusal:
        _checked(sample, files, replace(sample.findings, detections=tuple(elsewhere)))
    assert refusal.value.check in ("coordinates", "reference")


def test_a_report_that_is_missing_is_caught(tmp_path: Path) -> None:
    sample = _sample()
    with pytest.raises(GateRefused) as refusal:
        _checked(sample, [])
    assert refusal.value.check == "marks"
