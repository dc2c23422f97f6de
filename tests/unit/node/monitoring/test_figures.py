"""What of a job goes into the figures, and that its patient does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from radnode.node.monitoring.figures import figures_of, reason_kind
from radnode.storage.figures import EndedJob, Scanner

CT = {"Modality": "CT", "Manufacturer": "SIEMENS", "ManufacturerModelName": "Force", "StationName": "CT2",
      "SliceThickness": 3.0, "ConvolutionKernel": ["Br40d", "3"], "KVP": 120.0, "ContrastBolusAgent": "Ultravist 370",
      "PatientName": "Canary^Mary", "PatientID": "CANARY-1"}
REPORT = {
    "state": "findings", "seconds": {"decode": 1.5, "infer": 2.0}, "memory": {"run_mb": 812.5},
    "observed": {"noise": 11.0, "detections": 2.0, "certainty": 0.75, "odd": None},
    "measurements": [
        {"of": "a", "label": "Nodule 1", "name": "Diameter", "value": 4.0, "unit": "mm", "method": ""},
        {"of": "b", "label": "Nodule 2", "name": "Diameter", "value": 9.0, "unit": "mm", "method": ""},
    ],
}


def ended(**changed: Any) -> EndedJob:
    values: dict[str, Any] = {
        "job_id": 7, "pipeline": "ct-nodule", "version": "1.0", "state": "PRODUCED", "reason": "", "report": REPORT,
        "ended_at": datetime(2026, 3, 1, 23, 59, tzinfo=UTC), "source": "CT1", "attributes": CT,
        **changed,
    }
    return EndedJob(**values)


def observed(**changed: Any) -> dict[str, float | str | None]:
    return {each.figure: each.value for each in figures_of(ended(**changed)).observed}


def test_a_job_gives_protocol_image_result_and_run_under_the_name_of_its_scanner() -> None:
    found = figures_of(ended())
    assert found.scanner == Scanner(source="CT1", manufacturer="SIEMENS", model="Force", station="CT2")
    assert found.day == "2026-03-01"
    assert observed() == {
        "result/outcome": "findings", "result/not processed": "no", "result/positive": "yes",
        "protocol/SliceThickness": 3.0, "protocol/ConvolutionKernel": "Br40d\\3", "protocol/KVP": "120",
        "protocol/ContrastBolusAgent": "yes", "image/noise": 11.0, "result/detections": 2.0, "result/certainty": 0.75,
        "measure/Nodule: Diameter [mm]": 9.0, "run/seconds": 3.5, "run/memory": 812.5,
    }


def test_a_tag_that_lacks_is_missing_and_one_that_was_not_read_is_not() -> None:
    assert observed(attributes={"Modality": "CT"})["protocol/KVP"] is None
    assert "protocol/KVP" not in observed(attributes=None)
    assert "protocol/KVP" not in observed(attributes={**CT, "NumberOfFrames": 40})


def test_a_refusal_is_counted_with_its_kind_and_says_nothing_positive_or_negative() -> None:
    found = observed(state="NOT_PROCESSED", report={"state": "not processed"},
                     reason="instance 1.2.840.99.1 has 12 frames, not 14; send it again")
    assert found["result/outcome"] == "not processed"
    assert found["result/not processed"] == "yes"
    assert found["result/reason"] == "instance # has # frames, not #"
    assert "result/positive" not in found


@pytest.mark.parametrize(("reason", "kind"), [
    ("Patient's Weight is 612 kg: no SUV can be computed", "Patient's Weight is # kg: no SUV can be computed"),
    ('series "Thorax^Mayer" is none; see the log', "series … is none"), ("", "no reason"),
])
def test_the_kind_of_a_refusal_holds_no_number_and_no_quoted_word(reason: str, kind: str) -> None:
    assert reason_kind(reason) == kind


def test_nothing_of_the_patient_is_in_the_figures() -> None:
    assert "canary" not in repr(figures_of(ended())).lower()
    assert "Ultravist" not in repr(figures_of(ended()))
