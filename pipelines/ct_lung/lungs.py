"""Left and right lung from Hounsfield units, by thresholds and morphology; no trained weights.

Air inside the body, without airways and bowel gas, parted into two lungs, closed over the vessels, and
brought back to the images' grid. What the method cannot tell is refused or said, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung.airways import find_airways
from radnode.pipelines.ct_lung.body import inside_body
from radnode.pipelines.ct_lung.grids import Coarse, coarsen, refine
from radnode.pipelines.ct_lung.posture import refuse_contradiction
from radnode.pipelines.ct_lung.sides import centre_x, part
from radnode.pipelines.geometry import orientation_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

# Half-way between aerated lung (about -850) and soft tissue (about 50).
LUNG_HU = -400.0
SMALLEST_LUNG_ML = 80.0
# Pure gas (bowel, stomach) has no structure: nearly all of it, away from its border, is this dark.
_GAS_HU, _GAS_SHARE, _BORDER_MM = -935.0, 0.88, 3.0
_APART_MM = 40.0
_WALL_MM = 3.0
_OESOPHAGUS_ML, _OESOPHAGUS_MM = 30.0, 45.0
# Vessels and airways inside a lung belong to it; those of the hilum, wider than twice this, do not.
_CLOSING_MM = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """What was found: masks on the volume's grid, None for a lung that is not there.

    airways_found: whether trachea and main bronchi were recognised and left out.
    uncounted_ml: air-filled parts beside the lungs that may or may not be lung.
    """

    left: NDArray[np.bool_] | None = None
    right: NDArray[np.bool_] | None = None
    airways_found: bool = False
    uncounted_ml: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A connected region of air inside the body, on the coarse grid."""

    mask: NDArray[np.bool_]
    ml: float
    gas: bool

    def planes(self) -> tuple[int, int]:
        """First and last axial plane."""
        found = np.flatnonzero(self.mask.any(axis=(1, 2)))
        return int(found[0]), int(found[-1])


def segment_lungs(volume: Volume, device: str, stage: Callable[[str], None]) -> Lungs:
    """Find the lungs. Raises NotProcessed when left and right cannot be told apart."""
    stage("looking for the body")
    orientation = orientation_of(volume.affine)
    coarse = coarsen(volume, orientation, device)
    inside = inside_body(coarse.hu)
    if not inside.any():
        return Lungs()
    stage("looking for airways and lungs")
    midline = centre_x(inside, coarse)
    airways = find_airways(coarse, inside, midline)
    keep_out = _within(airways, _WALL_MM, coarse) | ~inside
    pieces = _pieces((coarse.hu < LUNG_HU) & ~keep_out, coarse)
    lungs = _choose(pieces, coarse, midline)
    if not lungs:
        return Lungs(airways_found=bool(airways.any()))
    lungs, uncounted = _with_fragments(lungs, pieces, coarse, midline)
    refuse_contradiction(coarse, inside, airways, np.logical_or.reduce(lungs))
    named = _name(lungs, coarse, midline)
    stage("following the borders")
    filled = {name: _fill(mask, keep_out, coarse) for name, mask in named.items()}
    fine = {}
    for name, mask in filled.items():
        others = [other for key, other in filled.items() if key != name]
        core, reach = _core_and_reach(mask, named[name], others, keep_out, coarse)
        fine[name] = refine(volume, orientation, coarse, (core, reach), LUNG_HU, device)
    if len(fine) == 2:
        fine["left"] &= ~fine["right"]
    return Lungs(
        left=fine.get("left"),
        right=fine.get("right"),
        airways_found=bool(airways.any()),
        uncounted_ml=uncounted,
    )


def _within(mask: NDArray[np.bool_], distance_mm: float, coarse: Coarse) -> NDArray[np.bool_]:
    """The mask and everything closer to it than a distance."""
    if not mask.any():
        return mask
    box = _box(mask, distance_mm, coarse)
    result = np.zeros(mask.shape, np.bool_)
    result[box] = ndimage.distance_transform_edt(~mask[box], coarse.spacing_mm) <= distance_mm
    return result


def _box(mask: NDArray[np.bool_], margin_mm: float, coarse: Coarse) -> tuple[slice, ...]:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    margins = [int(np.ceil(margin_mm / each)) + 1 for each in coarse.spacing_mm]
    return tuple(
        slice(max(each.start - margin, 0), each.stop + margin) for each, margin in zip(box, margins, strict=True)
    )


def _pieces(air: NDArray[np.bool_], coarse: Coarse) -> list[_Piece]:
    """Regions of at least 3 ml, largest first."""
    labels, count = ndimage.label(air)
    if count == 0:
        return []
    sizes = np.bincount(labels.ravel()) * coarse.voxel_ml
    sizes[0] = 0
    return [
        _Piece(mask=(mask := labels == label), ml=float(sizes[label]), gas=_is_gas(mask, coarse))
        for label in np.argsort(-sizes)[:40]
        if sizes[label] >= 3.0
    ]


def _is_gas(mask: NDArray[np.bool_], coarse: Coarse) -> bool:
    box = _box(mask, 0, coarse)
    inner = ndimage.distance_transform_edt(np.pad(mask[box], 1), coarse.spacing_mm)[1:-1, 1:-1, 1:-1] > _BORDER_MM
    values = coarse.hu[box][inner if inner.any() else mask[box]]
    return float((values < _GAS_HU).mean()) > _GAS_SHARE


