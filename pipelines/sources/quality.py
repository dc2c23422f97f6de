"""What pixels themselves give away about a stack: slices without an image, and slices that are copies of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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
