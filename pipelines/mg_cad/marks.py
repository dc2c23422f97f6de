"""What a detector says of one image, and the two places that a trained model can take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from radnode.pipelines.mg_cad.breast import Breast

MASS, CLUSTER = "mass", "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on a :class:`~radnode.pipelines.mg_cad.breast.Breast`.

    center: (depth, down), millimetres from the corner of its image. outline: float64 (n, 2), the same, closed without
    repeating the first point. certainty: 0 to 1. count: calcifications seen, of a cluster.
    """

    kind: str
    center: tuple[float, float]
    outline: NDArray[np.float64]
    certainty: float
    count: int = 0


class Detector(Protocol):
    """Finds lesions of one kind on one image. A bundle takes this place by being called like this."""

    kind: str

    def __call__(self, breast: Breast) -> list[Mark]:
        """Marks by falling certainty, at most a few an image. Raises nothing."""
        ...


class DensityEstimate(Protocol):
    """The share of dense tissue on one image, 0 to 1."""

    def __call__(self, breast: Breast) -> float:
        """Of the breast's area without the muscle."""
        ...
