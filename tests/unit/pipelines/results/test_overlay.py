"""Pictures of segments: right is left, millimetres are true, and the window is one in which something is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage
from support.phantoms import volume_of

from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.results.overlay import PANEL, Outline, overlay_png
from radnode.pipelines.results.window_presets import BONE, BRAIN, LUNG, SOFT_TISSUE
from radnode.pipelines.results.windows import window_for

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.results.window_presets import Window

RED, GREEN = (250, 0, 0), (0, 250, 0)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
def test_the_right_lung_is_drawn_on_the_left_of_each_panel(
    tmp_path: Path, signs: tuple[int, int, int]
) -> None:
    phantom = chest_phantom(slices=40, size=64, axes=np.eye(3)[:, ::-1] * np.array(signs))
    outlines = [
        Outline(label="Right", mask=phantom.right_mask, rgb=RED),
        Outline(label="Left", mask=phantom.left_mask, rgb=GREEN),
    ]
    path = tmp_path / "overlay.png"
    overlay_png(volume_of(phantom), outlines, path, title="phantom")
    picture = np.asarray(Image.open(path))
    panel = picture.shape[1] // 4
    picture = picture[: len(picture) // panel * panel]
    for colour, expected in ((RED, 0), (GREEN, 1)):
        columns = np.flatnonzero((picture == colour).all(axis=-1).any(axis=0)) % panel
        assert columns.size
        assert set((columns > panel / 2).astype(int)) == {expected}


def test_a_volume_without_segments_is_drawn_too(tmp_path: Path) -> None:
    overlay_png(volume_of(chest_phantom(slices=4, size=32)), [], tmp_path / "overlay.png")
    assert (tmp_path / "overlay.png").stat().st_size > 1000


def made_of(
    voxels: NDArray[np.float32], spacing: tuple[float, float, float] = (1, 1, 1), plane: str = "axial"
) -> Volume:
    """A volume of such slices, first slice at the foot or on the right."""
    axes = {"axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0))}[plane]
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes, float).T * spacing
    frames = tuple(SourceFrame(sop_class_uid=CTImageStorage, sop_instance_uid=f"2.25.{number + 1}")
                   for number in range(len(voxels)))
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(voxels.shape, bool),
                  series_instance_uid="2.25.8", frame_of_reference_uid="2.25.9")


@pytest.mark.parametrize(("inside", "around", "body_part", "expected"), [
    (-850, 40, "CHEST", LUNG), (30, -850, "CHEST", LUNG), (60, 90, "ABDOMEN", SOFT_TISSUE), (500, 50, "", BONE),
    (35, 30, "HEAD", BRAIN), (-100, -1000, "", SOFT_TISSUE),
], ids=["lung", "nodule in a lung", "liver", "vertebra", "brain", "skin"])
def test_the_window_of_ct_is_that_of_what_was_found(
    inside: float, around: float, body_part: str, expected: Window
) -> None:
    mask = np.zeros((12, 20, 20), bool)
    mask[4:9, 8:13, 8:13] = True
    volume = made_of(np.where(mask, inside, around).astype(np.float32))
    assert window_for("CT", volume, [mask], body_part) is expected


@pytest.mark.parametrize(("aerated", "expected"), [(0.3, LUNG), (0.02, SOFT_TISSUE)], ids=["chest", "abdomen"])
def test_of_a_ct_in_which_nothing_was_found_the_body_says_the_window(aerated: float, expected: Window) -> None:
    voxels = np.full((10, 20, 20), 40, np.float32)
    voxels.ravel()[: int(aerated * voxels.size)] = -800
    assert window_for("CT", made_of(voxels), []) is expected


@pytest.mark.parametrize("signal", [1.0, 300.0, 20_000.0])
def test_tissues_of_mr_are_told_apart_whatever_its_numbers_are(signal: float) -> None:
    voxels = np.zeros((10, 30, 30), np.float32)
    voxels[:, 8:22, 8:22] = 0.5 * signal
    voxels[:, 12:18, 12:18] = signal
    voxels[0, 8, 8] = 40 * signal  # a vessel
    grey = window_for("MR", made_of(voxels), []).grey(voxels)
    assert grey[5, 0, 0] < 10
    assert 90 < grey[5, 9, 9] < 170
    assert grey[5, 14, 14] > 230


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_a_cube_is_square_and_as_long_as_the_bar_says_in_thick_slices_too(tmp_path: Path, plane: str) -> None:
    """20 mm of 200: 4 slices of 5 mm, 40 rows and columns of half a millimetre."""
    mask = np.zeros((40, 400, 400), bool)
    mask[18:22, 180:220, 180:220] = True
    volume = made_of(np.zeros(mask.shape, np.float32), (5.0, 0.5, 0.5), plane)
    overlay_png(volume, [Outline(label="cube", mask=mask, rgb=RED)], tmp_path / "cube.png")
    picture = np.asarray(Image.open(tmp_path / "cube.png"))
    wanted = 20 / 200 * PANEL
    for panel in (picture[:PANEL, :PANEL], picture[PANEL : 2 * PANEL, :PANEL]):  # of four planes; then the one across
        drawn = (panel == RED).all(axis=-1)
        if drawn.any():
            rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
            assert np.ptp(rows) + 1 == pytest.approx(wanted, abs=2)
            assert np.ptp(columns) + 1 == pytest.approx(wanted, abs=2)
    ink = (picture[PANEL - 10, :PANEL] == 235).all(axis=-1)
    assert ink.sum() == pytest.approx(50 / 200 * PANEL, abs=2)


def test_the_largest_plane_of_a_small_lesion_is_among_those_shown(tmp_path: Path) -> None:
    large, small = np.zeros((200, 40, 40), bool), np.zeros((200, 40, 40), bool)
    large[5:195, 5:35, 5:20], small[73, 20:24, 25:29] = True, True
    overlay_png(made_of(np.zeros(large.shape, np.float32)), [
        Outline(label="organ", mask=large, rgb=RED), Outline(label="lesion", mask=small, rgb=GREEN)
    ], tmp_path / "overlay.png")
    assert (np.asarray(Image.open(tmp_path / "overlay.png"))[: 3 * PANEL] == GREEN).all(axis=-1).any()
