"""A marked patient on a grid whose axes are turned in all 48 ways comes back at the same place."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import validators

from radnode.pipelines.findings import Findings, Segment
from radnode.pipelines.geometry import orientation_of, to_patient
from radnode.pipelines.results.decoding import masks
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.geometry import Affine, Volume

TURNS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))
# Every axis order and every combination of flips is among them; each takes a second.
SHARE = [turn for number, turn in enumerate(TURNS) if number % 5 == 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A volume, what is marked in it, and its images."""

    volume: Volume
    mark: NDArray[np.bool_]
    headers: tuple[Dataset, ...]

    def places(self) -> set[tuple[float, ...]]:
        """Of every marked voxel, LPS millimetres."""
        return _places(self.volume.affine, self.mark)


def _places(affine: Affine, mark: NDArray[np.bool_]) -> set[tuple[float, ...]]:
    return _rounded(to_patient(affine, np.argwhere(mark)))


def _rounded(points: NDArray[np.float64]) -> set[tuple[float, ...]]:
    return {tuple(point) for point in (np.round(points, 3) + 0.0).tolist()}


def _patient() -> Patient:
    """The mark is a corner with three legs of different lengths: no turn leaves it as it is."""
    headers = samples.stack(8)
    volume = samples.volume_of(headers)
    mark = np.zeros(volume.voxels.shape, dtype=bool)
    mark[1:3, 4:9, 3:5] = mark[1, 4, 3:20] = mark[1:6, 4, 3] = True
    return Patient(volume=volume, mark=mark, headers=headers)


def _turned(patient: Patient, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Patient:
    """The same patient on a grid with other axes: array and affine change together."""
    turn, shape = np.eye(4), patient.volume.voxels.shape
    turn[:3, :3] = 0
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        turn[old, new] = -1 if flip else 1
        turn[old, 3] = shape[old] - 1 if flip else 0
    affine = patient.volume.affine @ turn
    where = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    voxels, mark = (
        np.ascontiguousarray(array.transpose(axes)[where]) for array in (patient.volume.voxels, patient.mark)
    )
    slice_mm, column_mm, row_mm = np.linalg.norm(affine[:3, :3], axis=0)
    headers = []
    for index in range(voxels.shape[0]):
        directions = [*(affine[:3, 2] / row_mm), *(affine[:3, 1] / column_mm)]
        header = samples.ct_header(index, (affine @ [index, 0, 0, 1])[:3], directions)
        header.Rows, header.Columns = voxels.shape[1:]
        header.PixelSpacing, header.SliceThickness = [float(column_mm), float(row_mm)], float(slice_mm)
        headers.append(header)
    volume = replace(
        samples.volume_of(headers), voxels=voxels, affine=affine, valid=np.ones(voxels.shape, dtype=bool)
    )
    return Patient(volume=volume, mark=mark, headers=tuple(headers))


def _written(patient: Patient, form: str, folder: Path) -> Path:
    """The file, and the gate has let it pass."""
    segment = Segment(key="mark", label="Mark", category=samples.ANATOMY, type=samples.LUNG, voxels=patient.mark,
                      rgb=(200, 90, 90))
    findings = Findings(volume=patient.volume, segments=(segment,))
    sample = samples.sample(patient.headers, findings, forms=(form,))
    (result,) = write(sample.findings, sample.source, sample.provenance, (form,))
    path = folder / "result.dcm"
    result.dataset.save_as(path, enforce_file_format=True)
    check({form: [path]}, sample.findings, sample.source, sample.provenance)
    return path


@pytest.mark.goal("orientation")
def test_no_two_turns_leave_the_mark_alike() -> None:
    """So that a turn which is not undone shows even where the axes are of one length."""
    patient = _patient()
    cube = np.zeros((24, 24, 24), dtype=bool)
    cube[:8] = patient.mark[:, :, :24]
    turned = {
        np.ascontiguousarray(cube.transpose(axes)[tuple(slice(None, None, -1 if flip else None) for flip in flips)])
        .tobytes() for axes, flips in TURNS
    }
    assert len(turned) == 48


@pytest.mark.goal("orientation")
@pytest.mark.parametrize("form", ["SEG", "LABELMAP"])
@pytest.mark.parametrize(("axes", "flips"), TURNS)
def test_a_segment_is_read_at_the_same_place_however_the_grid_is_turned(
    axes: tuple[int, ...], flips: tuple[bool, ...], form: str, tmp_path: Path
) -> None:
    patient = _patient()
    turned = _turned(patient, axes, flips)
    assert turned.places() == patient.places()
    decoded = masks(pydicom.dcmread(_written(turned, form, tmp_path)), turned.volume.affine, turned.mark.shape)
    assert _places(turned.volume.affine, decoded[1]) == patient.places()


@pytest.mark.goal("orientation")
@pytest.mark.peer
@pytest.mark.parametrize("form", ["SEG", "LABELMAP"])
@pytest.mark.parametrize(("axes", "flips"), SHARE)
def test_dcmqi_reads_the_segment_at_the_same_place(
    axes: tuple[int, ...], flips: tuple[bool, ...], form: str, tmp_path: Path
) -> None:
    patient = _patient()
    path = _written(_turned(patient, axes, flips), form, tmp_path)
    validators.dciodvfy(path)
    (points,) = validators.dcmqi_segments(path, tmp_path / "read").values()
    assert _rounded(points) == patient.places()


@pytest.mark.goal("orientation")
@pytest.mark.parametrize(("axes", "flips"), TURNS)
def test_a_pipeline_that_works_in_the_canonical_view_marks_the_same_place(
    axes: tuple[int, ...], flips: tuple[bool, ...], tmp_path: Path
) -> None:
    """It sees one and the same patient however the grid is turned, and what it marks there is taken back."""
    patient = _patient()
    turned = _turned(patient, axes, flips)
    as_it_is, orientation = orientation_of(patient.volume.affine), orientation_of(turned.volume.affine)
    assert np.array_equal(orientation.view(turned.mark), as_it_is.view(patient.mark))
    assert np.array_equal(orientation.view(turned.volume.voxels), as_it_is.view(patient.volume.voxels))
    assert np.allclose(orientation.affine(turned.volume), as_it_is.affine(patient.volume))
    marked = replace(turned, mark=orientation.back(as_it_is.view(patient.mark)))
    assert marked.places() == patient.places()
    decoded = masks(pydicom.dcmread(_written(marked, "SEG", tmp_path)), turned.volume.affine, turned.mark.shape)
    assert _places(turned.volume.affine, decoded[1]) == patient.places()


@pytest.mark.goal("orientation")
@pytest.mark.parametrize("form", ["SEG", "LABELMAP"])
@pytest.mark.parametrize("axis", range(3))
def test_a_segment_that_is_flipped_on_the_way_is_refused(axis: int, form: str, tmp_path: Path) -> None:
    """The turns above prove something, because the gate notices one that was forgotten."""
    patient = _patient()
    path = _written(replace(patient, mark=np.flip(patient.mark, axis).copy()), form, tmp_path)
    segment = Segment(key="mark", label="Mark", category=samples.ANATOMY, type=samples.LUNG, voxels=patient.mark,
                      rgb=(200, 90, 90))
    meant = samples.sample(patient.headers, Findings(volume=patient.volume, segments=(segment,)), forms=(form,))
    with pytest.raises(GateRefused):
        check({form: [path]}, meant.findings, meant.source, meant.provenance)
