"""What is measured of a lung, and the codes it is said with.

Codes are those of PS3.16 (CID 7150, 7151, 244, 7464) where it has one. It has none for the emphysema index,
which therefore carries a private one whose meaning says exactly what was counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.findings import Code, Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
LUNG = Code("39607008", "SCT", "Lung")
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")

VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
EMPHYSEMA_INDEX = Code("LAA-950", "99RADNODE", "Relative lung volume below -950 HU")

MILLILITRE = Code("ml", "UCUM", "milliliter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")

# The threshold that agrees best with pathology on thin slices (Gevenois 1996; Madani 2006).
EMPHYSEMA_HU = -950.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LungMeasures:
    """The numbers of one lung, of all voxels of its segment that the scanner measured."""

    volume_ml: float
    mean_hu: float
    emphysema_percent: float


def measure(volume: Volume, mask: NDArray[np.bool_]) -> LungMeasures:
    """Count a mask (on the volume's grid, at least one valid voxel)."""
    values = volume.voxels[mask & volume.valid]
    return LungMeasures(
        volume_ml=float(mask.sum()) * volume.voxel_volume_mm3 / 1000,
        mean_hu=float(values.mean(dtype=np.float64)),
        emphysema_percent=100 * float((values < EMPHYSEMA_HU).mean()),
    )


def coded(key: str, measures: LungMeasures) -> list[Measurement]:
    """The numbers as measurements of the segment `key`."""
    return [
        Measurement(of=key, name=VOLUME, value=round(measures.volume_ml, 1), unit=MILLILITRE),
        Measurement(of=key, name=ATTENUATION, value=round(measures.mean_hu, 1), unit=HOUNSFIELD, method=MEAN),
        Measurement(of=key, name=EMPHYSEMA_INDEX, value=round(measures.emphysema_percent, 2), unit=PERCENT),
    ]
