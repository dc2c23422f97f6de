"""Several series of one study on one grid: what was chosen, where it lies, and when it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import mr_study, phantoms
from support.mr_study import BRATS, FLAIR_SERIES, T1_SERIES, T1C_SERIES, T2_SERIES, Sweep

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.inputs import Content, Input
from radnode.pipelines.sources.select import read_instances
from radnode.pipelines.sources.study import read_study, select_study

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from radnode.pipelines.contract import StudyImages

INPUTS = tuple(Input(name=each.value.lower(), modality="MR", content=each)
               for each in (Content.T1C, Content.T1, Content.T2, Content.FLAIR))


def read(files: Sequence[Path], inputs: Sequence[Input] = INPUTS, **changes: Any) -> StudyImages:
    manifest = phantoms.manifest(modality="MR", inputs=tuple(inputs), **changes)
    return read_study(select_study(read_instances(files), manifest), manifest)


def turned(degrees: float, shift_mm: tuple[float, float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = shift_mm
    return motion


def test_every_input_lies_on_the_grid_of_the_first_and_shows_the_same_place(tmp_path: Path) -> None:
    images = read(mr_study.write(tmp_path, *BRATS))
    assert images.volume.series_instance_uid == T1C_SERIES.uid
    assert list(images.others) == ["t1", "t2", "flair"]
    points = mr_study.grid(images.volume.affine, images.volume.voxels.shape)
    for sweep, volume in zip((T1_SERIES, T2_SERIES, FLAIR_SERIES), images.others.values(), strict=True):
        np.testing.assert_array_equal(volume.affine, images.volume.affine)
        assert volume.series_instance_uid == sweep.uid
        # Far from edges of head and tumour the phantom is smooth, and linear interpolation between millimetres exact.
        deep = np.linalg.norm(points / np.array(mr_study.HEAD_MM), axis=1) < 0.8
        away = np.abs(np.linalg.norm(points - np.array(mr_study.TUMOUR_MM), axis=1) - mr_study.TUMOUR_RADIUS_MM) > 8
        expected = mr_study.signal(sweep.shows, points)[deep & away]
        assert np.abs(volume.voxels.ravel()[deep & away] - expected).max() < 8
    assert any("t2 (voxels of 5 x 3 x 4 mm) was resampled onto the grid of t1c" in note for note in images.notes)
    assert any(note.startswith("Read as flair: t2_tirm_cor_dark-fluid") for note in images.notes)


def test_an_input_on_the_same_grid_is_not_touched(tmp_path: Path) -> None:
    same = replace(T2_SERIES, step_mm=T1C_SERIES.step_mm, shape=T1C_SERIES.shape)
    files = mr_study.write(tmp_path, T1C_SERIES, same)
    images = read(files, (INPUTS[0], INPUTS[2]))
    stored = {pydicom.dcmread(file).SOPInstanceUID: pydicom.dcmread(file).pixel_array for file in files}
    own = sorted(mr_study.headers(same), key=lambda each: each.ImagePositionPatient[2])
    np.testing.assert_array_equal(images.others["t2"].voxels, np.stack([stored[each.SOPInstanceUID] for each in own]))
    assert not any("resampled" in note for note in images.notes)


def test_voxels_beyond_an_input_are_not_valid_and_their_share_is_said(tmp_path: Path) -> None:
    short = replace(T2_SERIES, centre_mm=(0.0, 0.0, 18.0))
    images = read(mr_study.write(tmp_path, T1C_SERIES, short), (INPUTS[0], INPUTS[2]))
    valid = images.others["t2"].valid
    heights = images.volume.affine[2, 3] + 6.0 * np.arange(valid.shape[0])
    reached = (heights >= 18 - 67.5 - 2.5) & (heights <= 18 + 67.5 + 2.5)
    np.testing.assert_array_equal(valid.all(axis=(1, 2)), reached)
    assert (images.others["t2"].voxels[~valid] == 0).all()
    assert any(f"covers {reached.mean():.0%} of it" in note for note in images.notes)


def test_another_frame_of_reference_is_registered_where_that_is_permitted_and_its_quality_said(
    tmp_path: Path,
) -> None:
    motion = turned(6.0, (7.0, -5.0, 6.0))
    lain = replace(T2_SERIES, frame="1.2.3.4", motion=motion)
    files = mr_study.write(tmp_path, T1C_SERIES, lain)
    inputs = (INPUTS[0], INPUTS[2])
    images = read(files, inputs, registers=True)
    tumour = mr_study.in_tumour(mr_study.grid(images.volume.affine, images.volume.voxels.shape))
    found = images.others["t2"].voxels.ravel() > 425
    overlap = 2 * (found & tumour).sum() / (found.sum() + tumour.sum())
    assert overlap > 0.85
    (said,) = [note for note in images.notes if "rigid registration" in note]
    assert "mutual information" in said
    again = read(files, inputs, registers=True)
    np.testing.assert_array_equal(again.others["t2"].voxels, images.others["t2"].voxels)
    assert again.notes == images.notes


def test_another_frame_of_reference_is_refused_where_registration_is_not_permitted(tmp_path: Path) -> None:
    files = mr_study.write(tmp_path, T1C_SERIES, replace(T2_SERIES, frame="1.2.3.4"))
    with pytest.raises(NotProcessed, match=r"input t2 .* is missing.*permits no registration"):
        read(files, (INPUTS[0], INPUTS[2]))


def test_images_that_show_nothing_in_common_do_not_register(tmp_path: Path) -> None:
    files = mr_study.write(tmp_path, T1C_SERIES, replace(T2_SERIES, frame="1.2.3.4"))
    random = np.random.default_rng(0)
    for file in files:
        dataset = pydicom.dcmread(file)
        if dataset.SeriesInstanceUID == T2_SERIES.uid:
            dataset.PixelData = random.integers(0, 500, dataset.pixel_array.shape).astype("<u2").tobytes()
            dataset.save_as(file)
    with pytest.raises(NotProcessed, match="input t2: registration did not converge"):
        read(files, (INPUTS[0], INPUTS[2]), registers=True)


def test_a_gap_in_one_input_is_named_with_it(tmp_path: Path) -> None:
    files = mr_study.write(tmp_path, T1C_SERIES, T2_SERIES)
    own = sorted((file for file in files if pydicom.dcmread(file).SeriesInstanceUID == T2_SERIES.uid),
                 key=lambda file: pydicom.dcmread(file).ImagePositionPatient[2])
    with pytest.raises(IncompleteInput, match="input t2: slices are missing inside the stack: 1"):
        read([file for file in files if file != own[9]], (INPUTS[0], INPUTS[2]))


def test_without_simpleitk_the_refusal_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    files = mr_study.write(tmp_path, T1C_SERIES, Sweep(name="T2", shows="T2", frame="1.2.3", more=T2_SERIES.more))
    with pytest.raises(NotProcessed, match=r"pip install 'radnode\[registration\]'"):
        read(files, (INPUTS[0], INPUTS[2]), registers=True)


OPTIONAL = (INPUTS[1], *(replace(each, optional=True) for each in (INPUTS[0], INPUTS[2])))


def test_an_optional_input_that_the_study_lacks_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    images = read(mr_study.write(tmp_path, T1_SERIES, T2_SERIES), OPTIONAL)
    assert list(images.others) == ["t2"]
    assert "input t1c (MR, T1c) is missing" in images.lacking["t1c"]
    assert not any(note.startswith("Read as t1c") for note in images.notes)


def test_an_optional_input_with_a_gap_or_too_short_or_that_does_not_register_is_left_out_with_the_reason(
    tmp_path: Path
) -> None:
    elsewhere = replace(T2_SERIES, frame=f"{mr_study.FRAME}.1")
    files = mr_study.write(tmp_path, T1_SERIES, T1C_SERIES, elsewhere)
    middle = sorted(mr_study.headers(T1C_SERIES), key=lambda each: each.ImagePositionPatient[2])[11].SOPInstanceUID
    kept = [each for each in files if each.stem != middle]
    images = read(kept, OPTIONAL)
    assert not images.others
    assert "slices are missing inside the stack" in images.lacking["t1c"]
    assert "permits no registration" in images.lacking["t2"]
    with pytest.raises(IncompleteInput):
        read(kept, (OPTIONAL[0], replace(OPTIONAL[1], optional=False)))
