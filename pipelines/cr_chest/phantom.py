"""Chest radiographs with known truth: the phantom of `ct_lung`, projected.

Parallel rays from back to front (Beer-Lambert at one energy), noise of counted photons, logarithm, and a window, as FOR
PRESENTATION: dense is bright. There are no arms, clavicles or scapulae, and no scatter.

    python -m radnode.pipelines.cr_chest.phantom FOLDER [--turned 10]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from radnode.pipelines.ct_lung.phantom import chest_phantom

if TYPE_CHECKING:
    from numpy.typing import NDArray

WATER_PER_MM = 0.018
"""Attenuation at about 70 keV, the mean energy of a chest radiograph at 120 kV (NIST XCOM: 0.19 per cm)."""
PHOTONS = 20_000.0
_BEHIND_MM = 124.0
"""Where the CT's table begins, towards the back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """pixels: uint16 of 12 bits, (rows, columns), rows towards the feet, columns to the patient's left; larger is
    brighter. left, right: bool, where the ray meets a lung, by the patient's side. pixel_mm: of the square pixels.
    """

    pixels: NDArray[np.uint16]
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]
    pixel_mm: float


def radiograph(*, seed: int = 0, turned: float = 0.0, tilted: float = 0.0, pixel_mm: float = 4.0) -> Radiograph:
    """A frontal view. turned, tilted: degrees about the long axis (left side forwards), about the axis across."""
    hu, left, right = _chest(seed, pixel_mm)
    if turned:
        hu, left, right = (_turn(each, turned, (1, 2)) for each in (hu, left, right))
    if tilted:
        hu, left, right = (_turn(each, tilted, (0, 1)) for each in (hu, left, right))
    return project(hu, (left, right), (pixel_mm, pixel_mm), seed)


def project(
    hu: NDArray[np.float32], lungs: tuple[NDArray[Any], NDArray[Any]], spacing_mm: tuple[float, float], seed: int
) -> Radiograph:
    """A volume as a radiograph. hu, lungs: (slices feet first, rows towards the back, columns to the left).

    spacing_mm: along the ray (rows), and of the pixels of the radiograph.
    """
    thickness = np.clip(1 + hu / 1000, 0, None).sum(axis=1) * spacing_mm[0] * WATER_PER_MM
    random = np.random.default_rng(seed)
    counted = random.poisson(PHOTONS * np.exp(-thickness)).clip(1)
    shown = np.log(PHOTONS / counted)[::-1]
    low, high = np.percentile(shown, 5), np.percentile(shown, 99.5)
    pixels = np.clip((shown - low) / (high - low) * 3800 + 100, 0, 4095)
    left, right = ((each > 0.5).any(axis=1)[::-1] for each in lungs)
    return Radiograph(pixels=pixels.astype(np.uint16), left=left, right=right, pixel_mm=spacing_mm[1])


@lru_cache(maxsize=2)
def _chest(seed: int, pixel_mm: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Without the table."""
    slices, size = round(320 / pixel_mm), round(380 / pixel_mm)
    chest = chest_phantom(slices=slices, size=size, spacing_mm=(pixel_mm, pixel_mm), seed=seed)
    back = chest.affine[1, 3] + chest.affine[1, 1] * np.arange(size)
    hu = np.where((back > _BEHIND_MM)[:, np.newaxis], np.int16(-1000), chest.hu)
    return hu.astype(np.float32), chest.left_mask.astype(np.float32), chest.right_mask.astype(np.float32)


def _turn(volume: NDArray[np.float32], degrees: float, axes: tuple[int, int]) -> NDArray[np.float32]:
    air = -1000.0 if volume.min() < 0 else 0.0
    turned = ndimage.rotate(volume, degrees, axes=axes, reshape=False, order=1, mode="constant", cval=air)
    return np.asarray(turned, np.float32)


def write_radiograph(
    picture: Radiograph, folder: Path, *, name: str = "cr-chest", pixels: NDArray[np.uint16] | None = None,
    **changes: Any,
) -> Path:
    """One DX image FOR PRESENTATION (PS3.3 A.26). pixels: instead of the radiograph's own, a crop or a turned one.

    The same name gives the same UIDs. changes: keyword -> value.
    """
    shown = picture.pixels if pixels is None else pixels
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    study, series, image = (_uid(name, part) for part in ("study", "series", "image"))
    for keyword, value in {
        "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": image, "StudyInstanceUID": study, "SeriesInstanceUID": series,
        "ImageType": ["DERIVED", "PRIMARY"], "Modality": "DX", "PresentationIntentType": "FOR PRESENTATION",
        "StudyDate": "20260102", "SeriesDate": "20260102", "AcquisitionDate": "20260102", "ContentDate": "20260102",
        "StudyTime": "101500", "SeriesTime": "101500", "AcquisitionTime": "101500", "ContentTime": "101500",
        "AccessionNumber": "A-CR", "Manufacturer": "Phantom", "ManufacturerModelName": "Chest radiograph phantom",
        "DeviceSerialNumber": "1", "SoftwareVersions": "1", "ReferringPhysicianName": "",
        "StudyDescription": "Chest PA", "SeriesDescription": "Chest PA", "PatientName": "Phantom^Radiograph",
        "PatientID": "PHANTOM-CR", "PatientBirthDate": "19600101", "PatientSex": "O", "PatientAge": "066Y",
        "StudyID": "1", "SeriesNumber": 1, "InstanceNumber": 1, "BodyPartExamined": "CHEST", "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"], "ImageLaterality": "U", "KVP": 120, "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": shown.shape[0], "Columns": shown.shape[1], "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
        "PixelRepresentation": 0, "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1,
        "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US", "PresentationLUTShape": "IDENTITY",
        "WindowCenter": 2048, "WindowWidth": 4096, "ImagerPixelSpacing": [picture.pixel_mm, picture.pixel_mm],
        "DetectorType": "DIRECT", "DetectorConfiguration": "AREA", "AcquisitionContextSequence": [],
        **changes,
    }.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = shown.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _uid(*parts: object) -> str:
    return str(generate_uid(prefix="2.25.", entropy_srcs=["radnode chest radiograph", *map(str, parts)]))


def main() -> None:
    """Write a radiograph of the phantom into the folder that the command line names."""
    arguments = argparse.ArgumentParser(description=main.__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--turned", type=float, default=0.0)
    read = arguments.parse_args()
    write_radiograph(radiograph(turned=read.turned, pixel_mm=2.0), read.folder)


if __name__ == "__main__":
    main()
