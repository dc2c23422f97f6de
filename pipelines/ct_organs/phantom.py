"""A synthetic abdomen on CT with known truth: skin, fat, wall, spine, psoas, back muscles, bowel, kidneys, hips, table.

Shapes are given in patient coordinates (LPS millimetres); the fourth lumbar vertebra lies at z = 0, discs between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.ct_lung.phantom import (
    AIR,
    BONE,
    FAT,
    LIVER,
    MARROW,
    MUSCLE,
    TABLE_FOAM,
    TABLE_SHELL,
    Phantom,
    grid,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.phantom import Coordinate

CREST_Z, VERTEBRA_MM, DISC_MM = -2.0, 36.0, 10.0
_BOWEL, _KIDNEY, _DISC, _SKIN = 30.0, 35.0, 85.0, 60.0
_AXIAL = np.eye(3)[:, ::-1]
_CENTRE_Y = 0.0
# Half axes of the body, left to right and front to back, and the thickness of fat under the skin and of the wall.
_BODY, _SUBCUTANEOUS_MM, _WALL_MM = (165.0, 115.0), 20.0, 13.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Abdomen:
    """A sampled abdomen and its truth: bool masks of the shape of the images.

    scan: the images, as the chest phantom has them, without lungs. bowel: on the fat of the cavity, as kidneys are.
    """

    scan: Phantom
    body: NDArray[np.bool_]
    bone: NDArray[np.bool_]
    muscle: NDArray[np.bool_]
    subcutaneous: NDArray[np.bool_]
    visceral: NDArray[np.bool_]
    bowel: NDArray[np.bool_]
    l3: NDArray[np.bool_]


def abdomen_phantom(
    *, slices: int = 60, size: int = 128, spacing_mm: tuple[float, float] = (4.0, 3.0), seed: int = 0,
    top_mm: float = 76.0, noise_hu: float = 12.0,
) -> Abdomen:
    """An abdomen from above the iliac crests downwards; top_mm: z of the uppermost slice. The same arguments give the
    same voxels.
    """
    slice_mm, pixel_mm = spacing_mm
    shape = (slices, size, size)
    affine = grid(shape, (slice_mm, pixel_mm, pixel_mm), _AXIAL)
    affine[:3, 3] += np.array([0, -12.0, 0])
    affine[2, 3] = top_mm - (slices - 1) * slice_mm
    z, y, x = (affine[axis, 3] + affine[axis, 2 - axis] * np.arange(shape[2 - axis], dtype=np.float32)
               for axis in (2, 1, 0))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    canvas = _Canvas(shape)
    _paint_trunk(canvas, x, y)
    _paint_contents(canvas, x, y, z)
    _paint_bones(canvas, x, y, z)
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(noise_hu)
    none = np.zeros(shape, np.bool_)
    scan = Phantom(hu=np.clip(np.rint(canvas.hu + noise), -1024, 3071).astype(np.int16), affine=affine, left_mask=none,
                   right_mask=none, emphysema_mask=none, seed=seed)
    l3 = (np.abs(z - VERTEBRA_MM - DISC_MM) < VERTEBRA_MM / 2) & (np.abs(x) < 30) & (y > 15)
    return Abdomen(scan=scan, body=np.broadcast_to(_ring(x, y, 0.0) < 1, shape), l3=l3 & canvas.truth["bone"],
                   **canvas.truth)


class _Canvas:
    """What has been painted so far; what is painted later hides it, in the truth as well."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.hu = np.full(shape, AIR, np.float32)
        self.truth = {name: np.zeros(shape, np.bool_) for name in
                      ("bone", "muscle", "subcutaneous", "visceral", "bowel")}

    def paint(self, where: NDArray[np.bool_], value: float, kind: str = "") -> None:
        """where: broadcasts to the images."""
        where = np.broadcast_to(where, self.hu.shape)
        self.hu[where] = value
        for name, mask in self.truth.items():
            mask[where] = name == kind


