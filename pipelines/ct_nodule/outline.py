"""The outline of a nodule: what is connected above half its contrast, without the vessels that run into it.

Half contrast is where a blurred border lies (full width at half maximum). Vessels are cut off by opening with a ball of
half the nodule's own inner radius, which also cuts it from the wall it touches (Kostis, IEEE TMI 22:1259, 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPENING = 0.5
# Less than this above aerated lung is noise, not tissue.
_LEAST_CONTRAST_HU = 90.0
_CORNERS = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """mask: bool, on the cube it was found in. mm: spacing of the cube. threshold_hu: half contrast.

    core_hu: mean of its middle. background_hu: of the lung around it.
    """

    mask: NDArray[np.bool_]
    mm: float
    threshold_hu: float
    core_hu: float
    background_hu: float

    @property
    def radius_mm(self) -> float:
        """Of the ball of the same volume."""
        return float((3 * self.mask.sum() * self.mm**3 / (4 * np.pi)) ** (1 / 3))


def outlined(
    hu: NDArray[np.float32], inside: NDArray[np.bool_], center: NDArray[np.float64], radius_mm: float, mm: float,
    *, above_lung_hu: float | None = None,
) -> Outline | None:
    """The outline around a place of a cube; None if nothing there is denser than the lung around it.

    hu, inside (where nodules may be): of the cube, spacing `mm`. center: its index. radius_mm: of the nodule, about.
    above_lung_hu: where the border lies, instead of at half contrast.
    """
    distance = np.sqrt(sum(
        (offset * mm) ** 2
        for offset in np.ogrid[tuple(slice(-at, size - at) for at, size in zip(center, hu.shape, strict=True))]
    ))[tuple(slice(0, size) for size in hu.shape)]
    core = (distance <= max(0.4 * radius_mm, 0.75 * mm)) & inside
    around = (distance <= 2.2 * radius_mm + 4) & inside
    if not core.any():
        return None
    core_hu = float(hu[core].mean())
    lung = hu[around & (hu < (core_hu - 1000) / 2 + 50)]
    background_hu = float(np.median(lung)) if lung.size else -850.0
    if core_hu - background_hu < _LEAST_CONTRAST_HU:
        return None
    threshold = (core_hu + background_hu) / 2 if above_lung_hu is None else background_hu + above_lung_hu
    above = (hu > threshold) & inside & (distance <= 2.0 * radius_mm + 2)
    mask = _opened(above, core, mm)
    if mask is None:
        return None
    return Outline(mask=mask, mm=mm, threshold_hu=threshold, core_hu=core_hu, background_hu=background_hu)


def _opened(above: NDArray[np.bool_], core: NDArray[np.bool_], mm: float) -> NDArray[np.bool_] | None:
    """The part around the core that a ball of half its inner radius reaches; None if the core is not above."""
    if not (above & core).any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(above, 1))[1:-1, 1:-1, 1:-1] * mm
    deepest = float(depth[core].max())
    ball = max(_OPENING * deepest, 0.5 * mm)
    labels, _ = ndimage.label(depth >= ball, _CORNERS)
    at = np.unravel_index(int(np.where(core, depth, 0).argmax()), depth.shape)
    if labels[at] == 0:
        return None
    kept = labels == labels[at]
    grown = ndimage.distance_transform_edt(~kept) * mm <= ball
    return np.asarray(grown & above)
