"""Burned-in pictures: accepted, on the right image, the right way round, and honest about what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import validators

from radnode.pipelines.findings import Code, Detection, InPatient
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.secondary_capture import letters, opposite
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pydicom import Dataset


def _written(sample: samples.Sample, folder: Path) -> list[Path]:
    paths = []
    for result in write(sample.findings, sample.source, sample.provenance, ("SC",)):
        paths.append(folder / f"SC-{result.number}.dcm")
        result.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _sample(orientation: Sequence[float] = samples.AXIAL) -> samples.Sample:
    headers = samples.stack(orientation=orientation)
    volume = samples.volume_of(headers)
    place = to_patient(volume.affine, np.array([[1.0, 20.0, 25.0]]))[0]
    nodule = Detection(key="n", label="Nodule", type=Code("27925004", "SCT", "Nodule"), certainty=0.5,
                       at=InPatient(center_lps=(float(place[0]), float(place[1]), float(place[2]))))
    return samples.sample(headers, replace(samples.lungs(volume), detections=(nodule,)), forms=("SC",))


@pytest.mark.peer
@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE])
def test_pictures_are_accepted_and_shown_by_others(orientation: Sequence[float], tmp_path: Path) -> None:
    sample = _sample(orientation)
    paths = _written(sample, tmp_path)
    check({"SC": paths}, sample.findings, sample.source, sample.provenance)
    assert len(paths) == 6  # a page in words, and slices 1 to 5
    for path in paths:
        validators.dciodvfy(path)
    shown = validators.dcmtk_picture(paths[1], tmp_path / "shown.ppm")
    assert np.array_equal(shown, pydicom.dcmread(paths[1]).pixel_array)


def test_all_pictures_are_one_series_in_the_order_of_the_images(tmp_path: Path) -> None:
    sample = _sample()
    pictures = [pydicom.dcmread(path) for path in _written(sample, tmp_path)]
    assert len({picture.SeriesInstanceUID for picture in pictures}) == 1
    assert len({picture.SOPInstanceUID for picture in pictures}) == len(pictures)
    assert [int(picture.InstanceNumber) for picture in pictures] == [1, 2, 3, 4, 5, 6]
    named = [picture.SourceImageSequence[0].ReferencedSOPInstanceUID for picture in pictures[1:]]
    assert named == [f"{samples.SERIES}.{number}" for number in (2, 3, 4, 5, 6)]


def test_the_letters_say_where_the_edges_lie_in_the_patient() -> None:
    assert (letters(np.array([1.0, 0, 0])), letters(np.array([0, 1.0, 0]))) == ("L", "P")
    assert letters(np.array([-1.0, 0, 0])) == "R"
    assert letters(np.array([0, 0, -1.0])) == "F"
    assert letters(np.array([0.8, 0.6, 0.0])) == "LP"
    assert letters(np.array([0.98, 0.2, 0.0])) == "L"
    assert opposite("LPH") == "RAF"


def test_nothing_found_is_a_page_that_says_so(tmp_path: Path) -> None:
    headers = samples.stack()
    sample = samples.sample(headers, samples.nothing(samples.volume_of(headers)), forms=("SC",))
    paths = _written(sample, tmp_path)
    check({"SC": paths}, sample.findings, sample.source, sample.provenance)
    assert len(paths) == 1


def _flip(axis: int) -> Callable[[Dataset], None]:
    def change(picture: Dataset) -> None:
        pixels = picture.pixel_array.copy()
        height = pixels.shape[0] - 56
        pixels[:height] = np.flip(pixels[:height], axis)
        picture.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)

    return change


def _other_image(picture: Dataset) -> None:
    picture.SourceImageSequence[0].ReferencedSOPInstanceUID = f"{samples.SERIES}.6"


def _other_sides(picture: Dataset) -> None:
    picture.PatientOrientation = ["R", "P"]


def _no_lines(picture: Dataset) -> None:
    pixels = picture.pixel_array.copy()
    pixels[...] = pixels.mean(axis=-1, keepdims=True)
    picture.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)


def _measurable(picture: Dataset) -> None:
    picture.PixelSpacing = [1, 1]


def _not_burned_in(picture: Dataset) -> None:
    picture.BurnedInAnnotation = "NO"


@pytest.mark.parametrize(("change", "name"), [
    (_flip(0), "voxels"), (_flip(1), "voxels"), (_no_lines, "voxels"), (_other_image, "reference"),
    (_other_sides, "laterality"), (_measurable, "markings"), (_not_burned_in, "markings"),
])
def test_a_picture_that_misleads_is_refused(change: Callable[[Dataset], None], name: str, tmp_path: Path) -> None:
    sample = _sample()
    paths = _written(sample, tmp_path)
    picture = pydicom.dcmread(paths[2])
    change(picture)
    picture.save_as(paths[2], enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check({"SC": paths}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == name


def test_a_missing_picture_is_noticed(tmp_path: Path) -> None:
    sample = _sample()
    paths = _written(sample, tmp_path)
    with pytest.raises(GateRefused) as refusal:
        check({"SC": paths[:-1]}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == "missing"