def _paint_trunk(canvas: _Canvas, x: Coordinate, y: Coordinate) -> None:
    """Table, skin, fat and wall."""
    paint = canvas.paint
    table = (y > 122) & (y < 150) & (np.abs(x) < 200)
    paint(table, TABLE_SHELL)
    paint((y > 125) & (y < 147) & (np.abs(x) < 197), TABLE_FOAM)
    within = [_ring(x, y, depth) for depth in (0.0, 2.0, _SUBCUTANEOUS_MM, _SUBCUTANEOUS_MM + _WALL_MM)]
    paint(within[0] < 1, _SKIN)
    paint(within[1] < 1, FAT, "subcutaneous")
    # The white line: the wall is thin in the middle of the front.
    paint((within[2] < 1) & ~((np.abs(x) < 8) & (y < 0) & (_ring(x, y, _SUBCUTANEOUS_MM + 4) < 1)), MUSCLE, "muscle")
    paint(within[3] < 1, FAT, "visceral")


def _paint_contents(canvas: _Canvas, x: Coordinate, y: Coordinate, z: Coordinate) -> None:
    """Muscles of the back, psoas, kidneys and bowel."""
    paint = canvas.paint
    for side in (-1, 1):
        paint(_ellipse(x, y, side * 30, 80, 30, 19) < 1, MUSCLE, "muscle")
        paint((_ellipse(x, y, side * 37, 42, 15, 18) < 1) & (z < 120), MUSCLE, "muscle")
        paint(_ellipse(x, y, side * 62, 78, 22, 9) < 1, MUSCLE, "muscle")
        paint((_ellipse(x, y, side * 78, 38, 22, 26) < 1) & (z > 25), _KIDNEY)
        paint((_ellipse(x, y, side * 95, -10, 22, 24) < 1) & (z > -80), _BOWEL, "bowel")
    paint(_ellipse(x, y, -15, -40, 40, 22) < 1, _BOWEL, "bowel")
    paint(_ellipse(x, y, 12, 8, 9, 9) < 1, LIVER)


def _paint_bones(canvas: _Canvas, x: Coordinate, y: Coordinate, z: Coordinate) -> None:
    """Hips, and the spine with its discs and the canal."""
    paint = canvas.paint
    for side in (-1, 1):
        wing = (np.abs((x * side - 62) * 0.5 + (y - 58) * 0.87) < 6) & (x * side > 45) & (x * side < 110) & (y > 15)
        paint(wing & (z < CREST_Z) & (z > -120), BONE, "bone")
    to_middle = np.abs(np.mod(z + (VERTEBRA_MM + DISC_MM) / 2, VERTEBRA_MM + DISC_MM) - (VERTEBRA_MM + DISC_MM) / 2)
    vertebra, body = to_middle < VERTEBRA_MM / 2, _ellipse(x, y, 0, 40, 25, 19)
    paint(body < 1, _DISC)
    paint((body < 1) & vertebra, BONE, "bone")
    paint((body < 0.75) & vertebra, MARROW + 20, "bone")
    paint(_ellipse(x, y, 0, 68, 15, 12) < 1, BONE, "bone")
    paint(_ellipse(x, y, 0, 66, 9, 7) < 1, _BOWEL)
    paint((np.abs(x) < 3) & (y > 78) & (y < 96), BONE, "bone")


def _ellipse(x: Coordinate, y: Coordinate, at_x: float, at_y: float, half_x: float, half_y: float) -> Coordinate:
    """Below 1 inside."""
    return ((x - np.float32(at_x)) / np.float32(half_x)) ** 2 + ((y - np.float32(at_y)) / np.float32(half_y)) ** 2


def _ring(x: Coordinate, y: Coordinate, depth: float) -> Coordinate:
    return _ellipse(x, y, 0, _CENTRE_Y, _BODY[0] - depth, _BODY[1] - depth)
