"""An Enhanced MR image: the head of :mod:`support.mr_study` in one file, placed by functional groups (PS3.3 A.36.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from support import mr_study

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.mr_study import Sweep

SLOPE, INTERCEPT = 0.5, -20.0
_MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "EchoTime")


def write(
    folder: Path, series: Sweep, *, order: Sequence[int] | None = None, times: int = 1, **per_time: Sequence[Any]
) -> Path:
    """One file. order: which slice each frame shows, of each of `times` passes, whose numbers differ by 1000.

    per_time: of a pass, a value of its frame content, as StackID, or its EffectiveEchoTime.
    """
    files = mr_study.write(folder / "single", series)
    sources = sorted((pydicom.dcmread(path) for path in files), key=lambda each: each.InstanceNumber)
    for path in files:
        path.unlink()
    (folder / "single").rmdir()
    image = sources[0]  # becomes the file
    shared, frames, pixels = Dataset(), [], []
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=image.ImageOrientationPatient)
    shared.PixelMeasuresSequence = _group(PixelSpacing=image.PixelSpacing, SliceThickness=image.SliceThickness)
    for time in range(times):
        for place in order or range(len(sources)):
            frame = Dataset()
            frame.PlanePositionSequence = _group(ImagePositionPatient=sources[place].ImagePositionPatient)
            frame.PixelValueTransformationSequence = _group(
                RescaleSlope=SLOPE, RescaleIntercept=INTERCEPT, RescaleType="US")
            given = {keyword: values[time] for keyword, values in per_time.items()}
            if (echo := given.pop("EffectiveEchoTime", None)) is not None:
                frame.MREchoSequence = _group(EffectiveEchoTime=echo)
            frame.FrameContentSequence = _group(**{"StackID": "1", "InStackPositionNumber": place + 1,
                                                   "TemporalPositionIndex": 1, **given})
            frames.append(frame)
            pixels.append(sources[place].pixel_array + 1000 * time)
    for keyword in _MOVED:
        if keyword in image:
            delattr(image, keyword)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    image.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = pydicom.Sequence(frames)
    image.NumberOfFrames = len(frames)
    image.PixelData = np.stack(pixels).astype("<u2").tobytes()
    path = folder / "enhanced.dcm"
    image.save_as(path)
    return path


def _group(**attributes: Any) -> pydicom.Sequence:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return pydicom.Sequence([item])
