"""A prior of another patient is impossible: whatever an archive answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from radnode.config.pulls import Priors
from radnode.node.retrieving.archive import FoundSeries, FoundStudy, Question
from radnode.node.retrieving.prior_finding import find, is_alike, is_earlier, is_same_patient
from radnode.node.retrieving.prior_wishes import wish
from radnode.storage.priors import Patient, Wanted

if TYPE_CHECKING:
    from radnode.node.retrieving.archive import Request

PATIENT = Patient(patient_id="P1", issuer="HOSPITAL", birth_date="19600101")
WANTED = Wanted(study_instance_uid="1.1", study_date=date(2026, 1, 2), patient=PATIENT, modality="CT",
                body_part="CHEST", studies=2, days=700, wait_s=60)
STUDY = FoundStudy(study_instance_uid="1.9", patient_id="P1", issuer="HOSPITAL", birth_date="19600101",
                   study_date="20250101", modalities=("CT", "SR"))


class Listing:
    """An archive that answers everything it has, whatever it is asked, as some do."""

    def __init__(self, *studies: FoundStudy, series: FoundSeries | None = None) -> None:
        self._studies = studies
        self._series = series or FoundSeries(series_instance_uid="1.2", modality="CT", body_part="Chest")

    def studies(self, question: Question) -> list[FoundStudy]:
        assert question.patient_id == "P1"
        assert question.study_date == "20240202-20260102"
        return list(self._studies)

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        return [self._series]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
        raise NotImplementedError

    def retrieve(self, request: Request) -> str:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    "other",
    [
        {"patient_id": "P2"}, {"patient_id": "p1"}, {"patient_id": ""}, {"issuer": "ELSEWHERE"}, {"issuer": ""},
        {"birth_date": "19600102"},
    ],
)  # fmt: skip
def test_an_id_counts_with_its_issuer_and_no_other_birth_date(other: dict[str, str]) -> None:
    assert is_same_patient(STUDY, PATIENT)
    assert is_same_patient(replace(STUDY, birth_date=""), PATIENT)
    assert not is_same_patient(replace(STUDY, **other), PATIENT)
    found, _ = find(Listing(replace(STUDY, **other)), "A", WANTED)
    assert found == []


def test_nobody_without_an_id_is_the_same() -> None:
    nobody = Patient(patient_id="", issuer="", birth_date="")
    assert not nobody.is_same(nobody)


def test_the_newest_earlier_studies_are_taken_and_the_others_are_told_of() -> None:
    studies = [replace(STUDY, study_instance_uid=f"1.{number}", study_date=day)
               for number, day in enumerate(("20240301", "20251231", "20250601"), 20)]
    found, remarks = find(Listing(*studies), "A", WANTED)
    assert [each.study_date for each in found] == ["20251231", "20250601"]
    assert remarks == []
    _, remarks = find(Listing(replace(STUDY, issuer="ELSEWHERE")), "A", WANTED)
    assert remarks[0].startswith("1 earlier studies at A have this Patient ID, but another issuer")
    assert remarks[1] == "No earlier study to compare with was found at A (CT, CHEST), from 2024-02-02 on."


@pytest.mark.parametrize(
    "other",
    [
        {"study_instance_uid": "1.1"}, {"study_date": "20260102"}, {"study_date": "20260103"}, {"study_date": ""},
        {"study_date": "19990101"}, {"modalities": ("MR",)},
    ],
)  # fmt: skip
def test_the_same_study_one_of_the_same_day_a_later_and_a_too_old_one_are_no_priors(
    other: dict[str, object]
) -> None:
    assert is_earlier(STUDY, WANTED)
    assert not is_earlier(replace(STUDY, **other), WANTED)


def test_a_part_of_the_body_that_is_not_said_may_be_any() -> None:
    series = FoundSeries(series_instance_uid="1.2", modality="CT")
    assert is_alike(series, WANTED)
    assert is_alike(replace(series, body_part="chest"), WANTED)
    assert not is_alike(replace(series, body_part="HEAD"), WANTED)
    assert not is_alike(replace(series, modality="SR"), WANTED)


def test_what_cannot_be_asked_for_is_said() -> None:
    said = {"PatientID": "P1", "StudyDate": "20260102", "Modality": "CT", "StudyInstanceUID": "1.1"}
    assert isinstance(wish(Priors(), said), Wanted)
    assert wish(Priors(), {**said, "PatientID": ""}) == "the images have no Patient ID"
    assert wish(Priors(), {**said, "StudyDate": "2026"}) == "the images have no Study Date"
    assert "mean others in a query" in str(wish(Priors(), {**said, "PatientID": "P*"}))
