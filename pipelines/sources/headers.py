"""What a header says about where its slices lie, parsed once; single-frame and enhanced multi-frame alike.

Enhanced CT, MR and PET keep in functional groups (PS3.3 C.7.6.16) what a single-frame image has at its top level.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.sources.tag_order import UntilPixels

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

ENHANCED = {
    "CT": frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}),
    "MR": frozenset({EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}),
    "PT": frozenset({EnhancedPETImageStorage}),
}
MULTI_FRAME = frozenset().union(*ENHANCED.values())

# PS3.16 CID 84 and 85 (units of PET for a Real World Value Mapping) -> PS3.3 C.8.9.1.1.3. Activity first: SUV are
# computed from it.
_UCUM = {"Bq/ml": "BQML", "{SUVbw}g/ml": "GML"}

# PS3.3 C.7.6.2.1.1 wants unit, orthogonal direction cosines; scanners round them.
_ROUNDED, _REPAIRABLE = 1e-4, 1e-2


class Unplaced(ValueError):
    """An image that says not, or not sensibly, where it lies in the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInstance:
    """One received image: its file and its header, read without pixels."""

    path: Path
    dataset: Dataset

    @property
    def sop_instance_uid(self) -> str:
        """As in the header; empty if it has none."""
        return str(self.dataset.get("SOPInstanceUID", ""))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One plane of one image.

    frame_number: 1-based; None for a single-frame image. position: centre of the first voxel, LPS mm.
    row_direction, column_direction: unit vectors along which the column and the row index grow.
    spacing_mm: (between rows, between columns). rescale: (slope, intercept), None if the image has none;
    of enhanced PET those of the frame's Real World Value Mapping to Bq/ml, or else to SUVbw.
    repaired: the direction cosines were not of unit length or not orthogonal and have been made so.
    """

    instance: SourceInstance
    frame_number: int | None
    shape: tuple[int, int]
    position: NDArray[np.float64]
    row_direction: NDArray[np.float64]
    column_direction: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    rescale: tuple[float, float] | None
    repaired: bool

    @property
    def normal(self) -> NDArray[np.float64]:
        """Row direction x column direction."""
        return np.cross(self.row_direction, self.column_direction)

    def attribute(self, keyword: str) -> Any:
        """A value of this plane: from its functional groups, or else from the image's top level."""
        return _attribute(self.instance.dataset, self.frame_number, keyword)

    def text(self, keyword: str) -> str:
        r"""The same as text; several values are joined by \ as in DICOM."""
        value = self.attribute(keyword)
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            return "" if value is None else str(value).strip()
        return "\\".join(str(each) for each in value)


def read_instances(paths: Iterable[Path]) -> list[SourceInstance]:
    """Headers of files, without pixels. Raises IncompleteInput for a file that is not DICOM."""
    instances = []
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with path.open("rb") as file:
                    dataset = read_header(file)
        except (OSError, EOFError, pydicom.errors.InvalidDicomError) as error:
            raise IncompleteInput(f"{path.name} cannot be read as DICOM ({type(error).__name__})") from error
        instances.append(SourceInstance(path=path, dataset=dataset))
    return instances


def read_header(file: BinaryIO) -> Dataset:
    """The header of an image, without its pixels. Raises NotProcessed where it does not say clearly what it says."""
    until = UntilPixels()
    dataset = read_partial(file, stop_when=until)
    if unclear := sorted(tag for tag in until.ambiguous if not Tag(tag).is_private):
        names = ", ".join(keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in unclear[:5])
        raise NotProcessed(
            f"instance {dataset.get('SOPInstanceUID', '')} is ambiguous: there twice or out of order are {names}"
        )
    return dataset


