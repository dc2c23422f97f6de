"""The report that a study was not processed: accepted everywhere, and never to be taken for "nothing found"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from support import result_samples as samples
from support import validators

from radnode.pipelines.forms import Wanted
from radnode.pipelines.results import not_processed
from radnode.pipelines.results.gate import GateRefused, check_refusal
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writing import Making

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

REASON = "5 slices of one stack; ct-lung needs at least 10"


def _making() -> Making:
    sample = samples.sample()
    return Making(
        source=read_source(sample.headers, None), provenance=sample.provenance, wanted=Wanted("NOT-PROCESSED")
    )


def _written(folder: Path, *, failed: bool = False) -> Path:
    path = folder / "NOT-PROCESSED.dcm"
    not_processed.write_refusal(_making(), REASON, failed=failed).save_as(path, enforce_file_format=True)
    return path


@pytest.mark.peer
@pytest.mark.parametrize(("failed", "analyses"), [
    (True, '(111224,DCM,"Failed")'), (False, '(111225,DCM,"Not Attempted")'),
], ids=["failed", "refused"])
def test_it_is_accepted_and_says_why(failed: bool, analyses: str, tmp_path: Path) -> None:
    path = _written(tmp_path, failed=failed)
    check_refusal(path, _making(), REASON, failed=failed)
    validators.dciodvfy(path)
    shown = validators.dsrdump(path)
    assert '(111245,DCM,"No algorithms succeeded; without findings")' in shown
    assert f'(111065,DCM,"Summary of Analyses")={analyses}' in shown
    assert "were NOT analysed by Lung volumes in chest CT (ct-lung 1.2.3)" in shown
    assert REASON in shown
    assert "says nothing about the patient" in shown
    assert "111241" not in shown


def _nothing_found(report: Dataset) -> None:
    item = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111017")
    item.ConceptCodeSequence[0].CodeValue = "111241"


def _failed(report: Dataset) -> None:
    item = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111065")
    item.ConceptCodeSequence[0].CodeValue = "111224"


def _without_reason(report: Dataset) -> None:
    report.ContentSequence = [item for item in report.ContentSequence if REASON not in str(item.get("TextValue"))]


def _other_title(report: Dataset) -> None:
    report.ConceptNameCodeSequence[0].CodeValue = "18748-4"


def _other_patient(report: Dataset) -> None:
    report.PatientID = "PAT-2"


@pytest.mark.parametrize(("change", "name"), [
    (_nothing_found, "outcome"), (_failed, "outcome"), (_without_reason, "remarks"), (_other_title, "outcome"),
    (_other_patient, "patient"),
])
def test_one_that_misleads_is_refused(change: Callable[[Dataset], None], name: str, tmp_path: Path) -> None:
    path = _written(tmp_path)
    report = pydicom.dcmread(path)
    change(report)
    report.save_as(path, enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check_refusal(path, _making(), REASON, failed=False)
    assert refusal.value.check == name
