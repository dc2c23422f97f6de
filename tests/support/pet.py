"""A PET series: the head of :mod:`support.mr_study` with a hot tumour, each slice in its own scale (PS3.3 A.21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from support import mr_study
from support.mr_study import Sweep

if TYPE_CHECKING:
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
