"""The breast on a mammogram: where it is, which border is the chest wall, the nipple, the pectoral muscle.

Everything is looked at in one position: chest wall at the left, as the tags have it; what contradicts the tags is
refused, because a mark on the wrong side is the worst answer there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Projection

    Plane = NDArray[np.float32]

COARSE_MM = 0.8
# From a small, thin breast to one that fills the largest detector.
_AREA_MM2 = (2500.0, 60000.0)
# Of the breast's height, at the border that is the chest wall and at the other one.
_TOUCHES, _TOUCHES_NOT = 0.35, 0.15
_MARGIN_MM = 3.0


class Unreadable(Exception):
    """The picture is none that marks may be made on; the message is for the radiologist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breast:
    """One image, turned so that the chest wall is at column 0.

    fine: float32 (rows, columns), the image as it is, cut to the breast. pixel_mm: of `fine`. coarse: the same at about
    :data:`COARSE_MM`, `coarse_mm` exactly. mask, muscle: bool, of `coarse`'s shape. nipple: (depth, down), millimetres
    from the left upper corner of `fine`. origin: (column, row) of that corner on the turned image. width: columns of
    the whole image. mirrored: whether it was turned.
    """

    side: str
    view: str
    sop_instance_uid: str
    fine: Plane
    pixel_mm: float
    coarse: Plane
    coarse_mm: float
    mask: NDArray[np.bool_]
    muscle: NDArray[np.bool_]
    nipple: tuple[float, float]
    origin: tuple[int, int]
    width: int
    mirrored: bool

    @property
    def searched(self) -> NDArray[np.bool_]:
        """Where lesions are looked for: the breast without muscle and skin, of `coarse`'s shape."""
        skin = round(_MARGIN_MM / self.coarse_mm)
        whole = np.pad(self.mask, ((skin, skin), (skin, skin)))
        whole[:, :skin] = whole[:, skin:skin + 1]  # the chest wall is no skin
        inside = ndimage.distance_transform_edt(whole)[skin:-skin, skin:-skin] > skin
        return np.asarray(inside & ~self.muscle)

    def on_image(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) millimetres from the corner of `fine` to (column, row) of the image as it is stored."""
        points = np.asarray(points_mm, np.float64) / self.pixel_mm + self.origin
        if self.mirrored:
            points[:, 0] = self.width - points[:, 0]
        return points

    def of_image(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The other way: (n, 2) (column, row) of the image as it is stored to millimetres from the corner of `fine`."""
        turned = np.array(points, np.float64)
        if self.mirrored:
            turned[:, 0] = self.width - turned[:, 0]
        return np.asarray((turned - self.origin) * self.pixel_mm)


