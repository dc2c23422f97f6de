"""Segmentations of any maker: binary, or label maps, on the slices of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.sr._snomed_dict import mapping as _SNOMED  # noqa: N812 - a table

from radnode.pipelines.evaluation.naming import Reference
from radnode.pipelines.evaluation.truth import ReferenceRefused, Structure, Truth
from radnode.pipelines.findings import Code
from radnode.pipelines.results.decoding import Frames, Misplaced, on_slices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

_UNREADABLE = (AttributeError, KeyError, IndexError, ValueError, TypeError, NotImplementedError, RuntimeError)


def reference(path: Path, source: str, header: Dataset) -> Reference:
    """A segmentation. Raises ReferenceRefused for fractions, which decide nothing."""
    if header.get("SegmentationType", "LABELMAP") == "FRACTIONAL":
        raise ReferenceRefused("a FRACTIONAL segmentation decides for no voxel; a reference is BINARY or a label map")
    series = tuple(str(each.SeriesInstanceUID) for each in header.get("ReferencedSeriesSequence", [])
                   if "SeriesInstanceUID" in each)

    def read(findings: Findings) -> Truth:
        if findings.volume is None:
            raise ReferenceRefused("segments of images that are no slices are not compared")
        return _truth(path, findings.volume)

    return Reference(source=source, study=str(header.get("StudyInstanceUID", "")), series=series, read=read)


def frame_of_reference(named: str, volume: Volume) -> None:
    """Raises ReferenceRefused where a reference lies in another frame of reference than the images."""
    if named and volume.frame_of_reference_uid and named != volume.frame_of_reference_uid:
        raise ReferenceRefused("it lies in another frame of reference than the images: its millimetres are not theirs")


def _truth(path: Path, volume: Volume) -> Truth:
    dataset = pydicom.dcmread(path)
    frame_of_reference(str(dataset.get("FrameOfReferenceUID", "")), volume)
    try:
        frames = _frames(dataset)
        pixels = np.asarray(dataset.pixel_array)
        pixels = pixels if pixels.ndim == 3 else pixels[np.newaxis]
        segments = {int(item.SegmentNumber): item for item in dataset.SegmentSequence}
        masks = _masks(frames, pixels, volume, [number for number in segments if number])
        return Truth(structures=tuple(_structure(segments[number], mask) for number, mask in masks.items()))
    except Misplaced as error:
        raise ReferenceRefused(f"{error}; resample it onto the images") from error
    except _UNREADABLE as error:
        raise ReferenceRefused(f"it cannot be read as a segmentation ({type(error).__name__})") from error


def _masks(
    frames: Frames, pixels: NDArray[Any], volume: Volume, numbers: list[int]
) -> dict[int, NDArray[np.bool_]]:
    shape = volume.voxels.shape
    if pixels.shape[1:] != shape[1:]:
        raise Misplaced(f"its frames have {pixels.shape[1]} x {pixels.shape[2]} pixels, the images {shape[1]} x "
                        f"{shape[2]}")
    masks = {number: np.zeros(shape, dtype=np.bool_) for number in numbers}
    for plane, place, segment in zip(pixels, on_slices(frames, volume.affine, shape), frames.segment, strict=True):
        if segment:
            masks[int(segment)][place] |= plane.astype(np.bool_)
        else:
            for value in np.unique(plane):
                if value:
                    masks[int(value)][place] |= plane == value
    return masks


def _frames(dataset: Dataset) -> Frames:
    """By pydicom: the gate's own reading (:mod:`radnode.pipelines.results.decoding`) wants an encoding of ours."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    label_map = dataset.get("SegmentationType", "LABELMAP") == "LABELMAP"
    affines, numbers = [], []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        orientation = np.array(_macro(group, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
        spacing = np.array(_macro(group, shared, "PixelMeasuresSequence").PixelSpacing, dtype=float)
        position = np.array(_macro(group, shared, "PlanePositionSequence").ImagePositionPatient, dtype=float)
        affines.append(np.stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1], position], axis=1))
        numbers.append(0 if label_map else int(
            _macro(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber))
    return Frames(segment=np.array(numbers), affine=np.array(affines), sources=tuple(("", None) for _ in numbers))


def _macro(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    found: Dataset = (group if keyword in group else shared)[keyword].value[0]
    return found


def _structure(item: Dataset, mask: NDArray[np.bool_]) -> Structure:
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence", [])
    return Structure(
        label=str(item.get("SegmentLabel") or kind.CodeMeaning), voxels=mask, type=code_of(kind),
        laterality=code_of(sides[0]) if sides else None,
    )


def code_of(item: Dataset) -> Code:
    """A code sequence item; SNOMED RT's codes of older objects as those of SNOMED CT (PS3.16 Annex O)."""
    value, scheme = str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", ""))
    if scheme in ("SRT", "SNM3", "99SDM") and value in _SNOMED["SRT"]:
        value, scheme = _SNOMED["SRT"][value], "SCT"
    return Code(value, scheme, str(item.get("CodeMeaning", "")))
