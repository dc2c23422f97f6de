"""A study of a head in several MR series: one phantom, seen by any sequence, on any grid, under any name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results.identity import derived_uid
from support import canaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

HEAD_MM = (55.0, 70.0, 60.0)
TUMOUR_MM, TUMOUR_RADIUS_MM = (20.0, -15.0, 10.0), 14.0
STUDY = derived_uid("mr-study")
FRAME = derived_uid("mr-study", "frame")

# Signal of head and tumour.
SIGNALS = {"T1": (300, 250), "T1c": (300, 900), "T2": (250, 600), "FLAIR": (280, 700)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One series. shows: a key of SIGNALS. step_mm: between slices, rows, columns. centre_mm: of the grid, LPS.

    more: DICOM keyword -> value. motion: where the patient lay, fixed LPS -> LPS of this series.
    """

    name: str
    shows: str
    step_mm: tuple[float, float, float] = (6.0, 4.0, 4.0)
    shape: tuple[int, int, int] = (22, 36, 30)
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    plane: str = "axial"
    frame: str = FRAME
    time: str = "100000"
    motion: Affine | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """Series Instance UID, from the name."""
        return derived_uid("mr-study", self.name, self.time)

    @property
    def affine(self) -> Affine:
        """(slice, row, column, 1) -> LPS mm."""
        axes = {"axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
                "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0))}[self.plane]
        affine = np.eye(4)
        affine[:3, :3] = np.array(axes, dtype=float).T * np.array(self.step_mm)
        affine[:3, 3] = np.array(self.centre_mm) - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine


T1 = {"RepetitionTime": 500, "EchoTime": 12, "ScanningSequence": "SE"}
T2 = {"RepetitionTime": 4000, "EchoTime": 95, "ScanningSequence": "SE"}
INVERTED = {"RepetitionTime": 9000, "EchoTime": 110, "InversionTime": 2500, "ScanningSequence": ["SE", "IR"]}
AGENT = {"ContrastBolusAgent": "Gadovist"}

T1C_SERIES = Sweep(name="t1_se_tra_KM", shows="T1c", time="102000", more={**T1, **AGENT})
T1_SERIES = Sweep(name="t1_se_tra", shows="T1", time="100500", step_mm=(5.0, 3.0, 3.0), shape=(28, 50, 44), more=T1)
T2_SERIES = Sweep(name="Ax T2 TSE", shows="T2", time="100800", step_mm=(5.0, 3.0, 4.0), shape=(28, 52, 34), more=T2)
FLAIR_SERIES = Sweep(name="t2_tirm_cor_dark-fluid", shows="FLAIR", time="101000", plane="coronal",
                         step_mm=(5.0, 4.0, 4.0), shape=(34, 36, 34), more=INVERTED)
LOCALISER = Sweep(name="AAHead_Scout", shows="T1", time="095900",
                      more={**T1, "ImageType": ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"]})
BRATS = (FLAIR_SERIES, T1C_SERIES, LOCALISER, T1_SERIES, T2_SERIES)


def signal(shows: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The phantom at points (n, 3), LPS mm."""
    head, tumour = SIGNALS[shows]
    inside = ((points / np.array(HEAD_MM)) ** 2).sum(axis=1) <= 1
    texture = 20 * np.sin(points[:, 0] / 7) * np.cos(points[:, 1] / 9) * np.sin(points[:, 2] / 8)
    return np.where(in_tumour(points), tumour, np.where(inside, head + texture, 0))


def in_tumour(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (n, 3) lie in it."""
    return np.linalg.norm(points - np.array(TUMOUR_MM), axis=1) <= TUMOUR_RADIUS_MM


def grid(affine: Affine, shape: Sequence[int]) -> NDArray[np.float64]:
    """All voxel centres in C order, (n, 3), LPS mm."""
    index = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, shape), indexing="ij")], axis=1)
    return to_patient(affine, index.astype(np.float64))


def headers(series: Sweep) -> list[Dataset]:
    """The series without pixels."""
    affine, found = series.affine, []
    for index in range(series.shape[0]):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
        dataset.PatientName, dataset.PatientID = "Canaria^Serinus", "CANARY-0001"
        dataset.PatientBirthDate, dataset.PatientSex = "19600101", "F"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, series.uid
        dataset.SOPInstanceUID = derived_uid("mr-study", series.uid, index)
        dataset.StudyDate = dataset.AcquisitionDate = dataset.SeriesDate = dataset.ContentDate = "20260301"
        dataset.StudyTime, dataset.AcquisitionTime, dataset.ContentTime = "095500", series.time, series.time
        dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "A1", ""
        dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = "Phantom", 1, index + 1
        dataset.SeriesDescription, dataset.BodyPartExamined = series.name, "HEAD"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = series.frame, ""
        dataset.PatientPosition, dataset.SliceThickness = "HFS", series.step_mm[0]
        dataset.PixelSpacing = [series.step_mm[1], series.step_mm[2]]
        column, row = affine[:3, 1] / series.step_mm[1], affine[:3, 2] / series.step_mm[2]
        dataset.ImageOrientationPatient = [float(each) for each in (*row, *column)]
        position = to_patient(affine, np.array([[index, 0, 0]]))[0]
        dataset.ImagePositionPatient = [round(float(each), 5) for each in position]
        dataset.Rows, dataset.Columns = series.shape[1:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        for keyword, value in series.more.items():
            setattr(dataset, keyword, value)
        found.append(dataset)
    return found


def write(folder: Path, *series: Sweep) -> list[Path]:
    """The series as files in one folder, their slices in no order."""
    canaries.know("Canaria^Serinus", "CANARY-0001")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for each in series:
        points = grid(each.affine, each.shape)
        if each.motion is not None:
            points = to_patient(np.linalg.inv(each.motion), points)
        pixels = np.rint(np.maximum(signal(each.shows, points), 0)).astype("<u2").reshape(each.shape)
        for index, dataset in enumerate(headers(each)):
            dataset.PixelData = np.ascontiguousarray(pixels[index]).tobytes()
            dataset["PixelData"].VR = "OW"
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, dataset.SOPInstanceUID
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            target = folder / f"{dataset.SOPInstanceUID}.dcm"
            FileDataset(str(target), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(
                target, enforce_file_format=True)
            files.append(target)
    return files


def as_stored(dataset: Dataset) -> dict[str, Any]:
    """As the header process stores them."""
    found = {}
    for element in dataset:
        value = element.value
        found[element.keyword] = list(map(_plain, value)) if element.VM > 1 else _plain(value)
    return found


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, float) else value if isinstance(value, int) else str(value)
