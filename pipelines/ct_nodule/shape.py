"""How much a candidate looks like a nodule: a few measures of its shape, and a certainty made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from radnode.pipelines.ct_nodule.blobs import Blob
    from radnode.pipelines.ct_nodule.outline import Outline


# A ball's weakest curvature at its own scale, by its contrast.
_OF_A_BALL = 0.25
_BRIGHTEST_HU = -450.0
_LARGE_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Measures from about 0 to 1.

    roundness: weakest by strongest curvature. compact: radius of the largest ball inside by that of equal volume.
    free: share of what surrounds it that is aerated lung. long: shortest by longest axis. strength: of the blob, by
    what a ball of its contrast answers. size: radius by 8 mm, at most 1.
    """

    roundness: float
    compact: float
    free: float
    long: float
    strength: float
    size: float

    @property
    def terms(self) -> tuple[float, ...]:
        """What the logistic function weighs: a large one may be less round, because no vessel is as large."""
        one = (self.roundness, self.compact, self.free, self.long)
        return (*one, self.strength, self.size, *(each * self.size for each in one))


def shape_of(blob: Blob, outline: Outline) -> Shape:
    """The measures of a blob and its outline."""
    places = np.argwhere(outline.mask) * outline.mm
    spread = np.linalg.eigvalsh(np.cov(places.T)) if len(places) > 3 else np.ones(3)
    contrast = max(min(outline.core_hu, _BRIGHTEST_HU) - outline.background_hu, 50.0)
    return Shape(
        roundness=blob.roundness, compact=outline.inner_radius_mm / max(outline.radius_mm, 1e-6), free=outline.free,
        long=float(np.sqrt(max(spread[0], 0.0) / max(spread[2], 1e-6))),
        strength=blob.strength / (_OF_A_BALL * contrast), size=min(outline.radius_mm / _LARGE_MM, 1.0),
    )


# Logistic regression on the candidates of phantoms with the seeds for tuning: `tests/bench/nodules.py --tune`.
_WEIGHTS = (3.0, 6.41, 2.56, 2.16, 4.9, -0.6, 1.54, 11.04, -2.24, 4.95)
_CONSTANT = -19.02


def certainty(shape: Shape) -> float:
    """0 to 1: the share of candidates with such measures, on phantoms, that were nodules."""
    return float(1 / (1 + np.exp(-(float(np.dot(shape.terms, _WEIGHTS)) + _CONSTANT))))
