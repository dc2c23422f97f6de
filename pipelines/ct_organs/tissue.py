"""Muscle, subcutaneous and visceral fat on one axial slice of the abdomen, by Hounsfield units and the wall's ring.

HU ranges are those that body composition is reported with (muscle -29 to 150, fat -190 to -30; Mitsiopoulos 1998,
Mourtzakis 2008). Where tissues of one density touch, geometry decides:

- the *trunk wall* is what lean tissue encloses under the skin, closed over its gaps; fat outside it is subcutaneous;
- the *wall* itself is as thick as it is seen to be where fat touches it from inside; where bowel or liver touches it
  instead, as thick as beside that place. Where fat touches it nowhere near, nothing is said about muscle;
- behind the front of the vertebral body, muscle is what hangs together with the bones and the wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAT_HU, MUSCLE_HU = (-190.0, -30.0), (-29.0, 150.0)
BONE_HU = 130.0
_TISSUE_HU = -500.0
_SKIN_MM, _VESSELS_MM, _GAPS_MM, _SPIKES_MM, _TABLE_MM = 4.0, 2.0, 12.0, 10.0, 6.0
_RAYS, _WINDOW = 360, 20
_THICKEST_MM, _CONTACT_MM = 38.0, 2.0
_LEAST_CONTACT = 0.25
_CUT_MM = 20.0
_SPINE_MM, _BONE_MM2, _SMOOTH_MM, _CANAL_MM = 45.0, 1000.0, 1.5, 9.0
# Psoas lies beside the vertebral body, the muscles of the back behind it; kidneys touch both further out.
_PSOAS_MM, _BACK_MM = 24.0, 75.0
_VERTEBRA_MM, _BETWEEN_MM = 50.0, 8.0
# Rays from the front of the spine that meet the side walls, up to where the muscles of the back begin.
_SIDE = -0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissues:
    """Masks (rows, columns) of one slice, None for what cannot be told there, with the reasons.

    body: with all that it holds. wall: what lean tissue encloses.
    """

    body: NDArray[np.bool_]
    subcutaneous: NDArray[np.bool_] | None = None
    visceral: NDArray[np.bool_] | None = None
    muscle: NDArray[np.bool_] | None = None
    reasons: tuple[str, ...] = ()


def tissues(
    hu: NDArray[np.float32], valid: NDArray[np.bool_], spacing_mm: tuple[float, float],
    organs: NDArray[np.bool_] | None = None,
) -> Tissues:
    """Part one slice.

    hu, valid: (rows, columns), rows towards the back, columns towards the patient's left. organs: what a model says is
    neither muscle nor fat.
    """
    body = _body(hu, valid, spacing_mm)
    if not body.any():
        return Tissues(body=body, reasons=("no body was found on the slice",))
    fat = body & (hu >= FAT_HU[0]) & (hu <= FAT_HU[1])
    lean = body & (hu > FAT_HU[1])
    enclosed = _enclosed(body, lean, spacing_mm)
    reasons: list[str] = []
    cut = _is_cut(body, valid, spacing_mm)
    if cut:
        reasons.append("subcutaneous fat is not given: the body is cut off by the field of view")
    spine = _spine(hu, enclosed, spacing_mm)
    if spine is None:
        reasons.append("visceral fat and muscle are not given: no vertebral body was recognised on the slice")
        return Tissues(body=body, subcutaneous=None if cut else fat & ~enclosed, reasons=tuple(reasons))
    front = _front(spine)
    band, contact = _band(enclosed, fat | (body & (hu < FAT_HU[0])), front, spacing_mm)
    if contact < _LEAST_CONTACT:
        reasons.append(f"visceral fat and muscle are not given: fat shows the inner side of the abdominal wall on "
                       f"{100 * contact:.0f} % of it only")
        return Tissues(body=body, subcutaneous=None if cut else fat & ~enclosed, reasons=tuple(reasons))
    keep_out = np.zeros_like(body) if organs is None else organs
    soft = enclosed & (hu >= MUSCLE_HU[0]) & (hu <= MUSCLE_HU[1]) & ~keep_out & ~spine
    muscle = soft & (band | _behind(soft, spine, front, spacing_mm))
    inside = _cavity(enclosed & ~band, muscle, spine, front, spacing_mm)
    under_skin = _joined(fat & ~inside & ~band, ~enclosed, _VESSELS_MM, spacing_mm)
    return Tissues(
        body=body,
        subcutaneous=None if cut else (fat & ~enclosed) | under_skin,
        visceral=fat & inside & ~keep_out,
        muscle=muscle,
        reasons=tuple(reasons),
    )


def _disk(mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    reach = [max(1, round(mm / each)) for each in spacing_mm]
    rows, columns = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    inside: NDArray[np.bool_] = (rows * spacing_mm[0]) ** 2 + (columns * spacing_mm[1]) ** 2 <= mm**2 + 1e-6
    return inside


def _within(mask: NDArray[np.bool_], mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """The mask and all that is closer to it."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, spacing_mm) <= mm)


