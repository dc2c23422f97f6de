"""A PET series: the head of :mod:`support.mr_study` with a hot tumour, each slice in its own scale (PS3.3 A.21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedPETImageStorage, PositronEmissionTomographyImageStorage

from support import mr_study
from support.mr_study import Sweep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PET = Sweep(name="WB FDG", shows="T1c", step_mm=(6.0, 6.0, 6.0), shape=(18, 24, 20))
FACTOR = 2.763367e-4
"""g/ml for 1 Bq/ml: 70 kg * 1000 / (370 MBq * 2 ** (-3600 s / 6586.2 s)), by a pocket calculator."""
BQML_EACH = 20.0
"""Of one unit of the phantom: brain at about 6000, the tumour at 18000 Bq/ml."""


def header() -> Dataset:
    """What a series of FDG says: 370 MBq, one hour, 70 kg."""
    dataset = Dataset()
    dataset.Units, dataset.DecayCorrection, dataset.CorrectedImage = "BQML", "START", ["ATTN", "DECY", "SCAT"]
    dataset.PatientWeight, dataset.SUVType = 70, ""
    dataset.SeriesDate = dataset.AcquisitionDate = "20260301"
    dataset.SeriesTime, dataset.AcquisitionTime = "110000", "110002.5"
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 370_000_000, 6586.2
    drug.RadiopharmaceuticalStartTime = "100000.00"
    dataset.RadiopharmaceuticalInformationSequence = [drug]
    return dataset


def activity() -> NDArray[np.float64]:
    """Bq/ml, as stored: to half a step of each slice's scale."""
    points = mr_study.grid(PET.affine, PET.shape)
    return (np.maximum(mr_study.signal(PET.shows, points), 0) * BQML_EACH).reshape(PET.shape)


def write(folder: Path, **changes: Any) -> list[Path]:
    """The series as files. changes: keyword -> value in every image, None: absent."""
    paths = mr_study.write(folder, PET)
    values = activity()
    for path in paths:
        image = pydicom.dcmread(path)
        plane = values[image.InstanceNumber - 1]
        slope = max(float(plane.max()), 1.0) / 30_000
        image.update(header())
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        image.Modality, image.ImageType = "PT", ["ORIGINAL", "PRIMARY"]
        image.RescaleSlope, image.RescaleIntercept = f"{slope:.9g}", 0
        image.PixelData = np.rint(plane / float(f"{slope:.9g}")).astype("<u2").tobytes()
        for keyword, value in changes.items():
            setattr(image, keyword, value)
            if value is None:
                delattr(image, keyword)
        image.save_as(path)
    return paths


def enhanced_header() -> Dataset:
    """What :func:`header` says, as an enhanced image says it (PS3.3 C.8.22.4, C.8.22.6): the dose in MBq."""
    dataset = Dataset()
    dataset.AttenuationCorrected = dataset.DecayCorrected = "YES"
    dataset.PatientWeight, dataset.DecayCorrectionDateTime = 70, "20260301110000"
    drug = Dataset()
    drug.RadiopharmaceuticalAgentNumber, drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 1, 370, 6586.2
    drug.RadiopharmaceuticalStartDateTime = "20260301100000.00"
    dataset.RadiopharmaceuticalInformationSequence = [drug]
    return dataset


def mapping(units: str, slope: float) -> Dataset:
    """A Real World Value Mapping to these units of UCUM."""
    found, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = units, "UCUM", units
    found.MeasurementUnitsCodeSequence = [code]
    found.RealWorldValueIntercept, found.RealWorldValueSlope = 0.0, slope
    return found


def write_enhanced(folder: Path, *, units: Sequence[str] = ("{SUVbw}g/ml", "Bq/ml"), **changes: Any) -> Path:
    """The series in one enhanced image, its frames from the head to the feet, each mapped to these units.

    Its Pixel Value Transformation is the identity, as that of such images often is: it says nothing of activity.
    """
    sources = [pydicom.dcmread(path) for path in write(folder)]
    for path in folder.iterdir():
        path.unlink()
    sources.sort(key=lambda each: -each.InstanceNumber)
    image, shared, frames = sources[0], Dataset(), []
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=image.ImageOrientationPatient)]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=image.PixelSpacing, SliceThickness=image.SliceThickness)]
    for source in sources:
        slope = float(source.RescaleSlope)
        frame = _item(
            PlanePositionSequence=[_item(ImagePositionPatient=source.ImagePositionPatient)],
            PixelValueTransformationSequence=[_item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")],
            RealWorldValueMappingSequence=[mapping(each, slope * (FACTOR if "SUV" in each else 1)) for each in units])
        frames.append(frame)
    pixels = np.stack([source.pixel_array for source in sources]).astype("<u2").tobytes()
    for element in (*header(), image["ImagePositionPatient"], image["ImageOrientationPatient"], image["PixelSpacing"],
                    image["RescaleSlope"], image["RescaleIntercept"]):
        del image[element.tag]
    image.update(enhanced_header())
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedPETImageStorage
    image.NumberOfFrames, image.PixelData = len(frames), pixels
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    image.save_as(folder / "enhanced.dcm")
    return folder / "enhanced.dcm"


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
