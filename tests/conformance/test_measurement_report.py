"""Reports with every kind of finding, judged by implementations of DICOM that are not ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import validators

from radnode.pipelines.findings import (
    Classification,
    Code,
    Composite,
    Detection,
    Failure,
    Findings,
    InPatient,
    Measurement,
    OnImage,
    Relation,
)
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results import placing
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.geometry import Volume

NODULE = Code("27925004", "SCT", "Nodule")
SPICULATED = Code("129742005", "SCT", "Spiculated lesion")
MARGINS = Code("111037", "DCM", "Margins")
DIAMETER = Code("81827009", "SCT", "Diameter")
MM = Code("mm", "UCUM", "millimeter")
PNEUMOTHORAX = Code("36118008", "SCT", "Pneumothorax")
ABSENT = Code("2667000", "SCT", "Absent")


def _detections(findings: Findings) -> Findings:
    """Two nodules, a composite, a diameter and an answer about the study."""
    volume = findings.grid
    outline = np.array([[4.5, 6.5], [9.0, 6.5], [7.25, 11.0]])
    inside = to_patient(volume.affine, np.array([[2.2, 12.0, 20.0]]))[0]
    return replace(
        findings,
        detections=(
            Detection(key="n1", label="Nodule 1", type=NODULE, certainty=0.875, site=samples.LUNG,
                      laterality=samples.RIGHT, descriptors=((MARGINS, SPICULATED),),
                      at=OnImage(sop_instance_uid=volume.frames[1].sop_instance_uid, center=(7.0, 8.0),
                                 outline=outline)),
            Detection(key="n2", label="Nodule 2", type=NODULE, site=samples.LUNG,
                      at=InPatient(center_lps=(float(inside[0]), float(inside[1]), float(inside[2])),
                                   extent_mm=(5.0, 4.0, 3.0))),
            Detection(key="n3", label="Nodule 3", type=NODULE,
                      at=OnImage(sop_instance_uid=volume.frames[3].sop_instance_uid, center=(3.5, 2.5))),
        ),
        composites=(Composite(key="c", label="Nodule 1 and 3", type=NODULE, members=("n1", "n3"),
                              relation=Relation.SAME_PLACE, certainty=0.5),),
        measurements=(*findings.measurements, Measurement(of="n1", name=DIAMETER, value=6.25, unit=MM)),
        classifications=(Classification(key="ptx", name=PNEUMOTHORAX, value=ABSENT, certainty=0.99),),
        looked_for=(NODULE, PNEUMOTHORAX),
    )


def _written(sample: samples.Sample, folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for result in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        path = folder / f"{result.wanted.name}-{result.number}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        files.setdefault(result.wanted.name, []).append(path)
    return files


def _sample(findings: Callable[[Findings], Findings], forms: tuple[str, ...]) -> samples.Sample:
    headers = samples.stack()
    return samples.sample(headers, findings(samples.lungs(samples.volume_of(headers))), forms=plan(forms))


@pytest.mark.peer
@pytest.mark.parametrize("form", ["TID1500", "COMPREHENSIVE"])
def test_segments_and_detections_stand_in_two_accepted_reports(form: str, tmp_path: Path) -> None:
    sample = _sample(_detections, ("SEG", form))
    files = _written(sample, tmp_path)
    check(files, sample.findings, sample.source, sample.provenance)
    reports = files[f"{form}+SEG"]
    assert len(reports) == 2
    for path in reports:
        validators.dciodvfy(path)
        validators.dsrdump(path)
        validators.pixelmed_report(path)
        validators.dcmqi_report(path, tmp_path)
    texts = [validators.dsrdump(path) for path in reports]
    assert "Referenced Segment" in texts[0]
    assert "Image Region" not in texts[0]
    assert "Image Region" in texts[1]
    for text in texts:
        assert "Nodule 1 and 3: Nodule 1, Nodule 3 are the same finding on several images." in text


@pytest.mark.peer
def test_detections_alone_make_one_accepted_report(tmp_path: Path) -> None:
    sample = _sample(lambda findings: replace(_detections(findings), segments=(), measurements=()), ("TID1500",))
    files = _written(sample, tmp_path)
    check(files, sample.findings, sample.source, sample.provenance)
    (path,) = files["TID1500"]
    validators.dciodvfy(path)
    validators.dsrdump(path)
    validators.pixelmed_report(path)


@pytest.mark.peer
def test_a_part_that_failed_is_said_in_the_code_and_in_words(tmp_path: Path) -> None:
    failed = (Failure(what=NODULE, reason="The images are too thick."),)
    sample = _sample(lambda findings: replace(findings, failures=failed, looked_for=(NODULE, samples.LUNG)),
                     ("SEG", "TID1500"))
    (path,) = _written(sample, tmp_path)["TID1500+SEG"]
    shown = validators.dsrdump(path)
    assert '(111244,DCM,"Not all algorithms succeeded; with findings")' in shown
    assert "Not analysed: Nodule. The images are too thick." in shown
    validators.pixelmed_report(path)


def _region(report: Dataset) -> Dataset:
    return next(item for item in _items(report) if item.get("ValueType") == "SCOORD")


def _items(item: Dataset) -> list[Dataset]:
    return [item, *(each for child in item.get("ContentSequence", []) for each in _items(child))]


def _moved(report: Dataset) -> None:
    region = _region(report)
    region.GraphicData = [value + 1 for value in region.GraphicData]


def _mirrored(report: Dataset) -> None:
    region = _region(report)
    region.GraphicData = [32 - value if place % 2 == 0 else value for place, value in enumerate(region.GraphicData)]


def _other_image(report: Dataset) -> None:
    reference = _region(report).ContentSequence[0].ReferencedSOPSequence[0]
    reference.ReferencedSOPInstanceUID = f"{samples.SERIES}.5"


def _other_name(report: Dataset) -> None:
    for item in _items(report):
        if item.get("ConceptCodeSequence") and item.ConceptCodeSequence[0].CodeValue == NODULE.value:
            item.ConceptCodeSequence[0].CodeValue = "4147007"


def _other_answer(report: Dataset) -> None:
    for item in _items(report):
        if item.get("ConceptCodeSequence") and item.ConceptCodeSequence[0].CodeValue == ABSENT.value:
            item.ConceptCodeSequence[0].CodeValue = "52101004"


@pytest.mark.parametrize(("change", "number", "name"), [
    (_moved, 1, "geometry"), (_mirrored, 1, "geometry"), (_other_image, 1, "reference"), (_other_name, 1, "codes"),
    (_other_answer, 1, "codes"),
])
def test_a_detection_that_is_not_the_one_found_is_refused(
    change: Callable[[Dataset], None], number: int, name: str, tmp_path: Path
) -> None:
    sample = _sample(_detections, ("SEG", "TID1500"))
    files = _written(sample, tmp_path)
    path = files["TID1500+SEG"][number]
    report = pydicom.dcmread(path)
    change(report)
    report.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check(files, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == name


def test_a_place_in_the_patient_is_checked_without_the_code_that_placed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in placing, which writer and gate share, does not pass."""
    placed = placing.on_nearest_slice

    def mirrored(key: str, at: InPatient, volume: Volume) -> placing.Placed:
        right = placed(key, at, volume)
        return replace(right, points=np.array([volume.voxels.shape[2], 0]) + right.points * [-1, 1])

    monkeypatch.setattr(placing, "on_nearest_slice", mirrored)
    sample = _sample(_detections, ("SEG", "TID1500"))
    with pytest.raises(GateRefused) as refusal:
        check(_written(sample, tmp_path), sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == "geometry"
