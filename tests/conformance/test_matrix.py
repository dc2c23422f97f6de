"""Every result form over every kind of source passes the gate and every validator that knows it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support.source_matrix import SOURCES, judges, names_of

from radnode.pipelines.findings import Findings, Segment
from radnode.pipelines.geometry import to_index, to_patient
from radnode.pipelines.results import WRITERS, write
from radnode.pipelines.results.decoding import masks
from radnode.pipelines.results.gate import check

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.geometry import Volume

# What a kind of source has nothing to show in, and why.
NOTHING_TO_SHOW = {
    "NOT-PROCESSED": set(SOURCES),  # there are findings, so the study was processed
    "MAMMOGRAPHY-CAD": set(SOURCES) - {"mammograms", "mammograms, areas"},
    "CHEST-CAD": {"mammograms", "mammograms, areas", "tomosynthesis"},
    # No volume, hence no place in the patient.
    **{form: {"mammograms", "mammograms, areas", "chest radiograph"} for form in ("RTSTRUCT", "PM", "FRACTIONAL")},
    # The sample has marks only.
    **{form: {"mammograms"} for form in ("SEG", "LABELMAP")},
    # OHIF exchanges the spacings of pixels that are not square, so nothing is marked on such images.
    "OHIF": set(SOURCES) - {"chest radiograph"},
}


@pytest.mark.peer
@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_form_over_a_source_is_accepted_by_all_who_know_it(source: str, form: str, tmp_path: Path) -> None:
    sample = SOURCES[source]()
    names = names_of(form)
    order = replace(sample.provenance.order, forms=names)
    provenance = replace(sample.provenance, order=order)
    files: dict[str, list[Path]] = {name: [] for name in names}
    for result in write(sample.findings, sample.source, provenance, names):
        path = tmp_path / f"{result.wanted.name}-{result.number}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        files[result.wanted.name].append(path)
    if "SEG" in files and not sample.findings.segments:
        provenance = replace(provenance, order=replace(order, forms=tuple(set(names) - {"SEG"})))
    check(files, sample.findings, sample.source, provenance)
    written = files[names[-1]]
    assert bool(written) == (source not in NOTHING_TO_SHOW.get(form, set()))
    for path in written[:3]:
        for judge in judges(form, placed=sample.findings.volume is not None).values():
            judge(path)


def _turned(
    volume: Volume, mask: np.ndarray, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[Volume, np.ndarray, tuple[Dataset, ...]]:
    """The same patient on a grid with other axes: array and affine change together."""
    turn = np.eye(4)
    shape = volume.voxels.shape
    step = np.zeros((3, 3))
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        step[old, new] = -1 if flip else 1
        turn[old, 3] = shape[old] - 1 if flip else turn[old, 3]
    turn[:3, :3] = step
    affine = volume.affine @ turn
    where = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    voxels, marked = (np.ascontiguousarray(array.transpose(axes)[where]) for array in (volume.voxels, mask))
    headers = []
    for index in range(voxels.shape[0]):
        header = samples.ct_header(index, (affine @ [index, 0, 0, 1])[:3])
        header.Rows, header.Columns = voxels.shape[1:]
        row, column = affine[:3, 2], affine[:3, 1]
        header.PixelSpacing = [float(np.linalg.norm(column)), float(np.linalg.norm(row))]
        header.ImageOrientationPatient = [*(row / np.linalg.norm(row)), *(column / np.linalg.norm(column))]
        header.SliceThickness = float(np.linalg.norm(affine[:3, 0]))
        headers.append(header)
    turned = replace(samples.volume_of(headers), voxels=voxels, affine=affine, valid=np.ones(voxels.shape, bool))
    return turned, marked, tuple(headers)


@pytest.mark.parametrize("form", ["SEG", "LABELMAP"])
@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_a_marked_patient_comes_back_at_the_same_place_however_the_grid_is_turned(
    axes: tuple[int, ...], flips: tuple[bool, ...], form: str, tmp_path: Path
) -> None:
    """All 48 axis flips and permutations."""
    volume = samples.volume_of(samples.stack(8))
    mark = np.zeros(volume.voxels.shape, dtype=bool)
    mark[1:3, 4:9, 3:5] = mark[1, 4, 3:20] = mark[1:6, 4, 3] = True
    meant = {tuple(np.round(point, 3)) for point in to_patient(volume.affine, np.argwhere(mark))}
    turned, marked, headers = _turned(volume, mark, axes, flips)
    segment = Segment(key="mark", label="Mark", category=samples.ANATOMY, type=samples.LUNG, voxels=marked,
                      rgb=(200, 90, 90))
    sample = samples.sample(headers, Findings(volume=turned, segments=(segment,)), forms=(form,))
    (result,) = write(sample.findings, sample.source, sample.provenance, (form,))
    path = tmp_path / "result.dcm"
    result.dataset.save_as(path, enforce_file_format=True)
    check({form: [path]}, sample.findings, sample.source, sample.provenance)
    found = masks(pydicom.dcmread(path), turned.affine, turned.voxels.shape)[1]
    points = to_patient(turned.affine, np.argwhere(found))
    assert {tuple(np.round(point, 3)) for point in points} == meant
    assert np.allclose(to_index(volume.affine, points), np.rint(to_index(volume.affine, points)), atol=1e-6)
