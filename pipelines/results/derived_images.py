"""A derived image series: what a model made of the images, slice for slice on their grid, as CT or MR images.

It says of itself in every instance that it is derived (ImageType DERIVED\\SECONDARY), from which image, by what, and
that no scanner made it. Numbers are stored in 16 bits: whole numbers that fit exactly, others in steps that the
instance states, never further from the model's number than half a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from radnode.pipelines.findings import Code
from radnode.pipelines.results.marking import concept
from radnode.pipelines.results.plain import base, reference
from radnode.pipelines.results.window_presets import PRESETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.findings import DerivedImage
    from radnode.pipelines.results.writing import Writing

HOUNSFIELD = "[hnsf'U]"
SOURCE = Code("121322", "DCM", "Source image for image processing operation")
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}
_STEPS = 2**16 - 1
# Scan Options, PS3.3 C.8.3.1.1.3; scanners write terms of their own, which validators refuse.
_OPTIONS = frozenset({"PER", "RG", "CG", "PPG", "FC", "PFF", "PFP", "SP", "FS"})
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
          "FrameOfReferenceUID", "PositionReferenceIndicator")


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers are stored: value = stored * slope + intercept. Both are what their decimal strings say."""

    slope: float
    intercept: float


def write(writing: Writing) -> tuple[Dataset, ...]:
    """An instance for each slice, in one series; none for findings without a derived image, or of another modality."""
    image = writing.findings.derived
    if image is None or str(writing.source.common.get("Modality")) not in CLASSES:
        return ()
    scale = scale_of(image.values)
    low, high = np.percentile(image.values, [1, 99])
    whole = float(low), float(high)
    return tuple(_instance(writing, image, scale, whole, index) for index in range(len(image.values)))


def scale_of(values: NDArray[np.float32]) -> Scale:
    """The finest scale on which every value fits; one that changes nothing for whole numbers that fit."""
    low, high = float(values.min()), float(values.max())
    if high - low <= _STEPS and np.array_equal(values, np.rint(values)):
        return Scale(1.0, low)
    # A decimal string has 16 characters: rounded up, so that the highest value still fits.
    return Scale(float(f"{(high - low) / _STEPS * (1 + 1e-6):.8e}"), float(f"{low:.8e}"))


def stored(values: NDArray[np.float32], scale: Scale) -> NDArray[np.uint16]:
    """The values as they are stored."""
    steps = np.rint((values.astype(np.float64) - scale.intercept) / scale.slope)
    return np.clip(steps, 0, _STEPS).astype("<u2")


def description(image: DerivedImage, scale: Scale) -> str:
    """What the instance says of its making, up to 1024 characters (VR ST)."""
    kept = "as they are" if scale.slope == 1 else f"in steps of {scale.slope:.6g}"
    return f"{image.derivation} Made by software from the images named, not acquired; numbers are kept {kept}."[:1024]


def _instance(
    writing: Writing, image: DerivedImage, scale: Scale, whole: tuple[float, float], index: int
) -> Dataset:
    """whole: the range of values that is shown of every slice."""
    findings, source = writing.findings, writing.source
    frame, modality = findings.grid.frames[index], str(source.common.get("Modality"))
    result = base(writing, CLASSES[modality], modality, number=index + 1, own_series=False)
    result.SeriesDescription = f"{result.SeriesDescription} {image.label}"[:64]
    result.InstanceNumber = index + 1
    result.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.AcquisitionNumber = ""
    result.PatientPosition, result.Laterality = source.first.get("PatientPosition", ""), ""
    result.BurnedInAnnotation, result.LossyImageCompression = "NO", "00"
    # What was deformed is another series: the sequence of the one it lies on would be said of it wrongly.
    _of_the_modality(result, modality, Dataset() if image.method is not None else source.first)
    _geometry(result, writing, index)
    item = reference(frame.sop_class_uid, frame.sop_instance_uid, frame.frame_number)
    item.PurposeOfReferenceCodeSequence = [concept(SOURCE)]
    result.SourceImageSequence = [item]
    result.DerivationDescription = description(image, scale)
    if image.method is not None:
        result.DerivationCodeSequence = [concept(image.method)]
    result.ImageComments = f"Made by AI ({writing.provenance.manifest.title}); no scanner acquired this image."
    _pixels(result, image, scale, whole, index)
    return result


