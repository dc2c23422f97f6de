"""Small mammograms and a chest radiograph, with findings that a flip or an exchange of sides would show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, DigitalXRayImageStorageForPresentation

from radnode.pipelines.findings import (
    Code,
    Composite,
    Detection,
    Findings,
    Measurement,
    OnImage,
    Relation,
)
from radnode.pipelines.geometry import Projection, SourceFrame
from radnode.pipelines.results.identity import Provenance
from radnode.pipelines.results.normalise import read_source
from support import result_samples as samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

CALCIFICATIONS = Code("129769006", "SCT", "Calcification Cluster")
DENSITY = Code("129793001", "SCT", "Mammography breast density")
MASS = Code("129788004", "SCT", "Mammographic breast mass")
PROBABILITY = Code("111047", "DCM", "Probability of cancer")
NUMBER = Code("111038", "DCM", "Number of calcifications")
UNITY = Code("1", "UCUM", "no units")
MARGINS, SPICULATED = Code("111037", "DCM", "Margins"), Code("129742005", "SCT", "Spiculated lesion")
DISTRIBUTION = Code("111008", "DCM", "Calcification Distribution")
GROUPED = Code("129766004", "SCT", "Grouped calcification distribution")

_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def mammograms() -> tuple[Dataset, ...]:
    """Right and left CC, right and left MLO, 24 rows by 32 columns, without pixels."""
    return tuple(_mammogram(number, side, view) for number, (side, view) in enumerate(_VIEWS, 1))


def _mammogram(number: int, side: str, view: str) -> Dataset:
    header = _projection(number, "MG", DigitalMammographyXRayImageStorageForPresentation)
    header.ImageLaterality, header.ViewPosition = side, view
    header.BodyPartExamined = "BREAST"
    header.PatientOrientation = ["A", "L"] if side == "L" else ["P", "R"]
    header.ImagerPixelSpacing = [0.07, 0.08]
    return header


def chest_radiograph() -> tuple[Dataset, ...]:
    """One DX image of the chest; it has no Frame of Reference."""
    header = _projection(1, "DX", DigitalXRayImageStorageForPresentation)
    header.ViewPosition, header.BodyPartExamined = "PA", "CHEST"
    header.PatientOrientation = ["L", "F"]
    header.ImagerPixelSpacing = [0.14, 0.14]
    return (header,)


def _projection(number: int, modality: str, sop_class_uid: str) -> Dataset:
    header = samples.ct_header(number - 1, (0, 0, 0))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "SliceThickness",
                    "PixelSpacing", "RescaleIntercept", "RescaleSlope", "RescaleType", "PositionReferenceIndicator"):
        delattr(header, keyword)
    header.SOPClassUID, header.Modality = sop_class_uid, modality
    header.PresentationIntentType = "FOR PRESENTATION"
    return header


def projections(headers: Sequence[Dataset]) -> tuple[Projection, ...]:
    """What a pipeline would see of them."""
    random = np.random.default_rng(5)
    return tuple(
        Projection(
            pixels=random.normal(1000, 100, (int(header.Rows), int(header.Columns))).astype(np.float32),
            source=SourceFrame(sop_class_uid=str(header.SOPClassUID), sop_instance_uid=str(header.SOPInstanceUID)),
            series_instance_uid=str(header.SeriesInstanceUID),
            spacing_mm=(float(header.ImagerPixelSpacing[0]), float(header.ImagerPixelSpacing[1])),
            orientation=(str(header.PatientOrientation[0]), str(header.PatientOrientation[1])),
            laterality=str(header.get("ImageLaterality", "")),
            view=str(header.get("ViewPosition", "")),
        )
        for header in headers
    )


def screening(headers: Sequence[Dataset]) -> Findings:
    """A mass on both views of the left breast, and a cluster of calcifications on one view of the right."""
    read = projections(headers)
    outline = np.array([[5.0, 6.0], [9.5, 6.0], [9.5, 11.25], [5.0, 11.25]])
    return Findings(
        projections=read,
        detections=(
            Detection(key="m1", label="Mass CC", type=DENSITY, certainty=0.75, descriptors=((MARGINS, SPICULATED),),
                      at=_on(read[1], (7.0, 8.5), outline)),
            Detection(key="m2", label="Mass MLO", type=DENSITY, certainty=0.5,
                      at=_on(read[3], (20.0, 8.5), outline + np.array([13.0, 0.0]))),
            Detection(key="c1", label="Calcifications", type=CALCIFICATIONS, certainty=0.25,
                      descriptors=((DISTRIBUTION, GROUPED),), at=_on(read[0], (25.25, 17.5))),
        ),
        composites=(
            Composite(key="mass", label="Mass, left", type=MASS, members=("m1", "m2"), relation=Relation.SAME_PLACE,
                      certainty=0.8),
        ),
        measurements=(
            Measurement(of="m1", name=PROBABILITY, value=62.5, unit=samples.PERCENT),
            Measurement(of="c1", name=NUMBER, value=7, unit=UNITY),
        ),
        looked_for=(DENSITY, CALCIFICATIONS),
    )


def _on(image: Projection, center: tuple[float, float], outline: np.ndarray | None = None) -> OnImage:
    return OnImage(sop_instance_uid=image.source.sop_instance_uid, center=center, outline=outline)


def sample(headers: Sequence[Dataset], findings: Findings, forms: tuple[str, ...]) -> samples.Sample:
    """Everything that a writer needs."""
    manifest = replace(samples.MANIFEST, name="mg-cad", title="Mammography screening", modality="MG")
    return samples.Sample(
        headers=tuple(headers),
        findings=findings,
        source=read_source(headers, None, findings.projections),
        provenance=Provenance(
            manifest=manifest, order=samples.order(headers, forms=forms), started=samples.STARTED
        ),
    )
