"""Small CT series of the chest phantom as files, with whatever patient, characters and gaps a test needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from radnode.pipelines.ct_lung.phantom import Phantom, chest_phantom
from support import canaries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Series:
    """One written series: its identity and its files in stack order, feet first."""

    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    files: tuple[Path, ...]


def write_chest(
    folder: Path,
    *,
    name: str = "1",
    slices: int = 40,
    size: int = 64,
    patient_id: str = "CANARY-0001",
    patient_name: str = "Canaria^Serinus",
    character_set: str | list[str] | None = None,
    description: str = "Thorax 8.0 B70f",
    seed: int = 0,
) -> Series:
    """An axial chest CT. The same `name` and `patient_id` give the same UIDs: a resend is a resend."""
    canaries.know(patient_name, patient_id)
    phantom = _phantom(slices, size, seed)
    study, series, frame = (_uid(patient_id, name, part) for part in ("study", "series", "frame"))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in range(slices):
        dataset = _slice(phantom, index)
        if character_set is not None:
            dataset.SpecificCharacterSet = character_set
        dataset.PatientName, dataset.PatientID = patient_name, patient_id
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = _uid(patient_id, name, str(index))
        dataset.SeriesDescription = description
        target = folder / f"{index:04d}.dcm"
        _write(dataset, target)
        files.append(target)
    return Series(study, series, patient_id, tuple(files))


def without(series: Series, missing: Iterable[int]) -> list[Path]:
    """The files but those at the given places in the stack."""
    left_out = set(missing)
    return [file for place, file in enumerate(series.files) if place not in left_out]


@lru_cache(maxsize=4)
def _phantom(slices: int, size: int, seed: int) -> Phantom:
    return chest_phantom(slices=slices, size=size, seed=seed)


def _uid(*parts: str) -> str:
    # Joined by what is in none of them: "1" and "10" are other parts than "11" and "0".
    return generate_uid(prefix="2.25.", entropy_srcs=["/".join(parts)])


def _slice(phantom: Phantom, index: int) -> Dataset:
    """One image of the stack with the attributes a scanner sends (PS3.3 A.3)."""
    affine = phantom.affine
    slice_mm, row_mm, column_mm = phantom.spacing_mm
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CT", "Phantom Works", "Chest"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20260102"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "101500"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19600101", "O", "066Y"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A-1", "1", ""
    dataset.StudyDescription, dataset.BodyPartExamined, dataset.PatientPosition = "CT chest", "CHEST", "HFS"
    dataset.PositionReferenceIndicator, dataset.KVP = "", 120
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 2, 1, index + 1
    dataset.SliceThickness = round(slice_mm, 6)
    dataset.PixelSpacing = [round(row_mm, 6), round(column_mm, 6)]
    directions = [*(affine[:3, 2] / column_mm), *(affine[:3, 1] / row_mm)]
    dataset.ImageOrientationPatient = [round(float(value), 6) for value in directions]
    position = affine[:3, 3] + index * affine[:3, 0]
    dataset.ImagePositionPatient = [round(float(value), 5) for value in position]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = phantom.hu.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
    dataset.PixelData = np.ascontiguousarray(phantom.hu[index], dtype="<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _write(dataset: Dataset, target: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset(str(target), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(
        target, enforce_file_format=True
    )