def _of_the_modality(result: Dataset, modality: str, first: Dataset) -> None:
    """What PS3.3 C.8.2.1 and C.8.3.1 want of an image of that modality, as the source has it; else unknown."""
    if modality == "CT":
        result.KVP = first.get("KVP", "")
        return
    # Research mode is what the standard has for a sequence that is none of the others.
    result.ScanningSequence = first.get("ScanningSequence") or "RM"
    result.SequenceVariant = first.get("SequenceVariant") or "NONE"
    options = first.get("ScanOptions") or ()
    result.ScanOptions = [each for each in ([options] if isinstance(options, str) else options) if each in _OPTIONS]
    for keyword in ("MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
        setattr(result, keyword, first.get(keyword, ""))
    if "IR" in str(result.ScanningSequence):
        result.InversionTime = first.get("InversionTime", "")


def _geometry(result: Dataset, writing: Writing, index: int) -> None:
    """Where the slice lies, in the source's own digits; of a multi-frame source, from the grid."""
    frame = writing.findings.grid.frames[index]
    header = writing.source.header(frame.sop_instance_uid)
    result.SliceThickness, result.PositionReferenceIndicator = "", ""
    if frame.frame_number is None:
        for keyword in _PLACE:
            if keyword in header:
                setattr(result, keyword, header.get(keyword))
        return
    affine, spacing = writing.findings.grid.affine, writing.findings.grid.spacing_mm
    result.ImagePositionPatient = [f"{each:.9g}" for each in affine[:3, 3] + index * affine[:3, 0]]
    along = [*(affine[:3, 2] / spacing[2]), *(affine[:3, 1] / spacing[1])]
    result.ImageOrientationPatient = [f"{each:.9g}" for each in along]
    result.PixelSpacing = [f"{spacing[1]:.9g}", f"{spacing[2]:.9g}"]
    result.FrameOfReferenceUID = writing.findings.grid.frame_of_reference_uid


def _pixels(result: Dataset, image: DerivedImage, scale: Scale, whole: tuple[float, float], index: int) -> None:
    plane = stored(image.values[index], scale)
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.Rows, result.Columns = plane.shape
    result.BitsAllocated = result.BitsStored = 16
    result.HighBit, result.PixelRepresentation = 15, 0
    modality, (low, high) = str(result.Modality), whole
    if modality == "CT":
        result.RescaleSlope, result.RescaleIntercept, result.RescaleType = _ds(scale.slope), _ds(scale.intercept), "HU"
    else:
        # An MR image has no rescale of its own (PS3.3 A.4); the real world value says what a stored number means.
        result.RealWorldValueMappingSequence = [_real_world(image, scale)]
        low, high = ((each - scale.intercept) / scale.slope for each in (low, high))
    windows = [(_ds((low + high) / 2), _ds(max(high - low, 1.0)), "whole range")]
    if modality == "CT" and image.unit.value == HOUNSFIELD:
        windows += [(_ds(each.center), _ds(each.width), each.name) for each in PRESETS.values()]
    result.WindowCenter, result.WindowWidth, result.WindowCenterWidthExplanation = map(list, zip(*windows, strict=True))
    result.PixelData = plane.tobytes()
    result["PixelData"].VR = "OW"


def _real_world(image: DerivedImage, scale: Scale) -> Dataset:
    mapping = Dataset()
    mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, _STEPS
    for keyword in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
        mapping[keyword].VR = "US"
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = scale.slope, scale.intercept
    mapping.LUTExplanation, mapping.LUTLabel = image.label[:64], "AI"
    mapping.MeasurementUnitsCodeSequence = [concept(image.unit)]
    return mapping


def _ds(value: float) -> str:
    return f"{value:.8e}" if value != round(value) or abs(value) > 1e9 else str(int(value))
