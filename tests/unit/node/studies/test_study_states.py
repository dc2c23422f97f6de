"""A study is in one state, said in one word: what somebody has to look at before what is under way or over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from radnode.node.studies.states import StudyState, current, state_of
from radnode.storage import study_search
from radnode.storage.study_facts import DeliveryFacts, Hold, JobFacts, SeriesFacts, StudyFacts

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def series(state: str = "CLOSED", number: int = 1) -> SeriesFacts:
    return SeriesFacts(series_id=number, modality="CT", description="", source="PACS", state=state, reason="",
                       received=3)


def delivery(state: str) -> DeliveryFacts:
    return DeliveryFacts(destination="PACS", state=state, number=1, reason="")


def job(state: str, *deliveries: str, **changed: Any) -> JobFacts:
    values = {"job_id": 1, "series_id": 1, "pipeline": "ct-lung", "revision": 1, "reason": "", "outcome": "FINDINGS",
              "route_names": ("chest",), "created_at": NOW, **changed}
    return JobFacts(state=state, deliveries=tuple(delivery(each) for each in deliveries), **values)


def study(*jobs: JobFacts, of: tuple[SeriesFacts, ...] = (series(),), **changed: Any) -> StudyFacts:
    values = {"study_id": 1, "study_instance_uid": "1.2", "patient_id": "P", "patient_name": "", "accession_number": "",
              "study_date": "", "description": "", "conflict": "", "first_received_at": NOW, "last_received_at": NOW,
              "hold": None, "pending": False, **changed}
    return StudyFacts(series=of, jobs=jobs, **values)


def route(*, matched: bool = False, name: str = "chest", instances: int = 3) -> dict[str, Any]:
    return {"route": name, "matched": matched, "instances": instances}


HELD_BY_HAND = Hold(by="anna", reason="", at=NOW)


@pytest.mark.parametrize(("seen", "state"), [
    (study(job("FAILED"), of=(series("HELD"),)), "failed"),
    (study(job("PRODUCED", "CONFIRMED", "DEAD")), "undelivered"),
    (study(of=(series("CONFLICT"), series("OPEN"))), "conflict"),
    (study(conflict="two patients"), "conflict"),
    (study(job("RUNNING"), of=(series("HELD"),)), "incomplete"),
    (study(job("WAITING"), hold=HELD_BY_HAND), "on hold"),
    (study(job("RUNNING"), job("WAITING", series_id=2)), "running"),
    (study(job("WAITING")), "waiting"),
    (study(job("PRODUCED", "CONFIRMED", "WAITING")), "sending"),
    (study(of=(series("OPEN"),)), "arriving"),
    (study(pending=True), "arriving"),
    (study(job("NOT_PROCESSED", "SENT"), job("PRODUCED", "SENT", pipeline="other")), "not processed"),
    (study(job("DISCARDED")), "discarded"),
    (study(of=(series("DISCARDED"),)), "discarded"),
    (study(job("PRODUCED", "SENT")), "delivered"),
    (study(job("PRODUCED", "SENT", outcome="NOTHING_FOUND")), "nothing found"),
    (study(job("PRODUCED", "SENT", outcome="NOTHING_FOUND"), job("PRODUCED", "SENT", pipeline="other")), "delivered"),
    (study(job("PRODUCED")), "produced"),
    (study(routings=((route(), route(matched=True)),)), "sent on"),
    (study(routings=((route(name="(any)"),),)), "prior"),
    (study(routings=((route(instances=0),),)), "own"),
    (study(routings=((route(),),)), "no route"),
    (study(), "no route"),
])
def test_a_study_is_in_the_state_that_matters_most(seen: StudyFacts, state: str) -> None:
    assert state_of(seen) == state


def test_a_later_revision_takes_the_place_of_what_failed() -> None:
    assert state_of(study(job("FAILED"), job("WAITING", job_id=2, revision=2))) == "waiting"


def test_a_repetition_that_was_discarded_leaves_the_earlier_answer_in_force() -> None:
    seen = study(job("PRODUCED", "SENT"), job("DISCARDED", job_id=2, revision=2))
    assert state_of(seen) == "delivered"
    assert [each.job_id for each in current(replace(seen, jobs=seen.jobs[::-1]))] == [1]


def test_every_state_can_be_searched_for() -> None:
    assert {each.value for each in StudyState} == study_search.STATES