def slices_of(instance: SourceInstance) -> list[Slice]:
    """The planes of an image. Raises Unplaced."""
    dataset = instance.dataset
    if dataset.get("SOPClassUID") not in MULTI_FRAME:
        return [_slice(instance, None)]
    count = numbers(dataset.get("NumberOfFrames"), 1)
    if count is None or not 0 < count[0] == len(dataset.get("PerFrameFunctionalGroupsSequence") or ()):
        raise Unplaced("its number of frames is not that of its functional groups")
    return [_slice(instance, frame) for frame in range(1, int(count[0]) + 1)]


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None if the value is absent or anything else."""
    try:
        several = not isinstance(value, str) and hasattr(value, "__iter__")
        found = tuple(float(each) for each in (value if several else (value,)))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(math.isfinite(each) for each in found) else None


def _slice(instance: SourceInstance, frame: int | None) -> Slice:
    dataset = instance.dataset
    position = numbers(_attribute(dataset, frame, "ImagePositionPatient"), 3)
    cosines = numbers(_attribute(dataset, frame, "ImageOrientationPatient"), 6)
    spacing = numbers(_attribute(dataset, frame, "PixelSpacing"), 2)
    shape = numbers((dataset.get("Rows"), dataset.get("Columns")), 2)
    if position is None or cosines is None:
        raise Unplaced("it does not say where it lies (Image Position and Orientation, Patient)")
    if spacing is None or min(spacing) <= 0:
        raise Unplaced("it has no Pixel Spacing")
    if shape is None or min(shape) < 1:
        raise Unplaced("it has no Rows and Columns")
    row, column, repaired = _directions(np.array(cosines))
    return Slice(
        instance=instance,
        frame_number=frame,
        shape=(int(shape[0]), int(shape[1])),
        position=np.array(position),
        row_direction=row,
        column_direction=column,
        spacing_mm=(spacing[0], spacing[1]),
        rescale=_rescale(dataset, frame),
        repaired=repaired,
    )


def pet_units(dataset: Dataset) -> set[str]:
    """Of the frames of an enhanced PET image, as Units (0054,1001) would say them; "" for one that says neither."""
    return {_pet_mapping(dataset, frame)[0] for frame in range(1, 1 + len(dataset.PerFrameFunctionalGroupsSequence))}


def _pet_mapping(dataset: Dataset, frame: int) -> tuple[str, Dataset | None]:
    """BQML or else GML, and the frame's one Real World Value Mapping to it (PS3.3 C.7.6.16.2.11)."""
    groups = (dataset.PerFrameFunctionalGroupsSequence[frame - 1],
              *(dataset.get("SharedFunctionalGroupsSequence") or ()))
    mappings = next((found for each in groups if (found := each.get("RealWorldValueMappingSequence"))), ())
    for code, units in _UCUM.items():
        found = [each for each in mappings for unit in each.get("MeasurementUnitsCodeSequence") or ()
                 if unit.get("CodeValue") == code and unit.get("CodingSchemeDesignator") == "UCUM"]
        if found:
            return units, found[0] if len(found) == 1 else None
    return "", None


def _rescale(dataset: Dataset, frame: int | None) -> tuple[float, float] | None:
    if frame is not None and dataset.get("SOPClassUID") == EnhancedPETImageStorage:
        _, mapping = _pet_mapping(dataset, frame)
        found = mapping and (mapping.get("RealWorldValueSlope"), mapping.get("RealWorldValueIntercept"))
    else:
        found = _attribute(dataset, frame, "RescaleSlope"), _attribute(dataset, frame, "RescaleIntercept")
    linear = numbers(found, 2)
    return None if linear is None else (linear[0], linear[1])


def _directions(cosines: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    row, column = cosines[:3], cosines[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    error = max(float(np.abs(lengths - 1).max()), abs(float(row @ column)))
    if error > _REPAIRABLE:
        raise Unplaced(f"its direction cosines are {error:.3f} away from unit length and a right angle")
    row = row / lengths[0]
    column = column - (row @ column) * row
    return row, column / np.linalg.norm(column), error > _ROUNDED


def _attribute(dataset: Dataset, frame: int | None, keyword: str) -> Any:
    if frame is not None:
        per_frame = dataset.PerFrameFunctionalGroupsSequence[frame - 1]
        for groups in (per_frame, *(dataset.get("SharedFunctionalGroupsSequence") or ())):
            for group in groups:
                if group.VR == "SQ" and group.value and keyword in group.value[0]:
                    return group.value[0].get(keyword)
    return dataset.get(keyword)
