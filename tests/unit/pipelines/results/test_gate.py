"""Each fault that could reach a reader is caught, and by the check that is named after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import add_private_dict_entry
from support import result_samples as samples

from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings

add_private_dict_entry("SAMPLE", 0x00990001, "LO", "Sample")


def _written(sample: samples.Sample, folder: Path, **change: Callable[[Dataset], None]) -> dict[str, list[Path]]:
    """Result files of a sample; `change` alters the objects of a form (SEG, TID1500) on their way to disk."""
    paths = {}
    for result in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        path = folder / f"{result.wanted.name}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        if result.wanted.form in change:
            again = pydicom.dcmread(path)
            change[result.wanted.form](again)
            again.save_as(path, enforce_file_format=True)
        paths[result.wanted.name] = [path]
    return paths


def _refused(sample: samples.Sample, folder: Path, **change: Callable[[Dataset], None]) -> str:
    paths = _written(sample, folder, **change)
    with pytest.raises(GateRefused) as refusal:
        check(paths, sample.findings, sample.source, sample.provenance)
    return refusal.value.check


@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE])
@pytest.mark.parametrize("step", [2.5, -2.5])
def test_what_the_writers_wrote_passes(orientation: tuple[float, ...], step: float, tmp_path: Path) -> None:
    sample = samples.sample(samples.stack(orientation=orientation, step=step))
    check(_written(sample, tmp_path), sample.findings, sample.source, sample.provenance)


@pytest.mark.parametrize("error", [5e-5, 5e-3])
def test_direction_cosines_that_are_no_unit_vectors_do_not_move_the_result(
    error: float, tmp_path: Path
) -> None:
    """A scanner's rounding is copied; what is more becomes what the volume was built with."""
    sample = samples.sample()
    headers = samples.stack()
    for header in headers:
        header.ImageOrientationPatient = [1 + error, 0, 0, 0, 1, 0]
    source = read_source(headers, sample.findings.grid)
    assert bool(source.repairs) == (error > 1e-4)
    sample = replace(sample, source=source)
    check(_written(sample, tmp_path), sample.findings, sample.source, sample.provenance)


def test_the_report_of_an_empty_run_passes(tmp_path: Path) -> None:
    headers = samples.stack()
    sample = samples.sample(headers, samples.nothing(samples.volume_of(headers)))
    paths = _written(sample, tmp_path)
    assert [name for name in paths if paths[name]] == ["TID1500+SEG"]
    check(paths, sample.findings, sample.source, sample.provenance)


def _exchanged(findings: Findings) -> Findings:
    """Left is called right and right left, consistently."""
    right, left = findings.segments
    return replace(findings, segments=(
        replace(right, laterality=left.laterality), replace(left, laterality=right.laterality),
    ))


def _other_code(field: str) -> Callable[[Findings], Findings]:
    return lambda findings: replace(
        findings, segments=(replace(findings.segments[0], **{field: samples.LUNG}), findings.segments[1])
    )


@pytest.mark.catalogue("R11")
@pytest.mark.parametrize("voxels", [np.bool_, np.uint8])
def test_a_segment_that_is_every_voxel_is_refused(voxels: type, tmp_path: Path) -> None:
    headers = samples.stack()
    findings = samples.lungs(samples.volume_of(headers))
    all_on = replace(findings.segments[0], voxels=np.ones(findings.segments[0].voxels.shape, voxels))
    sample = samples.sample(headers, replace(findings, segments=(all_on, findings.segments[1])))
    assert _refused(sample, tmp_path) == "plausibility"


@pytest.mark.catalogue("R11")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_measurement_that_is_no_number_cannot_even_be_said(value: float) -> None:
    measurement = samples.lungs(samples.volume_of(samples.stack())).measurements[0]
    with pytest.raises(ValueError, match=r"is (nan|inf)"):
        replace(measurement, value=value)


@pytest.mark.parametrize(("change", "name"), [
    (_exchanged, "laterality"), (_other_code("laterality"), "codes"), (_other_code("category"), "codes"),
])
def test_findings_that_every_form_would_repeat_wrongly_are_refused(
    change: Callable[[Findings], Findings], name: str, tmp_path: Path
) -> None:
    headers = samples.stack()
    sample = samples.sample(headers, change(samples.lungs(samples.volume_of(headers))))
    assert _refused(sample, tmp_path) == name


def _pixels(segmentation: Dataset) -> np.ndarray[Any, Any]:
    shape = (int(segmentation.NumberOfFrames), int(segmentation.Rows), int(segmentation.Columns))
    bits = np.unpackbits(np.frombuffer(segmentation.PixelData, np.uint8), bitorder="little")
    return bits[: np.prod(shape)].reshape(shape)