def _choose(pieces: list[_Piece], coarse: Coarse, midline: float) -> list[NDArray[np.bool_]]:
    """One or two lungs, or none. Raises NotProcessed for a region that is both and cannot be parted."""
    candidates = [piece for piece in pieces if not piece.gas and piece.ml >= SMALLEST_LUNG_ML]
    if not candidates:
        return []
    first = candidates[0]
    x = coarse.x_mm(np.argwhere(first.mask).astype(np.float64))
    smaller_side = min(float((x > midline).mean()), float((x < midline).mean()))
    if smaller_side > 0.1 and (halves := part(first.mask, coarse)):
        return list(halves)
    for other in candidates[1:]:
        if _is_beside(other, first, coarse):
            return [first.mask, other.mask]
    if smaller_side > 0.25:
        raise NotProcessed("air-filled lung on both sides of the midline could not be parted into left and right")
    return [first.mask]


def _is_beside(other: _Piece, first: _Piece, coarse: Coarse) -> bool:
    (bottom, top), (other_bottom, other_top) = first.planes(), other.planes()
    shared = min(top, other_top) - max(bottom, other_bottom) + 1
    apart = abs(centre_x(other.mask, coarse) - centre_x(first.mask, coarse))
    return shared >= 0.3 * (other_top - other_bottom + 1) and apart >= _APART_MM


def _with_fragments(
    lungs: list[NDArray[np.bool_]], pieces: list[_Piece], coarse: Coarse, midline: float
) -> tuple[list[NDArray[np.bool_]], float]:
    """Add parts cut off from a lung, for example by a tumour. Low down they might be bowel, and are counted
    only; small ones near the midline are air in the oesophagus.
    """
    taken = np.logical_or.reduce(lungs)
    planes = np.flatnonzero(taken.any(axis=(1, 2)))
    low = planes[0] + (planes[-1] - planes[0]) / 3
    grown = list(lungs)
    uncounted = 0.0
    for piece in pieces:
        if piece.gas or (piece.mask & taken).any():
            continue
        if piece.ml < _OESOPHAGUS_ML and abs(centre_x(piece.mask, coarse) - midline) < _OESOPHAGUS_MM:
            continue
        near = _within(piece.mask, 8.0, coarse)
        contact = [int((near & lung).sum()) for lung in lungs]
        if max(contact) == 0:
            continue
        bottom, top = piece.planes()
        if (bottom + top) / 2 >= low:
            grown[int(np.argmax(contact))] = grown[int(np.argmax(contact))] | piece.mask
        else:
            uncounted += piece.ml
    return grown, uncounted


def _name(lungs: list[NDArray[np.bool_]], coarse: Coarse, midline: float) -> dict[str, NDArray[np.bool_]]:
    """By patient coordinates: x grows towards the patient's left. Raises NotProcessed in doubt."""
    centres = [centre_x(lung, coarse) for lung in lungs]
    if len(lungs) == 1:
        if abs(centres[0] - midline) < _APART_MM / 2:
            raise NotProcessed("one lung was found, in the middle of the body: left or right cannot be told")
        return {"left" if centres[0] > midline else "right": lungs[0]}
    if abs(centres[0] - centres[1]) < _APART_MM:
        raise NotProcessed("two lungs were found that do not lie beside each other: left and right cannot be told")
    left, right = (lungs[0], lungs[1]) if centres[0] > centres[1] else (lungs[1], lungs[0])
    return {"left": left, "right": right}


def _fill(lung: NDArray[np.bool_], keep_out: NDArray[np.bool_], coarse: Coarse) -> NDArray[np.bool_]:
    """Close a lung over its vessels and fill what it surrounds on all sides.

    Not plane by plane: around the dome of the diaphragm an axial plane of lung surrounds the liver.
    """
    box = _box(lung, _CLOSING_MM, coarse)
    inner = lung[box]
    grown = np.pad(ndimage.distance_transform_edt(~inner, coarse.spacing_mm) <= _CLOSING_MM, 1, mode="edge")
    closed = (ndimage.distance_transform_edt(grown, coarse.spacing_mm) > _CLOSING_MM)[1:-1, 1:-1, 1:-1] | inner
    filled = np.zeros(lung.shape, np.bool_)
    filled[box] = ndimage.binary_fill_holes(closed)
    return (filled & ~keep_out) | lung


def _core_and_reach(
    filled: NDArray[np.bool_],
    lung: NDArray[np.bool_],
    others: list[NDArray[np.bool_]],
    keep_out: NDArray[np.bool_],
    coarse: Coarse,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is lung whatever its density, and how far outside the coarse border lung may still be found."""
    border = max(coarse.spacing_mm)
    inner = np.pad(filled, 1, mode="edge")
    core = ndimage.distance_transform_edt(inner, coarse.spacing_mm)[1:-1, 1:-1, 1:-1] > border
    core |= filled & ~lung & ~_within(~filled, border / 2, coarse)
    reach = _within(filled, border * 1.5, coarse)
    for other in others:
        core &= ~other
        reach &= ~other | filled
    return core & ~keep_out, reach & ~keep_out
