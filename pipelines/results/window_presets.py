"""Windows that a reader chooses by name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """Values at and below `low` are black, at and above `high` white; in the units of the images."""

    low: float
    high: float
    name: str

    @property
    def limits(self) -> tuple[float, float]:
        """What is black and what is white."""
        return self.low, self.high

    @property
    def center(self) -> float:
        """In the middle."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """From black to white."""
        return self.high - self.low

    @property
    def said(self) -> str:
        """For a reader: name, centre and width."""
        return f"{self.name}, C {self.center:.0f} W {self.width:.0f}"

    def grey(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """0 to 255."""
        share = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return np.asarray(share * 255).astype(np.uint8)


LUNG = Window(-1250.0, 250.0, "lung window")
SOFT_TISSUE = Window(-160.0, 240.0, "soft tissue window")
BONE = Window(-600.0, 1400.0, "bone window")
BRAIN = Window(0.0, 80.0, "brain window")
LIVER = Window(-45.0, 165.0, "liver window")
MEDIASTINUM = Window(-135.0, 215.0, "mediastinum window")
PRESETS = {"lung": LUNG, "soft-tissue": SOFT_TISSUE, "bone": BONE, "brain": BRAIN, "liver": LIVER,
           "mediastinum": MEDIASTINUM}
"""As a model's description names them; of CT alone."""
