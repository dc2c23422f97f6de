"""Every kind of source with findings of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import BreastTomosynthesisImageStorage

from radnode.pipelines.findings import (
    Classification,
    Code,
    Composite,
    DerivedImage,
    Detection,
    Findings,
    InPatient,
    Map,
    MapKind,
    Measurement,
    OnImage,
    Path,
    Relation,
    Segment,
)
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import SourceFrame, to_patient
from radnode.pipelines.results.writers import write
from support import projection_samples as projections
from support import result_samples as samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path as File

    from radnode.pipelines.geometry import Volume
    from radnode.pipelines.results.writing import Provenance

BREAST = Code("76752008", "SCT", "Breast")
NODULE = Code("27925004", "SCT", "Nodule")
UNITY = Code("1", "UCUM", "no units")
MM = Code("mm", "UCUM", "millimeter")
DIAMETER = Code("81827009", "SCT", "Diameter")
PRESENT = Code("52101004", "SCT", "Present")


def everything(volume: Volume) -> Findings:
    """Two lungs, a label map, detections on an image and in the patient, a length, an answer, two maps, an image."""
    findings = samples.lungs(volume)
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    labels[0, 18:22, 20:26], labels[1, 18:20, 4:9] = 3, 9
    shared = {"category": samples.ANATOMY, "type": samples.LUNG, "site": samples.LUNG, "voxels": labels}
    image = volume.frames[1]
    inside = to_patient(volume.affine, np.array([[2.2, 12.0, 20.0]]))[0]
    values = np.random.default_rng(3).random(volume.voxels.shape).astype(np.float32)
    described = {"category": samples.ANATOMY, "type": samples.LUNG, "quantity": Code("110841", "DCM", "Probability"),
                 "unit": UNITY, "values": values, "rgb": (200, 30, 30)}
    return replace(
        findings,
        segments=(
            *findings.segments,
            Segment(key="three", label="Third", value=3, rgb=(90, 200, 90), **shared),
            Segment(key="nine", label="Ninth", value=9, rgb=(200, 90, 200), **shared),
        ),
        detections=(
            Detection(key="n1", label="Nodule 1", type=NODULE, certainty=0.8, site=samples.LUNG,
                      at=OnImage(sop_instance_uid=image.sop_instance_uid, frame_number=image.frame_number,
                                 center=(7.0, 8.0), outline=np.array([[4.5, 6.5], [9.0, 6.5], [7.25, 11.0]]))),
            Detection(key="n2", label="Nodule 2", type=NODULE, certainty=0.4,
                      at=InPatient(center_lps=(float(inside[0]), float(inside[1]), float(inside[2])),
                                   extent_mm=(5.0, 4.0, 3.0))),
        ),
        composites=(Composite(key="c", label="Both", type=NODULE, members=("n1", "n2"), relation=Relation.SAME_PLACE),),
        measurements=(
            *findings.measurements,
            Measurement(of="n1", name=DIAMETER, value=4.5, unit=MM,
                        path=Path(sop_instance_uid=image.sop_instance_uid, frame_number=image.frame_number,
                                  points=np.array([[4.5, 6.5], [8.1, 6.5]]))),
        ),
        classifications=(Classification(key="answer", name=NODULE, value=PRESENT, certainty=0.9),),
        maps=(Map(key="heat", label="Saliency", kind=MapKind.SALIENCY, **described),
              Map(key="chance", label="Chance", kind=MapKind.PROBABILITY, **described)),
        derived=DerivedImage(key="smooth", label="Smoothed", values=values * 1000 - 500, unit=UNITY,
                             derivation="Noise was reduced."),
        looked_for=(NODULE,),
    )


def _stack(orientation: Sequence[float] = samples.AXIAL, step: float = 2.5) -> samples.Sample:
    headers = samples.stack(orientation=orientation, step=step)
    return samples.sample(headers, everything(samples.volume_of(headers)))


def _tilted() -> samples.Sample:
    """A gantry tilt: slices shifted against their normal, as a sheared grid."""
    headers = samples.stack()
    for number, header in enumerate(headers):
        x, y, z = (float(value) for value in header.ImagePositionPatient)
        header.ImagePositionPatient = [x, round(y + 0.6 * number, 6), z]
    return samples.sample(headers, everything(samples.volume_of(headers)))


def _irregular() -> samples.Sample:
    """Slices a few hundredths of a millimetre beside their regular places, as scanners round them."""
    headers = samples.stack()
    volume = samples.volume_of(headers)
    for header, shift in zip(headers[1:-1], (0.04, -0.05, 0.03, -0.02), strict=True):
        x, y, z = (float(value) for value in header.ImagePositionPatient)
        header.ImagePositionPatient = [x, y, round(z + shift, 6)]
    return samples.sample(headers, everything(volume))


def _shuffled() -> samples.Sample:
    """Instance numbers, UIDs and the order of arrival say nothing about where a slice lies."""
    headers = samples.stack()
    for header, number in zip(headers, (4, 1, 6, 2, 5, 3), strict=True):
        header.InstanceNumber, header.SOPInstanceUID = number, f"{samples.SERIES}.{number}"
    arrived = sorted(headers, key=lambda header: int(header.InstanceNumber))
    return samples.sample(arrived, everything(samples.volume_of(headers)))


def _enhanced() -> samples.Sample:
    headers = samples.stack()
    return _of_frames(samples.enhanced(headers), samples.volume_of(headers))


def _tomosynthesis() -> samples.Sample:
    """A left breast, seen from oblique: the frames of one image, their file order against their place."""
    headers = samples.stack(orientation=(0.0, 1.0, 0.0, 0.6, 0.0, -0.8), step=1.0)
    image = samples.enhanced(headers[::-1])
    image.SOPClassUID, image.Modality = BreastTomosynthesisImageStorage, "MG"
    image.BodyPartExamined, image.PatientOrientation = "BREAST", ["P", "FR"]
    del image.KVP
    anatomy = Dataset()
    anatomy.FrameLaterality = "L"
    image.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    sample = _of_frames(image, samples.volume_of(headers), backwards=True)
    manifest = replace(samples.MANIFEST, name="dbt-cad", title="Breast tomosynthesis", modality="MG")
    return replace(sample, provenance=replace(sample.provenance, manifest=manifest))


def _of_frames(image: Dataset, volume: Volume, *, backwards: bool = False) -> samples.Sample:
    """The volume as frames of one image, which hold its slices in order or backwards."""
    numbers = range(1, len(volume.frames) + 1)
    frames = tuple(
        SourceFrame(sop_class_uid=str(image.SOPClassUID), sop_instance_uid=str(image.SOPInstanceUID), frame_number=n)
        for n in (reversed(numbers) if backwards else numbers)
    )
    return samples.sample([image], everything(replace(volume, frames=frames)))


def _areas_on_mammograms() -> samples.Sample:
    """Marks, two segments on two of the images, an answer for each breast and one for the study."""
    headers = projections.mammograms()
    findings = projections.screening(headers)
    masks = np.zeros((2, *findings.projections[0].pixels.shape), dtype=bool)
    masks[0, 3:9, 4:15] = masks[0, 9:12, 4:6] = masks[1, 10:20, 20:27] = True
    segments = tuple(
        Segment(key=f"area-{number}", label=f"Area {number}", category=samples.ANATOMY, type=BREAST,
                voxels=masks[number], laterality=side, rgb=(90, 160, 220),
                on=findings.projections[number].source.sop_instance_uid)
        for number, side in enumerate((samples.RIGHT, samples.LEFT))
    )
    answers = tuple(
        Classification(key=f"answer-{side.meaning}", name=NODULE, value=PRESENT, laterality=side, certainty=0.5)
        for side in (samples.RIGHT, samples.LEFT)
    )
    findings = replace(findings, segments=segments, classifications=(
        *answers, Classification(key="image", name=NODULE, value=PRESENT,
                                 of=findings.projections[2].source.sop_instance_uid)))
    return projections.sample(headers, findings, ())


def _mammograms() -> samples.Sample:
    headers = projections.mammograms()
    return projections.sample(headers, projections.screening(headers), ())


def _radiograph() -> samples.Sample:
    headers = projections.chest_radiograph()
    read = projections.projections(headers)
    on = read[0].source.sop_instance_uid
    mask = np.zeros(read[0].pixels.shape, dtype=bool)
    mask[3:9, 4:15] = True
    findings = Findings(
        projections=read,
        segments=(Segment(key="lung", label="Lung", category=samples.ANATOMY, type=samples.LUNG, voxels=mask,
                          rgb=(90, 160, 220), on=on),),
        detections=(Detection(key="n", label="Nodule", type=NODULE, certainty=0.5,
                              at=OnImage(sop_instance_uid=on, center=(20.0, 12.5),
                                         outline=np.array([[18.0, 10.0], [22.0, 10.5], [20.5, 15.0]]))),),
        looked_for=(NODULE,),
    )
    return projections.sample(headers, findings, ())


SOURCES: dict[str, Callable[[], samples.Sample]] = {
    "CT, upwards": _stack,
    "CT, downwards": lambda: _stack(step=-2.5),
    "CT, oblique": lambda: _stack(samples.OBLIQUE),
    "CT, gantry tilt": _tilted,
    "CT, irregular": _irregular,
    "CT, shuffled": _shuffled,
    "Enhanced CT": _enhanced,
    "tomosynthesis": _tomosynthesis,
    "mammograms": _mammograms,
    "mammograms, areas": _areas_on_mammograms,
    "chest radiograph": _radiograph,
}


def write_files(
    sample: samples.Sample, form: str, provenance: Provenance, folder: File
) -> dict[str, list[File]]:
    """The form and what it refers to as files: name of the wanted form -> its files; the form's own come last."""
    names = names_of(form)
    files: dict[str, list[File]] = {name: [] for name in names}
    for result in write(sample.findings, sample.source, provenance, names):
        path = folder / f"{result.wanted.name}-{result.number}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        files[result.wanted.name].append(path)
    return files


def names_of(form: str) -> tuple[str, ...]:
    """The object of a form, and the segmentation it refers to."""
    return plan(("SEG", form)) if form in ("TID1500", "COMPREHENSIVE", "OHIF") else plan((form,))
