"""Clusters of micro-calcifications: small bright spots, several within a circle of 10 mm.

A Laplacian of Gaussian at three scales (Lindeberg, IJCV 30:79, 1998) answers to spots of 0.2 to 0.7 mm; its answer is
measured against the answers around it, so that noise and texture set their own threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, cKDTree

from radnode.pipelines.mg_cad.marks import CLUSTER, Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.mg_cad.breast import Breast

_SIGMAS_MM = (0.12, 0.18, 0.26)
# Answers, in standard deviations of those around, that make a spot.
_SPOT, _CLEAR = 5.0, 14.0
_ROUND = 0.35
_MOST_SPOTS = 1500
_NEIGHBOURHOOD_MM = 10.0
_FEWEST = 3
_MOST_MARKS = 5
# Of the logistic function from score to certainty, fitted on phantoms of the seeds for tuning.
_MIDDLE, _WIDTH = 8.0, 4.0


class Clusters:
    """The baseline detector."""

    kind = CLUSTER

    def __call__(self, breast: Breast) -> list[Mark]:
        """Marks by falling certainty."""
        spots, strengths = _spots(breast)
        return _grouped(spots, strengths)


def _spots(breast: Breast) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) places (depth, down) in millimetres, and how strong each is, in standard deviations."""
    fine, mm = breast.fine, breast.pixel_mm
    strongest = np.zeros(fine.shape, np.float32)
    for sigma in (each / mm for each in _SIGMAS_MM if each / mm >= 0.6):
        answer = -ndimage.gaussian_laplace(fine, sigma, truncate=3.0)
        strongest = np.maximum(strongest, answer / _spread(answer, mm))
    peaks = (strongest == ndimage.maximum_filter(strongest, size=2 * round(0.4 / mm) + 1)) & (strongest > _SPOT)
    rows, columns = np.nonzero(peaks)
    inside = breast.searched[tuple(np.minimum((each * mm / breast.coarse_mm).astype(int), limit - 1)
                                   for each, limit in zip((rows, columns), breast.mask.shape, strict=True))]
    rows, columns = rows[inside], columns[inside]
    strengths = strongest[rows, columns].astype(np.float64)
    kept = strengths.argsort()[::-1][:_MOST_SPOTS]
    rows, columns, strengths = rows[kept], columns[kept], strengths[kept]
    compact = _roundness(fine, rows, columns, mm) > _ROUND
    places = (np.stack([columns, rows], axis=1)[compact] + 0.5) * mm
    return places, strengths[compact]


def _spread(answer: NDArray[np.float32], mm: float) -> NDArray[np.float32]:
    """Standard deviation of the answers in some millimetres around, from absolute values: few spots weigh little."""
    step = max(1, round(0.5 / mm))
    rows, columns = (size // step * step for size in answer.shape)
    blocks = np.abs(answer[:rows, :columns]).reshape(rows // step, step, columns // step, step).mean((1, 3))
    local = ndimage.gaussian_filter(ndimage.median_filter(blocks, 9), 3.0) * 1.2533
    whole = np.repeat(np.repeat(local, step, 0), step, 1)
    padded = np.pad(whole, ((0, answer.shape[0] - rows), (0, answer.shape[1] - columns)), mode="edge")
    return np.asarray(np.maximum(padded, 1e-3 * max(float(local.max()), 1e-6)), np.float32)


def _roundness(
    fine: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64], mm: float
) -> NDArray[np.float64]:
    """Smaller by larger curvature at each place, 1 for a round spot, 0 on a vessel's wall."""
    reach = max(1, round(0.2 / mm))
    padded = np.pad(fine, reach + 1, mode="edge")
    rows, columns = rows + reach + 1, columns + reach + 1

    def at(down: int, right: int) -> NDArray[np.float64]:
        around = [padded[rows + down + i, columns + right + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        return np.asarray(np.mean(around, axis=0) if reach > 1 else padded[rows + down, columns + right], np.float64)

    middle = at(0, 0)
    across, along = at(0, -reach) + at(0, reach) - 2 * middle, at(-reach, 0) + at(reach, 0) - 2 * middle
    mixed = (at(reach, reach) + at(-reach, -reach) - at(reach, -reach) - at(-reach, reach)) / 4
    half, root = (across + along) / 2, np.sqrt(((across - along) / 2) ** 2 + mixed**2)
    return np.asarray((half + root) / np.minimum(half - root, -1e-6), np.float64)


def _grouped(spots: NDArray[np.float64], strengths: NDArray[np.float64]) -> list[Mark]:
    """The best neighbourhood first; its spots belong to no other."""
    marks: list[Mark] = []
    weights = np.minimum(strengths, _CLEAR) - _SPOT + 1
    free = np.ones(len(spots), np.bool_)
    while len(marks) < _MOST_MARKS and free.sum() >= _FEWEST:
        places, weight = spots[free], weights[free]
        near = cKDTree(places).query_ball_point(places, _NEIGHBOURHOOD_MM / 2)
        sums = np.array([weight[each].sum() if len(each) >= _FEWEST else 0.0 for each in near])
        best = int(sums.argmax())
        if sums[best] <= 0:
            break
        members = np.nonzero(free)[0][near[best]]
        center = np.average(spots[members], axis=0, weights=weights[members])
        score = float(np.sort(weights[members])[::-1][:12].sum())
        certainty = float(1 / (1 + np.exp(-(score - _MIDDLE) / _WIDTH)))
        marks.append(Mark(kind=CLUSTER, center=(float(center[0]), float(center[1])), outline=_around(spots[members]),
                          certainty=certainty, count=len(members)))
        free &= np.linalg.norm(spots - center, axis=1) > _NEIGHBOURHOOD_MM
    return sorted(marks, key=lambda each: -each.certainty)


def _around(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """An outline 1 mm outside of the spots."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = (points[:, np.newaxis] + np.stack([np.cos(angles), np.sin(angles)], 1)).reshape(-1, 2)
    try:
        return np.asarray(ring[ConvexHull(ring).vertices])
    except QhullError:
        return np.asarray(ring[:12])
