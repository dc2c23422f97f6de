"""Structure sets that a reader of radiotherapy rasterises back to the voxels of the findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import validators
from support.charset_sources import TEXTS, header_in

from radnode.pipelines.findings import Findings, Segment
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

SHAPE = (9, 24, 32)


def _masks() -> dict[str, NDArray[np.bool_]]:
    """A ball, a tube with a hole, two pieces, an island in a hole, and one voxel."""
    z, y, x = np.indices(SHAPE)
    ball = ((z - 4) / 3.5) ** 2 + ((y - 11) / 7.5) ** 2 + ((x - 12) / 8.5) ** 2 <= 1
    around = (y - 11) ** 2 + (x - 14) ** 2
    one = np.zeros(SHAPE, dtype=bool)
    one[4, 20, 25] = True
    return {
        "ball": ball,
        "tube": (around <= 90) & (around > 25),
        "pieces": ball & (np.abs(x - 12) > 2),
        "island": ((around <= 100) & (around > 36)) | (around <= 8),
        "voxel": one,
    }


def _sample(orientation: Sequence[float] = samples.AXIAL, step: float = 2.5) -> samples.Sample:
    headers = samples.stack(SHAPE[0], orientation, step)
    segments = tuple(
        Segment(key=key, label=key, category=samples.ANATOMY, type=samples.LUNG, site=samples.LUNG, voxels=mask,
                rgb=(200, 100, 50))
        for key, mask in _masks().items()
    )
    return samples.sample(headers, Findings(volume=samples.volume_of(headers), segments=segments), forms=("RTSTRUCT",))


def _written(sample: samples.Sample, folder: Path) -> Path:
    (result,) = write(sample.findings, sample.source, sample.provenance, ("RTSTRUCT",))
    path = folder / "RTSTRUCT.dcm"
    result.dataset.save_as(path, enforce_file_format=True)
    return path


def _sources(sample: samples.Sample, folder: Path) -> list[Path]:
    folder.mkdir()
    paths = []
    for number, header in enumerate(sample.headers):
        paths.append(folder / f"{number}.dcm")
        content = samples.encoded(header)
        paths[-1].write_bytes(content + b"\xe0\x7f\x10\x00OW\0\0" + (2 * 24 * 32).to_bytes(4, "little") + bytes(1536))
    return paths


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.peer
@pytest.mark.parametrize("step", [2.5, -2.5], ids=["ascending", "descending"])
def test_plastimatch_reads_back_the_voxels(step: float, tmp_path: Path) -> None:
    sample = _sample(step=step)
    path = _written(sample, tmp_path)
    sources = _sources(sample, tmp_path / "ct")
    check({"RTSTRUCT": [path]}, sample.findings, sample.source, sample.provenance)
    validators.dciodvfy(path)
    validators.dcentvfy(sources, [path])
    read = validators.plastimatch(path, tmp_path / "ct", tmp_path)
    for segment in sample.findings.segments:
        upwards = segment.mask if step > 0 else segment.mask[::-1]
        assert _dice(read[segment.key], upwards) >= 0.99, segment.key


@pytest.mark.peer
def test_contours_of_an_oblique_stack_are_accepted(tmp_path: Path) -> None:
    sample = _sample(samples.OBLIQUE)
    path = _written(sample, tmp_path)
    check({"RTSTRUCT": [path]}, sample.findings, sample.source, sample.provenance)
    validators.dciodvfy(path)


@pytest.mark.peer
@pytest.mark.parametrize("charset", ["GB18030", "ISO 2022 IR 87"])
def test_a_patients_name_survives_in_every_script(charset: str, tmp_path: Path) -> None:
    name = next(key for key in TEXTS if charset in key)
    headers = [header_in(TEXTS[name], header) for header in samples.stack(SHAPE[0])]
    findings = replace(_sample().findings, volume=samples.volume_of(headers))
    sample = samples.sample(headers, findings, forms=("RTSTRUCT",))
    path = _written(sample, tmp_path)
    assert str(pydicom.dcmread(path).PatientName) == TEXTS[name].meant
    validators.dciodvfy(path)


def test_planes_are_spelled_as_in_the_images(tmp_path: Path) -> None:
    """Viewers match contours and slices by the digits of z."""
    sample = _sample()
    path = _written(sample, tmp_path)
    positions = {str(header.SOPInstanceUID): str(header.ImagePositionPatient[2]) for header in sample.headers}
    for structure in pydicom.dcmread(path).ROIContourSequence:
        for contour in structure.ContourSequence:
            uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            assert {str(value) for value in contour.ContourData[2::3]} == {positions[uid]}


def _first(result: Dataset) -> Dataset:
    return result.ROIContourSequence[0].ContourSequence[0]


def _shift(axis: int, by: float) -> Callable[[Dataset], None]:
    def change(result: Dataset) -> None:
        data = [float(value) for value in _first(result).ContourData]
        data[axis::3] = [value + by for value in data[axis::3]]
        _first(result).ContourData = data

    return change


def _mirror(result: Dataset) -> None:
    for structure in result.ROIContourSequence:
        for contour in structure.ContourSequence:
            data = [float(value) for value in contour.ContourData]
            data[0::3] = [-value for value in data[0::3]]
            contour.ContourData = data


def _drop(result: Dataset) -> None:
    del result.ROIContourSequence[0].ContourSequence[0]


def _swap_names(result: Dataset) -> None:
    first, second = result.StructureSetROISequence[:2]
    first.ROIName, second.ROIName = second.ROIName, first.ROIName


def _approved(result: Dataset) -> None:
    result.ApprovalStatus = "APPROVED"


def _target(result: Dataset) -> None:
    result.RTROIObservationsSequence[0].RTROIInterpretedType = "CTV"


def _other_frame(result: Dataset) -> None:
    result.FrameOfReferenceUID = "1.2.3"


def _forget_an_image(result: Dataset) -> None:
    frame = result.ReferencedFrameOfReferenceSequence[0]
    del frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence[0]


def _by_a_person(result: Dataset) -> None:
    result.StructureSetROISequence[0].ROIGenerationAlgorithm = "MANUAL"


@pytest.mark.parametrize(("change", "name"), [
    (_shift(0, 1.25), "voxels"), (_shift(2, 0.5), "geometry"), (_mirror, "voxels"), (_drop, "voxels"),
    (_swap_names, "segments"), (_approved, "verification"), (_target, "codes"), (_other_frame, "frame of reference"),
    (_forget_an_image, "reference"), (_by_a_person, "segments"),
])
def test_contours_that_are_not_those_of_the_findings_are_refused(
    change: Callable[[Dataset], None], name: str, tmp_path: Path
) -> None:
    sample = _sample()
    path = _written(sample, tmp_path)
    result = pydicom.dcmread(path)
    change(result)
    result.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check({"RTSTRUCT": [path]}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == name
