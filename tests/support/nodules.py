"""Chest phantoms with nodules as a pipeline sees them, and which marks lie on which nodule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import RunContext, StudyImages
from support.phantoms import volume_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.ct_nodule.phantom import Nodule, NodulePhantom

CONTEXT = RunContext(device="cpu", stage=lambda _stage: None)


def study(phantom: NodulePhantom, **acquisition: str) -> StudyImages:
    """The chest as a series."""
    return StudyImages(volume=volume_of(phantom.chest), modality="CT", excluded={}, acquisition=acquisition)


def nodule_at(nodules: Sequence[Nodule], center_lps: Sequence[float]) -> int | None:
    """The nodule that a mark lies on: nearer to its middle than its radius, as LUNA16 counts, or 3 mm."""
    distances = [float(np.linalg.norm(np.subtract(center_lps, each.center_lps))) - max(each.diameter_mm / 2, 3.0)
                 for each in nodules]
    nearest = int(np.argmin(distances)) if distances else 0
    return nearest if distances and distances[nearest] <= 0 else None
