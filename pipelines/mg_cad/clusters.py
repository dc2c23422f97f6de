"""Clusters of micro-calcifications: small bright spots, more of them within a circle of 10 mm than chance puts there.

Differences of Gaussians at three scales (the Laplacian of Lindeberg, IJCV 30:79, 1998) answer to spots of 0.2 to
0.7 mm; an answer is measured against those around it, so that noise and texture set their own threshold. Spots as
strong as those of a group are counted over the whole breast, and the group's score is how unlikely it is that so many
of them fall into one circle by chance (a scan statistic, Kulldorff, Commun Stat 26:1481, 1997): a noisy image, or a
breast full of single calcifications, asks for more of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, cKDTree
from scipy.special import gammainc

from radnode.pipelines.mg_cad.marks import CLUSTER, Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.mg_cad.breast import Breast

# Between each two of them lies a scale; unlike a sampled Laplacian, their difference is 0 on even ground whatever the
# size of the pixels.
_SIGMAS_MM = (0.10, 0.145, 0.21, 0.30)
_SMALLEST_PIXELS = 0.45
# The weakest answers that count as spots, in standard deviations of those around.
_SPOT = 3.0
_ROUND = 0.35
_MOST_SPOTS = 1500
_NEIGHBOURHOOD_MM = 10.0
_FEWEST, _MOST_MEMBERS = 3, 40
_MOST_MARKS = 5
# Of the logistic function from score to certainty, fitted on phantoms of the seeds for tuning.
_MIDDLE, _WIDTH = 4.8, 0.55


class Clusters:
    """The baseline detector."""

    kind = CLUSTER

    def __call__(self, breast: Breast) -> list[Mark]:
        """Marks by falling certainty."""
        spots = _spots(breast)
        searched_mm2 = float(breast.searched.sum()) * breast.coarse_mm**2
        return _grouped(spots, searched_mm2)


def _spots(breast: Breast) -> NDArray[np.float64]:
    """(n, 2) places (depth, down) in millimetres, by falling strength."""
    fine, mm = breast.fine, breast.pixel_mm
    strongest = np.zeros(fine.shape, np.float32)
    sigmas = [each / mm for each in _SIGMAS_MM if each / mm >= _SMALLEST_PIXELS]
    sharper = ndimage.gaussian_filter(fine, sigmas[0]) if sigmas else fine
    for sigma in sigmas[1:]:
        smoother = ndimage.gaussian_filter(fine, sigma)
        answer = sharper - smoother
        np.maximum(strongest, answer / _spread(answer, mm), out=strongest)
        sharper = smoother
    peaks = (strongest == ndimage.maximum_filter(strongest, size=2 * round(0.4 / mm) + 1)) & (strongest > _SPOT)
    rows, columns = np.nonzero(peaks)
    inside = breast.searched[tuple(np.minimum((each * mm / breast.coarse_mm).astype(int), limit - 1)
                                   for each, limit in zip((rows, columns), breast.mask.shape, strict=True))]
    rows, columns = rows[inside], columns[inside]
    kept = strongest[rows, columns].argsort(kind="stable")[::-1][:_MOST_SPOTS]
    rows, columns = rows[kept], columns[kept]
    compact = _roundness(fine, rows, columns, mm) > _ROUND
    return np.asarray((np.stack([columns, rows], axis=1)[compact] + 0.5) * mm, np.float64)


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


def _grouped(spots: NDArray[np.float64], searched_mm2: float) -> list[Mark]:
    """The least likely group first; its spots belong to no other. spots: by falling strength."""
    marks: list[Mark] = []
    circle = np.pi * (_NEIGHBOURHOOD_MM / 2) ** 2 / max(searched_mm2, 1.0)
    # Of the spots at least as strong as each one, how many a circle holds by chance.
    expected = np.arange(1.0, len(spots) + 1) * circle
    while len(marks) < _MOST_MARKS and len(spots) >= _FEWEST:
        score, members = _least_likely(spots, expected)
        if score <= 0:
            break
        center = spots[members].mean(0)
        certainty = float(1 / (1 + np.exp(-(score - _MIDDLE) / _WIDTH)))
        marks.append(Mark(kind=CLUSTER, center=(float(center[0]), float(center[1])), outline=_around(spots[members]),
                          certainty=certainty, count=len(members)))
        left = np.linalg.norm(spots - center, axis=1) > _NEIGHBOURHOOD_MM
        spots, expected = spots[left], expected[left]
    return sorted(marks, key=lambda each: -each.certainty)


def _least_likely(spots: NDArray[np.float64], expected: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    """-log10 of the chance of so many spots so strong in one circle around one of them, and which spots they are.

    spots: by falling strength. expected: how many as strong as each one a circle holds by chance.
    """
    _, near = cKDTree(spots).query(spots, k=_MOST_MEMBERS, distance_upper_bound=_NEIGHBOURHOOD_MM / 2)
    near.sort(axis=1)  # by falling strength; what is lacking, at the end, is len(spots)
    counts = np.arange(1, _MOST_MEMBERS + 1)
    # P(N >= count) of a Poisson distribution, which is certain of what is lacking
    chance = gammainc(counts, np.append(expected, np.inf)[near])[:, _FEWEST - 1:]
    center, last = np.unravel_index(chance.argmin(), chance.shape)
    return float(-np.log10(max(chance[center, last], 1e-300))), near[center, :last + _FEWEST]


def _around(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """An outline 1 mm outside of the spots."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = (points[:, np.newaxis] + np.stack([np.cos(angles), np.sin(angles)], 1)).reshape(-1, 2)
    try:
        return np.asarray(ring[ConvexHull(ring).vertices])
    except QhullError:
        return np.asarray(ring[:12])
