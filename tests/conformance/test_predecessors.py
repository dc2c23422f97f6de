"""A report of a later revision names the one that it takes the place of, and never another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import ohif, validators
from support import projection_samples as projections
from support import result_samples as samples

from radnode.pipelines.contract import Predecessor
from radnode.pipelines.findings import Code, Detection, Findings, InPatient
from radnode.pipelines.forms import REPORTS, Wanted
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results import not_processed
from radnode.pipelines.results.gate import GateRefused, check, check_refusal
from radnode.pipelines.results.writers import write
from radnode.pipelines.results.writing import Making

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

NODULE = Code("27925004", "SCT", "Nodule")
FINDINGS_FORMS = sorted(REPORTS - {"NOT-PROCESSED"})


def _nodule() -> samples.Sample:
    headers = ohif.square_stack()
    volume = samples.volume_of(headers)
    x, y, z = map(float, to_patient(volume.affine, np.array([[2.0, 10.0, 20.0]]))[0])
    nodule = Detection(key="n1", label="Nodule", type=NODULE, certainty=0.6,
                       at=InPatient(center_lps=(x, y, z), extent_mm=(4.0, 4.0, 4.0)))
    return samples.sample(headers, Findings(volume=volume, detections=(nodule,), looked_for=(NODULE,)))


def _sample(form: str, **changed: str) -> samples.Sample:
    """Of revision 2, after two documents of revision 1 that were series of their own."""
    if form == "MAMMOGRAPHY-CAD":
        headers = projections.mammograms()
        sample = projections.sample(headers, projections.screening(headers), (form,))
    else:
        sample = _nodule()
    before = tuple(
        Predecessor(**{
            "name": form, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34", "sop_instance_uid": f"2.25.7{number}",
            "series_instance_uid": f"2.25.8{number}",
            "study_instance_uid": str(sample.source.common.StudyInstanceUID), **changed,
        })
        for number in (1, 2)
    )
    order = replace(sample.provenance.order, forms=(form,), revision=2, predecessors=before)
    return replace(sample, provenance=replace(sample.provenance, order=order))


def _write(form: str, sample: samples.Sample, folder: Path) -> Path:
    path = folder / f"{form}.dcm"
    if form == "NOT-PROCESSED":
        result = not_processed.write_refusal(_making(sample), "no lung", failed=False)
    else:
        (written,) = write(sample.findings, sample.source, sample.provenance, (form,))
        result = written.dataset
    result.save_as(path, enforce_file_format=True)
    return path


def _making(sample: samples.Sample) -> Making:
    return Making(source=sample.source, provenance=sample.provenance, wanted=Wanted("NOT-PROCESSED"))


def _gate(form: str, sample: samples.Sample, path: Path) -> None:
    if form == "NOT-PROCESSED":
        check_refusal(path, _making(sample), "no lung", failed=False)
    else:
        check({form: [path]}, sample.findings, sample.source, sample.provenance)


def _named(report: Dataset) -> list[str]:
    return [str(each.ReferencedSOPInstanceUID) for study in report.PredecessorDocumentsSequence
            for series in study.ReferencedSeriesSequence for each in series.ReferencedSOPSequence]


@pytest.mark.catalogue("R13")
@pytest.mark.peer
@pytest.mark.parametrize("form", sorted(REPORTS))
def test_every_report_names_what_it_takes_the_place_of_and_is_accepted(form: str, tmp_path: Path) -> None:
    sample = _sample(form)
    path = _write(form, sample, tmp_path)
    _gate(form, sample, path)
    validators.validate(path, form)
    report = pydicom.dcmread(path)
    assert _named(report) == ["2.25.71", "2.25.72"]
    (study,) = report.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == report.StudyInstanceUID
    assert len(study.ReferencedSeriesSequence) == 2


@pytest.mark.parametrize("form", FINDINGS_FORMS)
def test_a_report_of_another_name_is_no_predecessor(form: str, tmp_path: Path) -> None:
    report = pydicom.dcmread(_write(form, _sample(form, name="SC"), tmp_path))
    assert "PredecessorDocumentsSequence" not in report


def _none(report: Dataset) -> None:
    del report.PredecessorDocumentsSequence


def _another(report: Dataset) -> None:
    series = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.99"


@pytest.mark.parametrize("change", [_none, _another])
def test_a_report_that_names_another_predecessor_is_refused(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    sample = _sample("TID1500")
    path = _write("TID1500", sample, tmp_path)
    report = pydicom.dcmread(path)
    change(report)
    report.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        _gate("TID1500", sample, path)
    assert refusal.value.check == "predecessor"


def test_an_order_that_names_another_study_or_the_report_itself_is_refused(tmp_path: Path) -> None:
    """The gate trusts the rows of the node no more than the writer."""
    own = str(pydicom.dcmread(_write("TID1500", _sample("TID1500"), tmp_path)).SOPInstanceUID)
    for changed in ({"study_instance_uid": "2.25.5"}, {"sop_instance_uid": own}):
        sample = _sample("TID1500", **changed)
        with pytest.raises(GateRefused) as refusal:
            _gate("TID1500", sample, _write("TID1500", sample, tmp_path))
        assert refusal.value.check == "predecessor"


def test_the_order_that_a_worker_reads_names_them_too() -> None:
    order = _sample("TID1500").provenance.order
    assert type(order).from_json(order.to_json()) == order
