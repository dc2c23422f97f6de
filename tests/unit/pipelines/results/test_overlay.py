"""The picture shows the patient's right on its left, whatever the order of the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.phantoms import volume_of

from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.results.overlay import Outline, overlay_png

if TYPE_CHECKING:
    from pathlib import Path

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
    picture = np.asarray(Image.open(path))[:-34]
    panel = picture.shape[1] // 4
    for colour, expected in ((RED, 0), (GREEN, 1)):
        columns = np.flatnonzero((picture == colour).all(axis=-1).any(axis=0)) % panel
        assert columns.size
        assert set((columns > panel / 2).astype(int)) == {expected}


def test_a_volume_without_segments_is_drawn_too(tmp_path: Path) -> None:
    overlay_png(volume_of(chest_phantom(slices=4, size=32)), [], tmp_path / "overlay.png")
    assert (tmp_path / "overlay.png").stat().st_size > 1000