def find_breast(image: Projection) -> Breast:
    """Find the breast on an image. Raises Unreadable."""
    if image.spacing_mm is None:
        raise Unreadable("it does not say how large its pixels are")
    pixel_mm = float(np.sqrt(image.spacing_mm[0] * image.spacing_mm[1]))
    mirrored = _is_mirrored(image)
    pixels = image.pixels[:, ::-1] if mirrored else image.pixels
    step = max(1, round(COARSE_MM / pixel_mm))
    coarse = _averaged(pixels, step)
    mask = _breast_mask(coarse, step * pixel_mm)
    _refuse_other_side(mask, image)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    top, bottom, right = int(rows[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    cut = slice(top, bottom), slice(0, right)
    mask = mask[cut]
    coarse = coarse[cut]
    muscle = np.zeros_like(mask)
    if image.view == "MLO":
        muscle = _muscle(coarse, mask, step * pixel_mm)
    return Breast(
        side=image.laterality, view=image.view, sop_instance_uid=image.source.sop_instance_uid,
        fine=np.ascontiguousarray(pixels[top * step:bottom * step, :right * step]), pixel_mm=pixel_mm,
        coarse=coarse, coarse_mm=step * pixel_mm, mask=mask, muscle=muscle,
        nipple=_nipple(mask, step * pixel_mm), origin=(0, top * step), width=pixels.shape[1], mirrored=mirrored,
    )


def _is_mirrored(image: Projection) -> bool:
    """Whether the chest wall is at the right: Patient Orientation says where the front is; without it, the breast does.

    Raises Unreadable for an orientation without a direction to the front along the rows.
    """
    if image.orientation is None:
        return _chest_wall_at_right(image)
    along = image.orientation[0].upper()[:1]
    if along not in ("A", "P"):
        raise Unreadable("its Patient Orientation does not say at which side the chest wall is; turned images are not "
                         "read")
    return along == "P"


def _chest_wall_at_right(image: Projection) -> bool:
    step = max(1, round(COARSE_MM / (image.spacing_mm or (0.1, 0.1))[0]))
    coarse = _averaged(image.pixels, step)
    strip = max(1, coarse.shape[1] // 20)
    return float(coarse[:, -strip:].mean()) > float(coarse[:, :strip].mean())


def _averaged(pixels: Plane, step: int) -> Plane:
    """Means of blocks of step x step pixels; what is left over at the lower and right border is cut off."""
    rows, columns = (size // step * step for size in pixels.shape)
    blocks = pixels[:rows, :columns].reshape(rows // step, step, columns // step, step)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def _breast_mask(coarse: Plane, mm: float) -> NDArray[np.bool_]:
    """The largest region that is brighter than air, without letters and labels beside it. Raises Unreadable."""
    smooth = ndimage.gaussian_filter(coarse, 1.0 / mm)
    low, high = np.percentile(smooth, [1, 99])
    if high - low < 1e-6:
        raise Unreadable("it shows nothing")
    # Air is the darkest and the most even part of a mammogram.
    air = smooth < low + 0.08 * (high - low)
    if air.mean() < 0.03:
        raise Unreadable("no air beside the breast is in the picture, so its outline cannot be found")
    level = float(np.median(smooth[air])) + 0.12 * (high - float(np.median(smooth[air])))
    labels, count = ndimage.label(smooth > level)
    if count == 0:
        raise Unreadable("no breast was found")
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    reach = max(1, round(2.5 / mm))
    mask = ndimage.binary_opening(np.pad(labels == largest, reach, mode="edge"), iterations=reach)
    mask = np.asarray(ndimage.binary_fill_holes(mask)[reach:-reach, reach:-reach])
    area = float(mask.sum()) * mm * mm
    if not _AREA_MM2[0] <= area <= _AREA_MM2[1]:
        raise Unreadable(f"what was taken for the breast is {area / 100:.0f} cm2 large, which no breast is")
    return mask


def _refuse_other_side(mask: NDArray[np.bool_], image: Projection) -> None:
    """The breast stands on the border that the tags call the chest wall, and on that alone. Raises Unreadable."""
    height = max(int(mask.any(1).sum()), 1)
    at_wall, opposite = float(mask[:, 0].sum()) / height, float(mask[:, -1].sum()) / height
    if at_wall >= _TOUCHES and opposite <= _TOUCHES_NOT:
        return
    if opposite >= _TOUCHES and at_wall <= _TOUCHES_NOT:
        said = "/".join(image.orientation or ("missing",))
        raise Unreadable(f"the picture shows the chest wall at the other side than its Patient Orientation ({said}) "
                         "says: left and right may be exchanged")
    raise Unreadable("the picture does not show clearly at which side the chest wall is")


def _nipple(mask: NDArray[np.bool_], mm: float) -> tuple[float, float]:
    """The place farthest from the chest wall: (depth, down), millimetres."""
    depth = np.where(mask.any(1), mask.shape[1] - mask[:, ::-1].argmax(1), 0).astype(np.float64)
    smooth = ndimage.gaussian_filter1d(depth, 4.0 / mm)
    farthest = np.nonzero(smooth >= smooth.max() - 0.5)[0]
    row = float(farthest.mean())
    return float(depth[round(row)]) * mm, (row + 0.5) * mm


def _muscle(coarse: Plane, mask: NDArray[np.bool_], mm: float) -> NDArray[np.bool_]:
    """The pectoral muscle: the brighter side of the straight line that cuts off the upper corner at the chest wall.

    Of all such lines, the one with the largest step from inside to outside along it. Raises Unreadable if there is a
    much clearer one below: then the picture is upside down.
    """
    smooth = ndimage.gaussian_filter(coarse, 1.5 / mm)
    scale = float(np.percentile(smooth[mask], 90) - np.percentile(smooth[mask], 10))
    above, step = _corner(smooth, mask, mm)
    _, below = _corner(smooth[::-1], mask[::-1], mm)
    if below >= 0.35 * scale and below >= 1.5 * step:
        raise Unreadable("the pectoral muscle is at the lower border: the picture is upside down against its tags")
    return above if step >= 0.2 * scale else np.zeros_like(mask)


def _corner(smooth: Plane, mask: NDArray[np.bool_], mm: float) -> tuple[NDArray[np.bool_], float]:
    """The corner with the largest median step over its edge, and that step."""
    rows, columns = mask.shape
    best, found = 0.0, (0.0, 1.0)
    for wide in np.arange(15.0, 0.8 * columns * mm, 3.0):
        for long in np.arange(max(30.0, 1.0 * wide), 0.75 * rows * mm, 4.0):
            along = np.linspace(0.08, 0.85, 25)
            x, y = wide * (1 - along), long * along
            normal = np.array([long, wide]) / np.hypot(wide, long)
            inner = _sampled(smooth, mask, x - 3 * normal[0], y - 3 * normal[1], mm)
            outer = _sampled(smooth, mask, x + 3 * normal[0], y + 3 * normal[1], mm)
            step = np.quantile(inner - outer, 0.3) if inner.size and inner.shape == outer.shape else -np.inf
            if np.isfinite(step) and step > best:
                best, found = float(step), (wide, long)
    y, x = (np.arange(size) * mm for size in (rows, columns))
    corner = x[np.newaxis, :] < found[0] * (1 - y[:, np.newaxis] / found[1]) + 1.0
    return np.asarray(corner & mask), best


def _sampled(
    smooth: Plane, mask: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], mm: float
) -> NDArray[np.float64]:
    """Values at places in millimetres; no value where there is no breast."""
    rows, columns = np.rint(y / mm).astype(int), np.rint(x / mm).astype(int)
    inside = (rows >= 0) & (columns >= 0) & (rows < mask.shape[0]) & (columns < mask.shape[1])
    values = np.full(x.shape, np.nan)
    values[inside] = smooth[rows[inside], columns[inside]]
    return values if inside.mean() > 0.9 else np.zeros(0)
