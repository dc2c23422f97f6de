"""Masses: compact bright regions of 6 to 25 mm that the gradients around them point into.

At each scale the share of gradients that point to a place (the iris filter of Kobatake and Murakami, ICPR 1996) and the
contrast of the disc against its ring, in standard deviations of the breast's texture at that scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from radnode.pipelines.mg_cad.marks import MASS, Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.mg_cad.breast import Breast

    Plane = NDArray[np.float32]

_RADII_MM = (4.0, 5.5, 7.5, 10.0)
_MOST_MARKS = 4
_APART_MM = 12.0
# The muscle's edge, found to within some millimetres, is no mass.
_BESIDE_MUSCLE_MM = 4.0
# Of the logistic function from score to certainty, fitted on phantoms of the seeds for tuning.
_MIDDLE, _WIDTH = 2.25, 0.32


class Masses:
    """The baseline detector."""

    kind = MASS

    def __call__(self, breast: Breast) -> list[Mark]:
        """Marks by falling certainty."""
        score, radius = _scores(breast)
        mm = breast.coarse_mm
        beside = ndimage.binary_dilation(breast.muscle, iterations=round(_BESIDE_MUSCLE_MM / mm))
        score[~breast.searched | beside] = 0
        marks: list[Mark] = []
        peaks = np.argwhere((score == ndimage.maximum_filter(score, size=2 * round(3 / mm) + 1)) & (score > 0.3))
        peaks = peaks[np.argsort(-score[tuple(peaks.T)])]
        for row, column in peaks:
            center = (float(column) + 0.5) * mm, (float(row) + 0.5) * mm
            if all(np.hypot(center[0] - each.center[0], center[1] - each.center[1]) > _APART_MM for each in marks):
                certainty = float(1 / (1 + np.exp(-(float(score[row, column]) - _MIDDLE) / _WIDTH)))
                marks.append(Mark(kind=MASS, center=center, certainty=certainty,
                                  outline=_circle(center, float(radius[row, column]))))
            if len(marks) == _MOST_MARKS:
                break
        return marks


def _scores(breast: Breast) -> tuple[Plane, Plane]:
    """The score of each place, and the radius, in millimetres, that gave it."""
    mm, searched = breast.coarse_mm, breast.mask & ~breast.muscle
    filled = _without_border(breast.coarse, searched)
    best, radius = np.zeros_like(filled), np.zeros_like(filled)
    for reach in _RADII_MM:
        converging = _convergence(filled, reach / mm)
        contrast = _contrast(filled, reach / mm)
        spread = 1.4826 * float(np.median(np.abs(contrast[searched] - np.median(contrast[searched]))))
        answer = np.clip(converging, 0, None) * np.clip(contrast / max(spread, 1e-6), 0, 6)
        better = answer > best
        best[better], radius[better] = answer[better], reach
    return best, radius


def _without_border(coarse: Plane, searched: NDArray[np.bool_]) -> Plane:
    """The image with the nearest tissue's value outside of what is searched: no gradient at skin and muscle.

    What changes slowly over the breast is taken away, so that a mass stands on even ground.
    """
    nearest = ndimage.distance_transform_edt(~ndimage.binary_erosion(searched, iterations=2, border_value=1),
                                             return_distances=False, return_indices=True)
    return np.asarray(coarse[tuple(nearest)], np.float32)


def _convergence(image: Plane, reach: float) -> Plane:
    """Mean cosine between the gradient and the direction to each place, over a ring around it: -1 to 1."""
    smooth = ndimage.gaussian_filter(image, max(1.0, reach / 5))
    down, right = np.gradient(smooth)
    size = np.hypot(down, right)
    # Gradients of noise alone count less.
    weight = size / (size + np.median(size) + 1e-6)
    down, right = (np.nan_to_num(each / np.maximum(size, 1e-6)) * weight for each in (down, right))
    half = int(np.ceil(1.3 * reach))
    y, x = np.mgrid[-half:half + 1, -half:half + 1].astype(np.float32)
    distance = np.hypot(y, x)
    ring = ((distance <= 1.3 * reach) & (distance >= 0.5 * reach)) / np.maximum(distance, 1)
    ring /= (ring * distance).sum()
    return np.asarray(fftconvolve(down, y * ring, "same") + fftconvolve(right, x * ring, "same"), np.float32)


def _contrast(image: Plane, reach: float) -> Plane:
    """Mean of the disc less the mean of the ring around it."""
    half = int(np.ceil(1.8 * reach))
    y, x = np.mgrid[-half:half + 1, -half:half + 1].astype(np.float32)
    distance = np.hypot(y, x)
    disc, ring = distance <= 0.8 * reach, (distance >= 1.15 * reach) & (distance <= 1.8 * reach)
    padded = np.pad(image, half, mode="edge")
    return np.asarray(fftconvolve(padded, disc / disc.sum() - ring / ring.sum(), "valid"), np.float32)


def _circle(center: tuple[float, float], radius: float) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.array(center) + (radius + 1) * np.stack([np.cos(angles), np.sin(angles)], 1)