def _store(segmentation: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    stored = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    segmentation.PixelData = stored + b"\0" * (len(stored) % 2)


def _flip(axis: int) -> Callable[[Dataset], None]:
    return lambda segmentation: _store(segmentation, np.flip(_pixels(segmentation), axis))


def _drop_a_voxel(segmentation: Dataset) -> None:
    pixels = _pixels(segmentation)
    pixels[tuple(np.argwhere(pixels)[0])] = 0
    _store(segmentation, pixels)


def _add_a_voxel(segmentation: Dataset) -> None:
    pixels = _pixels(segmentation)
    pixels[tuple(np.argwhere(pixels == 0)[0])] = 1
    _store(segmentation, pixels)


@pytest.mark.parametrize(
    "change",
    [_flip(1), _flip(2), _drop_a_voxel, _add_a_voxel],
    ids=["flipped up-down", "flipped left-right", "a voxel less", "a voxel more"],
)
def test_other_voxels_are_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=change) == "voxels"


def _swap_frames(segmentation: Dataset) -> None:
    """The segments trade places, their descriptions stay."""
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        identification = group.SegmentIdentificationSequence[0]
        identification.ReferencedSegmentNumber = 3 - identification.ReferencedSegmentNumber


def _swap_lateralities(segmentation: Dataset) -> None:
    types = [item.SegmentedPropertyTypeCodeSequence[0] for item in segmentation.SegmentSequence]
    first, second = (each.SegmentedPropertyTypeModifierCodeSequence for each in types)
    types[0].SegmentedPropertyTypeModifierCodeSequence = second
    types[1].SegmentedPropertyTypeModifierCodeSequence = first


def _swap_labels(segmentation: Dataset) -> None:
    first, second = segmentation.SegmentSequence
    first.SegmentLabel, second.SegmentLabel = second.SegmentLabel, first.SegmentLabel


def test_swapped_segments_are_refused(tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=_swap_frames) == "voxels"


@pytest.mark.parametrize("change", [_swap_lateralities, _swap_labels])
def test_swapped_descriptions_are_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=change) == "segments"


def _move(*offset_mm: float, frames: slice = slice(None)) -> Callable[[Dataset], None]:
    def move(segmentation: Dataset) -> None:
        for group in segmentation.PerFrameFunctionalGroupsSequence[frames]:
            plane = group.PlanePositionSequence[0]
            plane.ImagePositionPatient = [
                float(value) + shift
                for value, shift in zip(plane.ImagePositionPatient, offset_mm, strict=True)
            ]

    return move


def test_a_plane_shifted_off_the_grid_is_refused(tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=_move(0, 0, 1.0, frames=slice(2, 3))) == "geometry"


def test_planes_shifted_by_whole_voxels_are_refused(tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=_move(1.25, 0, 0)) == "geometry"


def _other_spacing(segmentation: Dataset) -> None:
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [1.25, 0.75]


def _other_orientation(segmentation: Dataset) -> None:
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("change", [_other_spacing, _other_orientation])
def test_another_grid_is_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=change) == "geometry"


def _set(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda result: setattr(result, keyword, value)


@pytest.mark.catalogue("R15")
@pytest.mark.parametrize("form", ["SEG", "TID1500"])
@pytest.mark.parametrize(("keyword", "value", "name"), [
    ("PatientID", "PAT-2", "patient"),
    ("PatientName", "Muller^Anne", "patient"),
    ("IssuerOfPatientID", "OTHER", "patient"),
    ("PatientBirthDate", "19600103", "patient"),
    ("AccessionNumber", "A-78", "patient"),
    ("StudyInstanceUID", "1.2.3", "study"),
    ("SOPInstanceUID", "1.2.3", "uid"),
    ("SeriesInstanceUID", "1.2.3", "uid"),
    ("ContentQualification", "PRODUCT", "qualification"),
    ("Manufacturer", "Scanner Works", "equipment"),
    ("SpecificCharacterSet", "ISO_IR 100", "character set"),
])  # fmt: skip
def test_another_identity_or_marking_is_refused(
    form: str, keyword: str, value: str, name: str, tmp_path: Path
) -> None:
    assert _refused(samples.sample(), tmp_path, **{form: _set(keyword, value)}) == name


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    assert (
        _refused(samples.sample(), tmp_path, SEG=_set("FrameOfReferenceUID", "1.2.3")) == "frame of reference"
    )


def test_private_elements_are_refused(tmp_path: Path) -> None:
    def add(result: Dataset) -> None:
        result.private_block(0x0099, "SAMPLE", create=True).add_new(1, "LO", "x")

    assert _refused(samples.sample(), tmp_path, TID1500=add) == "private tags"


def _forget_the_series(segmentation: Dataset) -> None:
    del segmentation.ReferencedSeriesSequence


def _name_another_slice(segmentation: Dataset) -> None:
    first, last = (segmentation.PerFrameFunctionalGroupsSequence[index] for index in (0, -1))
    first.DerivationImageSequence = last.DerivationImageSequence


def _name_a_stranger(result: Dataset) -> None:
    for element in result.iterall():
        if element.keyword == "ReferencedSOPInstanceUID":
            element.value = "1.2.3.4"
            return


@pytest.mark.parametrize("change", [_forget_the_series, _name_another_slice, _name_a_stranger])
def test_wrong_references_of_a_segmentation_are_refused(
    change: Callable[[Dataset], None], tmp_path: Path
) -> None:
    assert _refused(samples.sample(), tmp_path, SEG=change) == "reference"


def _forget_the_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence


def _items(report: Dataset, code: str) -> list[Dataset]:
    def walk(item: Dataset) -> list[Dataset]:
        children = item.get("ContentSequence", [])
        return [item, *(below for child in children for below in walk(child))]

    return [
        item
        for item in walk(report)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def _refer_to_the_other_segment(report: Dataset) -> None:
    reference = _items(report, "121191")[0].ReferencedSOPSequence[0]
    reference.ReferencedSegmentNumber = 2


@pytest.mark.parametrize("change", [_forget_the_evidence, _refer_to_the_other_segment, _name_a_stranger])
def test_wrong_references_of_a_report_are_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, TID1500=change) == "reference"


def _change_a_number(report: Dataset) -> None:
    value = _items(report, "118565006")[0].MeasuredValueSequence[0]
    value.NumericValue = float(value.NumericValue) * 1.0001


def _swap_numbers(report: Dataset) -> None:
    first, second = (item.MeasuredValueSequence[0] for item in _items(report, "118565006"))
    first.NumericValue, second.NumericValue = second.NumericValue, first.NumericValue


def _change_a_unit(report: Dataset) -> None:
    unit = _items(report, "118565006")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue = "cm3"


def _forget_a_number(report: Dataset) -> None:
    group = _items(report, "125007")[0]
    group.ContentSequence = [item for item in group.ContentSequence if item.ValueType != "NUM"]


def _forget_a_group(report: Dataset) -> None:
    container = _items(report, "126010")[0]
    container.ContentSequence = container.ContentSequence[:-1]


@pytest.mark.parametrize(
    "change", [_change_a_number, _swap_numbers, _change_a_unit, _forget_a_number, _forget_a_group]
)
def test_other_numbers_are_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, TID1500=change) == "measurements"


