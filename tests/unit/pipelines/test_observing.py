"""What a run says of its images and findings, for watching how they change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radnode.pipelines import observing
from radnode.pipelines.contract import StudyImages
from radnode.pipelines.findings import Findings
from radnode.pipelines.geometry import SourceFrame, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray


def images_of(voxels: NDArray[np.float32], valid: NDArray[np.bool_] | None = None) -> StudyImages:
    """A stack of these voxels, 2 mm apart, 0.5 mm pixels."""
    frames = tuple(SourceFrame(sop_class_uid="1.2", sop_instance_uid=f"1.2.{number}", frame_number=None)
                   for number in range(len(voxels)))
    return StudyImages(
        volume=Volume(voxels=voxels, affine=np.diag([2.0, 0.5, 0.5, 1.0])[[2, 1, 0, 3]], frames=frames,
                      valid=np.ones(voxels.shape, np.bool_) if valid is None else valid, series_instance_uid="1.3",
                      frame_of_reference_uid="1.4"),
        modality="CT", excluded={},
    )


def noisy(deviation: float, mean: float = 40.0, shape: tuple[int, int, int] = (12, 256, 256)) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(mean, deviation, shape).astype(np.float32)


def test_the_noise_is_the_standard_deviation_of_noise_and_edges_move_it_little() -> None:
    voxels = noisy(12.0)
    assert observing.of_images(images_of(voxels))["noise"] == pytest.approx(12.0, rel=0.03)
    voxels[:, 64:192, 64:192] += 900
    assert observing.of_images(images_of(voxels))["noise"] == pytest.approx(12.0, rel=0.06)


@settings(max_examples=25)
@given(shift=st.floats(-1000, 1000), scale=st.floats(0.1, 10))
def test_percentiles_follow_what_is_done_to_the_values(shift: float, scale: float) -> None:
    before = observing.of_images(images_of(noisy(20.0, shape=(3, 40, 40))))
    after = observing.of_images(images_of(noisy(20.0, shape=(3, 40, 40)) * np.float32(scale) + np.float32(shift)))
    for share in observing.PERCENTILES:
        name = f"intensity p{share}"
        assert after[name] == pytest.approx(before[name] * scale + shift, abs=0.01)


def test_padding_is_no_value() -> None:
    voxels = noisy(10.0, shape=(4, 64, 64))
    valid = np.ones(voxels.shape, np.bool_)
    voxels[:, :, :20], valid[:, :, :20] = -2000, False
    assert observing.of_images(images_of(voxels, valid))["intensity p1"] > 0


def test_the_size_is_that_of_the_images_and_colourless_nothing_has_no_intensity() -> None:
    found = observing.of_images(images_of(np.full((3, 4, 5), np.nan, np.float32)))
    assert found == {"images": 3.0, "rows": 4.0, "columns": 5.0, "slice spacing": 2.0, "pixel spacing": 0.5}


def test_observing_changes_no_voxel() -> None:
    images = images_of(noisy(10.0, shape=(9, 64, 64)))
    before = hashlib.sha256(images.volume.voxels.tobytes()).hexdigest()
    observing.of_images(images)
    assert hashlib.sha256(images.volume.voxels.tobytes()).hexdigest() == before


def test_what_says_no_certainty_has_none() -> None:
    images = images_of(noisy(10.0, shape=(3, 8, 8)))
    assert observing.of_findings(Findings(volume=images.volume)) == {"detections": 0.0, "segments": 0.0}
