"""Small sources, findings and orders for tests of the result side: one CT series, two lungs, no anatomy."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from radnode.pipelines.contract import InputInstance, Manifest, WorkOrder
from radnode.pipelines.findings import Code, Findings, Measurement, Segment
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.results.identity import Provenance
from radnode.pipelines.results.normalise import SourceHeader, read_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROOT = "1.2.826.0.1.3680043.8.498.1"
STUDY = f"{ROOT}.1"
SERIES = f"{ROOT}.1.1"
FRAME_OF_REFERENCE = f"{ROOT}.9"
STARTED = datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=UTC)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)

LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")
VOLUME = Code("118565006", "SCT", "Volume")
CUBIC_MM = Code("mm3", "UCUM", "cubic millimeter")
DENSITY = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")
LAA_950 = Code("LAA950", "99RADNODE", "Low attenuation area below -950 HU")

MANIFEST = Manifest(
    name="ct-lung",
    version="1.2.3",
    title="Lung volumes in chest CT",
    entry="nowhere:Nothing",
    modality="CT",
    sheared=False,
    min_slices=3,
    intended_use="Research: lung volume and density in adults.",
    licence="Apache-2.0",
    device_memory_mb=0,
    algorithm_family="Morphological Operations",
    model_digest="ab" * 32,
    series_number=9100,
)


def ct_header(slice_index: int, position: Sequence[float], orientation: Sequence[float] = AXIAL) -> Dataset:
    """One CT slice as a scanner writes it, 24 rows by 32 columns, without pixels."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SOPClassUID = CTImageStorage
    header.SOPInstanceUID = f"{SERIES}.{slice_index + 1}"
    header.StudyDate, header.StudyTime = "20260302", "101500"
    header.SeriesDate, header.SeriesTime = "20260302", "101600"
    header.AcquisitionDate, header.AcquisitionTime = "20260302", "101700"
    header.ContentDate, header.ContentTime = "20260302", "101800"
    header.AccessionNumber = "A-77"
    header.Modality = "CT"
    header.Manufacturer, header.ManufacturerModelName = "Scanner Works", "Ring 64"
    header.ReferringPhysicianName = "Referrer^Rita"
    header.StudyDescription = "Thorax"
    header.PatientName, header.PatientID = "Müller^Änne", "PAT-1"
    header.IssuerOfPatientID = "HOSPITAL"
    header.PatientBirthDate, header.PatientSex = "19600102", "F"
    header.BodyPartExamined = "CHEST"
    header.SliceThickness = 2.5
    header.KVP = 120
    header.PatientPosition = "HFS"
    header.StudyInstanceUID, header.SeriesInstanceUID = STUDY, SERIES
    header.StudyID, header.SeriesNumber, header.InstanceNumber = "S1", 3, slice_index + 1
    header.AcquisitionNumber = 1
    header.ImagePositionPatient = [round(float(value), 6) for value in position]
    header.ImageOrientationPatient = list(orientation)
    header.FrameOfReferenceUID = FRAME_OF_REFERENCE
    header.PositionReferenceIndicator = ""
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns, header.PixelSpacing = 24, 32, [0.75, 1.25]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = -1024, 1, "HU"
    return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Everything that a writer needs, consistent with each other."""

    headers: tuple[Dataset, ...]
    findings: Findings
    source: SourceHeader
    provenance: Provenance


def stack(slices: int = 6, orientation: Sequence[float] = AXIAL, step: float = 2.5) -> tuple[Dataset, ...]:
    """Headers of a regular stack; a negative `step` runs against the stack normal."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    origin = np.array([-20.5, -11.25, 30.125])
    return tuple(
        ct_header(index, (origin + index * step * normal).tolist(), orientation) for index in range(slices)
    )


def volume_of(headers: Sequence[Dataset], seed: int = 7) -> Volume:
    """The volume of a stack in the order of the headers, with arbitrary densities."""
    first, last = headers[0], headers[-1]
    positions = [np.array(header.ImagePositionPatient, dtype=float) for header in (first, last)]
    affine = np.eye(4)
    orientation = np.array(first.ImageOrientationPatient, dtype=float)
    affine[:3, 0] = (positions[1] - positions[0]) / (len(headers) - 1)
    affine[:3, 1] = orientation[3:] * float(first.PixelSpacing[0])
    affine[:3, 2] = orientation[:3] * float(first.PixelSpacing[1])
    affine[:3, 3] = positions[0]
    shape = (len(headers), int(first.Rows), int(first.Columns))
    voxels = np.random.default_rng(seed).normal(-800, 100, shape).astype(np.float32)
    return Volume(
        voxels=voxels,
        affine=affine,
        valid=np.ones(shape, dtype=bool),
        frames=tuple(
            SourceFrame(sop_class_uid=str(header.SOPClassUID), sop_instance_uid=str(header.SOPInstanceUID))
            for header in headers
        ),
        series_instance_uid=str(first.SeriesInstanceUID),
        frame_of_reference_uid=str(first.FrameOfReferenceUID),
    )