def _deeper(mask: NDArray[np.bool_], mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """What of the mask is further from its border; the border of the images is none."""
    padded = np.pad(mask, 1, mode="edge")
    return np.asarray(ndimage.distance_transform_edt(padded, spacing_mm)[1:-1, 1:-1] > mm)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _body(
    hu: NDArray[np.float32], valid: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """The trunk with its cavities; table and clothes are thinner than what is opened away."""
    tissue = (hu > _TISSUE_HU) & valid
    core = _largest(_deeper(tissue, _TABLE_MM, spacing_mm))
    body = _within(core, _TABLE_MM + 1.5 * max(spacing_mm), spacing_mm) & tissue if core.any() else core
    return np.asarray(ndimage.binary_fill_holes(body))


def _is_cut(body: NDArray[np.bool_], valid: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> bool:
    """Whether so much of the border of what was measured is body that fat is missing beside it."""
    measured = np.pad(valid, 1)
    edge = measured[1:-1, 1:-1] & ~ndimage.binary_erosion(measured)[1:-1, 1:-1]
    return float((body & edge).sum()) * min(spacing_mm) > _CUT_MM


def _enclosed(
    body: NDArray[np.bool_], lean: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """What the ring of muscle and bone encloses, itself included."""
    under_skin = lean & _deeper(body, _SKIN_MM, spacing_mm)
    solid = _within(_deeper(under_skin, _VESSELS_MM, spacing_mm), _VESSELS_MM, spacing_mm) & under_skin
    margin = 2 + round(_GAPS_MM / min(spacing_mm))
    padded = np.pad(solid, margin)
    closed = _deeper(_within(padded, _GAPS_MM, spacing_mm), _GAPS_MM, spacing_mm) | padded
    filled = np.asarray(ndimage.binary_fill_holes(closed))[margin:-margin, margin:-margin] & body
    return _largest(_within(_deeper(filled, _SPIKES_MM, spacing_mm), _SPIKES_MM, spacing_mm) & filled)


def _spine(
    hu: NDArray[np.float32], enclosed: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_] | None:
    """The vertebra, with canal and marrow; None beside a disc, where only arch and process are bone."""
    if not enclosed.any():
        return None
    rows, columns = np.nonzero(enclosed)
    middle, centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    # Marrow is hardly denser than enhanced vessels; the mean over some millimetres keeps vertebrae and loses those.
    smooth = ndimage.gaussian_filter(hu, [_SMOOTH_MM / each for each in spacing_mm])
    bone = enclosed & (smooth > BONE_HU)
    allowed = np.zeros_like(bone)
    reach = _SPINE_MM / spacing_mm[1]
    allowed[int(middle - 10 / spacing_mm[0]) :, max(0, int(centre - reach)) : int(centre + reach) + 1] = True
    found = _largest(_within(bone & allowed, _CANAL_MM, spacing_mm) & allowed)
    filled = np.asarray(ndimage.binary_fill_holes(_deeper(found, _CANAL_MM, spacing_mm)))
    filled = _largest(filled)
    deep = int(filled.any(axis=1).sum()) * spacing_mm[0]
    large = float(filled.sum()) * spacing_mm[0] * spacing_mm[1] >= _BONE_MM2
    return filled if large and deep >= _VERTEBRA_MM else None


def _front(spine: NDArray[np.bool_]) -> int:
    """The row at the front of the vertebral body."""
    return int(np.flatnonzero(spine.sum(axis=1) >= 3)[0])


def _band(
    enclosed: NDArray[np.bool_], light: NDArray[np.bool_], front: int, spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.bool_], float]:
    """The wall in front of the spine, and the share of it whose inner side fat (or gas) shows.

    light: fat and gas. Rays run from the outer side of the wall to its middle, one a degree.
    """
    _, columns = np.nonzero(enclosed)
    centre = np.array([float(front), (columns.min() + columns.max()) / 2])
    angles = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    step = 0.5 * min(spacing_mm)
    distance = np.arange(0, 500, step)
    at_row = np.rint(centre[0] - np.cos(angles)[:, None] * distance / spacing_mm[0]).astype(int)
    at_column = np.rint(centre[1] + np.sin(angles)[:, None] * distance / spacing_mm[1]).astype(int)
    in_image = (at_row >= 0) & (at_row < enclosed.shape[0]) & (at_column >= 0) & (at_column < enclosed.shape[1])
    at_row, at_column = at_row.clip(0, enclosed.shape[0] - 1), at_column.clip(0, enclosed.shape[1] - 1)
    on = enclosed[at_row, at_column] & in_image
    outer = np.where(on.any(axis=1), on.shape[1] - 1 - np.argmax(on[:, ::-1], axis=1), 0)
    thickness = np.array([
        _thickness(light[at_row[ray], at_column[ray]][outer[ray] :: -1], step) for ray in range(_RAYS)
    ])
    in_front = np.cos(angles) > _SIDE
    seen = thickness <= _THICKEST_MM
    usual = np.array([_median(thickness[around][seen[around]]) for around in
                      (np.arange(ray - _WINDOW, ray + _WINDOW + 1) % _RAYS for ray in range(_RAYS))])
    known = np.isfinite(usual)
    # Where an organ lies against the wall, no fat is seen: as thick as beside it, and never much more than there.
    filled = np.interp(np.arange(3 * _RAYS), np.flatnonzero(np.tile(known, 3)), np.tile(usual[known], 3))[
        _RAYS : 2 * _RAYS] if known.any() else np.zeros(_RAYS)
    wall_mm = np.where(seen & (thickness <= 1.5 * filled), thickness, filled)
    row, column = np.indices(enclosed.shape)
    up, left = (centre[0] - row) * spacing_mm[0], (column - centre[1]) * spacing_mm[1]
    angle = np.rint(np.arctan2(left, up) * (_RAYS / (2 * np.pi))).astype(int) % _RAYS
    band = enclosed & (np.hypot(up, left) >= outer[angle] * step - wall_mm[angle]) & in_front[angle]
    return band, float(seen[in_front].mean())


def _thickness(light: NDArray[np.bool_], step: float) -> float:
    """How far in from the outer side the first run of fat begins; fat within the first 3 mm is not yet inside."""
    need = max(1, round(_CONTACT_MM / step))
    skip = round(3.0 / step)
    runs = np.convolve(light[skip:].astype(int), np.ones(need, int), "valid") == need
    return float((skip + np.argmax(runs)) * step) if runs.any() else np.inf


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size >= _WINDOW // 4 else np.nan


def _behind(
    soft: NDArray[np.bool_], spine: NDArray[np.bool_], front: int, spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """Muscle beside and behind the vertebra: what hangs together with it by more than 5 mm, and is near enough."""
    row = int(np.argmax(spine.sum(axis=1)))
    to_spine = ndimage.distance_transform_edt(~spine, spacing_mm)
    zone = to_spine <= _BACK_MM
    zone[: max(row, front)] = to_spine[: max(row, front)] <= _PSOAS_MM
    zone[:front] = False
    return _joined(soft & zone, (to_spine <= 12.0) & zone, 2.5, spacing_mm)


def _cavity(
    within: NDArray[np.bool_], muscle: NDArray[np.bool_], spine: NDArray[np.bool_], front: int,
    spacing_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """What the wall encloses without muscles and bones of the back and the fat between them, joined to the front."""
    solid = spine.copy()
    solid[front:] |= muscle[front:]
    margin = 2 + round(_BETWEEN_MM / min(spacing_mm))
    padded = np.pad(solid, margin)
    closed = _deeper(_within(padded, _BETWEEN_MM, spacing_mm), _BETWEEN_MM, spacing_mm) | padded
    rest = np.asarray(ndimage.binary_fill_holes(closed))[margin:-margin, margin:-margin]
    before = np.zeros_like(within)
    before[:front] = True
    return _joined(within & ~rest, before, 3.0, spacing_mm)


def _joined(
    mask: NDArray[np.bool_], seed: NDArray[np.bool_], mm: float, spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """What of the mask hangs together with the seed by bridges wider than twice a distance."""
    parts, _ = ndimage.label(_deeper(np.asarray(mask | seed), mm, spacing_mm))
    kept = np.unique(parts[seed & (parts > 0)])
    return np.asarray(_within(np.isin(parts, kept[kept > 0]), mm + max(spacing_mm) / 2, spacing_mm) & mask)
