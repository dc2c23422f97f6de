"""What a pipeline says about a study, in patient coordinates and coded terms; knows no DICOM encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8); `meaning` is spelled as in the standard, viewers compare it."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A region of a volume.

    key: short name, unique in the findings; measurements refer to it and UIDs are derived from it.
    mask: bool, on the grid of the findings' volume, shape (slices, rows, columns); has at least one voxel.
    category, type: CID 7150 and CID 7151. laterality: CID 244.
    rgb: recommended display colour, 0-255 each.
    """

    key: str
    label: str
    category: Code
    type: Code
    mask: NDArray[np.bool_]
    rgb: tuple[int, int, int]
    laterality: Code | None = None

    def __post_init__(self) -> None:
        if not self.mask.any():
            raise ValueError(f"segment {self.key} has no voxel: say in a remark that it was not found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number about one segment.

    of: key of the segment. unit: UCUM. method: how it was derived (CID 7464), if it matters.
    """

    of: str
    name: Code
    value: float
    unit: Code
    method: Code | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"{self.name.meaning} of {self.of} is {self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything one run says.

    remarks: sentences a radiologist must read with the numbers (a limit of the method, an odd input, a part that
    was not found). Never empty in place of a doubt.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    measurements: tuple[Measurement, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keys = [segment.key for segment in self.segments]
        if len(set(keys)) != len(keys):
            raise ValueError(f"segment keys are not unique: {keys}")
        for segment in self.segments:
            if segment.mask.shape != self.volume.voxels.shape:
                raise ValueError(f"segment {segment.key} has shape {segment.mask.shape}, "
                                 f"the volume {self.volume.voxels.shape}")
        unknown = {measurement.of for measurement in self.measurements} - set(keys)
        if unknown:
            raise ValueError(f"measurements of unknown segments: {sorted(unknown)}")

    @property
    def nothing_found(self) -> bool:
        """True when the run succeeded and saw nothing: an answer, unlike a run that failed or was refused."""
        return not self.segments