def lungs(
    volume: Volume, remarks: tuple[str, ...] = ("The left lung touches the edge of the scan.",)
) -> Findings:
    """Two segments without symmetry, so that any flip, shift or swap shows, and three measurements each."""
    right, left = (np.zeros(volume.voxels.shape, dtype=bool) for _ in range(2))
    right[1:4, 3:15, 2:9] = True
    right[2, 15:19, 2:5] = True
    left[2:, 5:17, 18:29] = True
    left[-1, 2:5, 20] = True
    segments = (
        Segment(
            key="lung-right",
            label="Right lung",
            category=ANATOMY,
            type=LUNG,
            voxels=right,
            rgb=(90, 160, 220),
            laterality=RIGHT,
        ),
        Segment(
            key="lung-left",
            label="Left lung",
            category=ANATOMY,
            type=LUNG,
            voxels=left,
            rgb=(220, 160, 90),
            laterality=LEFT,
        ),
    )
    return Findings(
        volume=volume,
        segments=segments,
        remarks=remarks,
        measurements=tuple(measured for segment in segments for measured in _measurements(volume, segment)),
    )


def _measurements(volume: Volume, segment: Segment) -> tuple[Measurement, ...]:
    inside = volume.voxels[segment.mask]
    return (
        Measurement(
            of=segment.key,
            name=VOLUME,
            unit=CUBIC_MM,
            value=float(segment.mask.sum()) * volume.voxel_volume_mm3,
        ),
        Measurement(of=segment.key, name=DENSITY, unit=HOUNSFIELD, value=float(inside.mean()), method=MEAN),
        Measurement(of=segment.key, name=LAA_950, unit=PERCENT, value=float((inside < -950).mean() * 100)),
    )


def nothing(volume: Volume) -> Findings:
    """A run that ended well and saw nothing."""
    return Findings(volume=volume, segments=(), measurements=(), remarks=("No lung in the images.",))


def order(headers: Sequence[Dataset], folder: Path | None = None, **changes: Any) -> WorkOrder:
    """A work order over the headers. With a folder: over files, which are written there."""
    instances = []
    for header in headers:
        content = encoded(header)
        path = "" if folder is None else str(folder / f"{header.SOPInstanceUID}.dcm")
        if folder is not None:
            (folder / f"{header.SOPInstanceUID}.dcm").write_bytes(content)
        instances.append(
            InputInstance(
                sop_instance_uid=str(header.SOPInstanceUID),
                series_instance_uid=str(header.SeriesInstanceUID),
                digest=hashlib.sha256(content).hexdigest(),
                path=path,
            )
        )
    made = WorkOrder(
        job_key="job-1",
        pipeline="ct-lung",
        revision=1,
        instances=tuple(instances),
        input_digest=hashlib.sha256("".join(sorted(i.digest for i in instances)).encode()).hexdigest(),
        configuration_digest="cd" * 32,
        forms=plan(("SEG", "TID1500")),
        content_qualification="RESEARCH",
        output_folder="" if folder is None else str(folder / "out"),
        device="cpu",
        node_version="0.1.0",
    )
    return replace(made, **changes)


def encoded(header: Dataset) -> bytes:
    """The header as a DICOM file."""
    buffer = io.BytesIO()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()


def sample(
    headers: Sequence[Dataset] | None = None, findings: Findings | None = None, **changes: Any
) -> Sample:
    """Headers, findings over them, the normalised source and the provenance."""
    headers = tuple(headers or stack())
    findings = findings or lungs(volume_of(headers))
    return Sample(
        headers=headers,
        findings=findings,
        source=read_source(headers, findings.grid),
        provenance=Provenance(manifest=MANIFEST, order=order(headers, **changes), started=STARTED),
    )


def enhanced(headers: Sequence[Dataset]) -> Dataset:
    """The same stack as one Enhanced CT image, its frames in the order of the headers."""
    image = Dataset()
    image.update(headers[0])
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = EnhancedCTImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                    "RescaleIntercept", "RescaleSlope", "RescaleType"):
        delattr(image, keyword)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = headers[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = headers[0].PixelSpacing, headers[0].SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    image.NumberOfFrames = len(headers)
    image.PerFrameFunctionalGroupsSequence = [_frame_group(header) for header in headers]
    return image


def _frame_group(header: Dataset) -> Dataset:
    group, position, content = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = header.ImagePositionPatient
    content.FrameAcquisitionNumber = 1
    group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
    return group
