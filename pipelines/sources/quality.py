"""What pixels themselves give away about a stack: empty and copied slices; in CT, metal and a body that is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


_METAL_HU, _METAL_MM2 = 3000.0, 15.0
"""Above enamel and the densest bone; scanners of 12 bits end at 3071 HU."""
_TISSUE_HU, _CUT_MM, _CUT_SHARE, _LOOKED_AT = -200.0, 80.0, 0.1, 64
"""A table crosses the border of the field of view in a few millimetres."""


def judge_slices(voxels: NDArray[np.float32]) -> list[str]:
    """Remarks on slices of one value and on copies of the slice before; voxels: (slices, rows, columns).

    No scanner measures the same noise twice: a copy stands where another part of the body should be. Raises
    NotProcessed when no slice shows anything.
    """
    empty = [place for place, each in enumerate(voxels) if _is_constant(each)]
    if len(empty) == len(voxels):
        raise NotProcessed(f"none of the {len(voxels)} slices shows anything: each has one value everywhere")
    copies = [
        place for place in range(1, len(voxels))
        if place not in empty and _is_equal(voxels[place - 1], voxels[place])
    ]
    remarks = []
    if empty:
        remarks.append(f"{_slices(empty)} without an image: one value everywhere; nothing can be found there.")
    if copies:
        remarks.append(f"{_slices(copies)} with the very pixels of the slice before: what is found there may lie "
                       "elsewhere.")
    return remarks


def judge_ct(
    voxels: NDArray[np.float32], valid: NDArray[np.bool_], in_plane_mm: tuple[float, float]
) -> list[str]:
    """Remarks on metal and on a body that the field of view cuts off.

    voxels: HU, (slices, rows, columns). valid: where the scanner measured; its border is that of the field of view.
    in_plane_mm: of a row and of a column.
    """
    return _on_metal(voxels, in_plane_mm) + _on_truncation(voxels, valid, in_plane_mm)


def _on_metal(voxels: NDArray[np.float32], in_plane_mm: tuple[float, float]) -> list[str]:
    least = _METAL_MM2 / (in_plane_mm[0] * in_plane_mm[1])
    places = [place for place, each in enumerate(voxels)
              if each.max() >= _METAL_HU and np.count_nonzero(each >= _METAL_HU) >= least]
    if not places:
        return []
    return [f"{_slices(places)} with metal, contrast medium in a vein or something else as dense ({_METAL_HU:.0f} HU "
            "and more) in or beside the body: streaks may hide or imitate findings there."]


def _on_truncation(
    voxels: NDArray[np.float32], valid: NDArray[np.bool_], in_plane_mm: tuple[float, float]
) -> list[str]:
    places = range(0, len(voxels), max(1, len(voxels) // _LOOKED_AT))
    cut = [length for place in places
           if (length := _cut_mm(voxels[place], valid[place], in_plane_mm)) >= _CUT_MM]
    if len(cut) < _CUT_SHARE * len(places):
        return []
    return [f"The body is cut off by the field of view in about {len(cut) / len(places):.0%} of the slices (up to "
            f"{round(max(cut), -1):.0f} mm of its border): what lies outside is not counted, and values near the "
            "border are not reliable."]


def _cut_mm(hu: NDArray[np.float32], valid: NDArray[np.bool_], in_plane_mm: tuple[float, float]) -> float:
    """How much of the border of the field of view lies in tissue."""
    inner = np.zeros_like(valid)
    inner[1:-1, 1:-1] = valid[:-2, 1:-1] & valid[2:, 1:-1] & valid[1:-1, :-2] & valid[1:-1, 2:]
    border = valid & ~inner
    return float(np.count_nonzero(border & (hu > _TISSUE_HU)) * np.sqrt(in_plane_mm[0] * in_plane_mm[1]))


def _is_constant(pixels: NDArray[np.float32]) -> bool:
    middle = pixels[len(pixels) // 2]  # nearly always decides, without reading the rest
    return bool((middle == middle[0]).all() and (pixels == middle[0]).all())


def _is_equal(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    middle = len(one) // 2
    return np.array_equal(one[middle], other[middle]) and np.array_equal(one, other)


def _slices(places: Sequence[int]) -> str:
    """As in "Slices 3, 4, 9", counted from 1 along the stack."""
    shown = ", ".join(str(place + 1) for place in places[:10])
    more = f" and {len(places) - 10} more" if len(places) > 10 else ""
    return f"{'Slice' if len(places) == 1 else 'Slices'} {shown}{more}"
