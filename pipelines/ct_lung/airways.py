"""Trachea and main bronchi, which are no lung, on the coarse grid in canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.ct_lung.body import IN_PLANE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.grids import Coarse

# Cross-section in an axial plane: the trachea is 13-27 mm wide in adults (Breatnach 1984), less in children,
# more in tracheobronchomegaly and where a main bronchus runs obliquely.
_AREA_MM2 = (25.0, 1000.0)
_WIDTH_MM = 45.0
_FILLED = 0.45
_FROM_MIDLINE_MM = 55.0
_LENGTH_MM = 25.0
# Walls thinner than a coarse voxel vanish at the first threshold; the others find the lumen alone.
_LUMEN_HU = (-600.0, -800.0, -900.0)
_CORNERS = ndimage.generate_binary_structure(3, 3)
# Main bronchi end about 50 mm from the carina; together they hold some 15 ml.
_BRONCHI_BESIDE_MM, _BRONCHI_BELOW_MM, _BRONCHI_ML = 50.0, 50.0, 40.0


def find_airways(coarse: Coarse, inside: NDArray[np.bool_], midline_mm: float) -> NDArray[np.bool_]:
    """The lumen of the trachea and of the main bronchi as far as walls separate them from lung; may be empty.

    It is the longest run of small, compact, air-filled cross-sections near the midline that reaches the upper
    half of the air in the body.
    """
    for threshold in _LUMEN_HU:
        air = inside & (coarse.hu < threshold)
        tube = _longest_tube(_small_sections(air, coarse, midline_mm), air, coarse)
        if tube.any():
            return tube | _bronchi(tube, air, coarse)
    return np.zeros(inside.shape, np.bool_)


def _small_sections(air: NDArray[np.bool_], coarse: Coarse, midline_mm: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(air, IN_PLANE)
    _, row_mm, column_mm = coarse.spacing_mm
    area = np.bincount(labels.ravel(), minlength=count + 1) * row_mm * column_mm
    candidates = np.flatnonzero((area >= _AREA_MM2[0]) & (area <= _AREA_MM2[1]))
    boxes = ndimage.find_objects(labels)
    kept = np.zeros(count + 1, np.bool_)
    for label in candidates[candidates > 0]:
        plane, rows, columns = boxes[label - 1]
        height, width = (rows.stop - rows.start) * row_mm, (columns.stop - columns.start) * column_mm
        middle = np.array([[plane.start, (rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2]])
        kept[label] = (
            max(height, width) <= _WIDTH_MM
            and area[label] >= _FILLED * height * width
            and abs(float(coarse.x_mm(middle)[0]) - midline_mm) <= _FROM_MIDLINE_MM
        )
    return np.asarray(kept[labels], np.bool_)


def _longest_tube(sections: NDArray[np.bool_], air: NDArray[np.bool_], coarse: Coarse) -> NDArray[np.bool_]:
    labels, count = ndimage.label(sections, _CORNERS)
    nothing = np.zeros(sections.shape, np.bool_)
    if count == 0:
        return nothing
    planes = np.flatnonzero(air.any(axis=(1, 2)))
    middle = np.average(planes, weights=air.sum(axis=(1, 2))[planes])
    boxes = ndimage.find_objects(labels)
    lengths = [
        (box[0].stop - box[0].start) * coarse.spacing_mm[0] if box[0].stop - 1 >= middle else 0.0 for box in boxes
    ]
    best = int(np.argmax(lengths))
    if lengths[best] < _LENGTH_MM:
        return nothing
    return np.asarray(labels == best + 1, np.bool_)


def _bronchi(tube: NDArray[np.bool_], air: NDArray[np.bool_], coarse: Coarse) -> NDArray[np.bool_]:
    """The lumen of the main bronchi, followed from the end of the trachea through air darker than lung.

    Where lung is as dark (emphysema) and the wall is lost, this runs into the lung; then nothing is added.
    """
    lumen, lung = float(np.median(coarse.hu[tube])), float(np.median(coarse.hu[air]))
    first, last = (int(each) for each in np.flatnonzero(tube.any(axis=(1, 2)))[[0, -1]])
    below = max(0, first - round(_BRONCHI_BELOW_MM / coarse.spacing_mm[0]))
    carina = ndimage.center_of_mass(tube[first : first + 1])
    window = np.zeros(tube.shape, np.bool_)
    rows, columns = (
        slice(max(0, round(centre - _BRONCHI_BESIDE_MM / mm)), round(centre + _BRONCHI_BESIDE_MM / mm))
        for centre, mm in zip(carina[1:], coarse.spacing_mm[1:], strict=True)
    )
    window[below : last + 1, rows, columns] = True
    dark = window & (coarse.hu < (lumen + lung) / 2) | tube
    labels, _ = ndimage.label(dark)
    grown = np.isin(labels, np.unique(labels[tube])) & ~tube
    return grown if float(grown.sum()) * coarse.voxel_ml <= _BRONCHI_ML else np.zeros(tube.shape, np.bool_)
