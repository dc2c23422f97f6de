"""The same judges over results that inherit from the images of real scanners."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import validators
from support.source_matrix import everything, names_of, write_files

from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import to_index
from radnode.pipelines.results.gate import check
from radnode.pipelines.results.writers import WRITERS, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

pytestmark = [pytest.mark.peer, pytest.mark.slow]


NOT_OVER_A_HEAD = {"MAMMOGRAPHY-CAD", "CHEST-CAD", "NOT-PROCESSED"}


def _along_the_normal(header: Dataset) -> float:
    orientation = np.array(header.ImageOrientationPatient, dtype=float)
    position = np.array(header.ImagePositionPatient, dtype=float)
    return float(np.dot(np.cross(orientation[:3], orientation[3:]), position))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ct-chest", "mr-brain"])
def test_results_over_a_real_series_are_accepted_voxel_for_voxel(
    name: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    sources = sorted(real_data(name).glob("*.dcm"))
    headers = sorted(
        (pydicom.dcmread(path, stop_before_pixels=True) for path in sources), key=_along_the_normal
    )
    findings = samples.lungs(samples.volume_of(headers))
    if name == "mr-brain":  # its rows run in other directions, so that the boxes called left and right change sides
        findings = replace(findings, segments=tuple(replace(each, laterality=None) for each in findings.segments))
    sample = samples.sample(headers, findings)
    results, files = {}, {}
    for result in write(sample.findings, sample.source, sample.provenance, plan(("SEG", "TID1500"))):
        results[result.wanted.form] = tmp_path / f"{result.wanted.form}.dcm"
        files[result.wanted.name] = [results[result.wanted.form]]
        result.dataset.save_as(results[result.wanted.form], enforce_file_format=True)
        validators.dciodvfy(results[result.wanted.form])
    check(files, sample.findings, sample.source, sample.provenance)
    validators.dcentvfy(sources, results.values())
    validators.dsrdump(results["TID1500"])
    validators.pixelmed_report(results["TID1500"])
    validators.dcmqi_report(results["TID1500"], tmp_path)
    read = validators.dcmqi_segments(results["SEG"], tmp_path / "segments")
    for number, segment in enumerate(sample.findings.segments, 1):
        index = np.rint(to_index(sample.findings.grid.affine, read[number]))
        assert np.array_equal(np.unique(index, axis=0), np.argwhere(segment.mask))


@pytest.fixture(scope="module")
def head(real_data: Callable[[str], Path]) -> samples.Sample:
    """Findings of all kinds over a real head."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = sorted(
            (pydicom.dcmread(path, stop_before_pixels=True) for path in real_data("mr-brain").glob("*.dcm")),
            key=_along_the_normal,
        )
        findings = everything(samples.volume_of(headers))
        # The boxes of the samples are called left and right without a look at the images.
        findings = replace(findings, segments=tuple(replace(each, laterality=None) for each in findings.segments))
        return samples.sample(headers, findings)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", sorted(set(WRITERS) - NOT_OVER_A_HEAD))
def test_a_form_over_a_real_oblique_series_is_accepted_by_all_who_know_it(
    form: str, head: samples.Sample, tmp_path: Path
) -> None:
    names = names_of(form)
    provenance = replace(head.provenance, order=replace(head.provenance.order, forms=names))
    files = write_files(head, form, provenance, tmp_path)
    check(files, head.findings, head.source, provenance)
    assert files[names[-1]]
    for path in files[names[-1]][:2]:
        for validator, judge in validators.applicable(path, form).items():
            if validator != "PixelMed":  # test_matrix.py
                judge(path)