@pytest.mark.catalogue("R11")
@pytest.mark.parametrize(("name", "value"), [
    (samples.VOLUME, -1.0), (samples.VOLUME, 1e12), (samples.LAA_950, 100.5), (samples.LAA_950, -0.1),
])  # fmt: skip
def test_impossible_numbers_are_refused(name: Any, value: float, tmp_path: Path) -> None:
    findings = samples.lungs(samples.volume_of(samples.stack()))
    measurements = tuple(
        replace(each, value=value) if each.name == name else each for each in findings.measurements
    )
    sample = samples.sample(findings=replace(findings, measurements=measurements))
    assert _refused(sample, tmp_path) == "plausibility"


def _say_nothing_was_found(report: Dataset) -> None:
    _items(report, "111017")[0].ConceptCodeSequence[0].CodeValue = "111241"


def test_the_wrong_outcome_is_refused(tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, TID1500=_say_nothing_was_found) == "outcome"


def _forget_the_remarks(report: Dataset) -> None:
    container = _items(report, "C0034375")[0]
    container.ContentSequence = [item for item in container.ContentSequence if item.ValueType != "TEXT"]


def test_a_report_without_the_remarks_is_refused(tmp_path: Path) -> None:
    assert _refused(samples.sample(), tmp_path, TID1500=_forget_the_remarks) == "remarks"


def test_a_report_that_calls_itself_verified_is_refused(tmp_path: Path) -> None:
    assert (
        _refused(samples.sample(), tmp_path, TID1500=_set("VerificationFlag", "VERIFIED")) == "verification"
    )


def test_segments_that_nothing_shows_are_refused(tmp_path: Path) -> None:
    sample = samples.sample()
    paths = _written(sample, tmp_path)
    del paths["SEG"]
    with pytest.raises(GateRefused) as refusal:
        check({}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == "missing"


def test_a_file_that_broke_on_its_way_to_disk_is_refused(tmp_path: Path) -> None:
    sample = samples.sample()
    paths = _written(sample, tmp_path)
    paths["SEG"][0].write_bytes(b"no DICOM")
    with pytest.raises(GateRefused) as refusal:
        check(paths, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == "file"


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    sample = samples.sample()
    paths = _written(sample, tmp_path)
    content = paths["SEG"][0].read_bytes()
    paths["SEG"][0].write_bytes(content[: len(content) - 200])
    with pytest.raises(GateRefused):
        check(paths, sample.findings, sample.source, sample.provenance)


def test_a_neighbours_header_among_the_sources_is_noticed_by_the_gate_too(tmp_path: Path) -> None:
    """The normaliser refuses it first; the gate does not rely on that."""
    sample = samples.sample()
    stranger = samples.stack()[0]
    stranger.PatientID = "PAT-2"
    paths = _written(sample, tmp_path)
    with pytest.raises(GateRefused) as refusal:
        check(paths, sample.findings, replace(sample.source, first=stranger), sample.provenance)
    assert refusal.value.check == "patient"
