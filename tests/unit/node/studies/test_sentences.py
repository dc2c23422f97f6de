"""What became of a study is one sentence, made of what is known and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from radnode.node.pages.studies.sentences import LABELS, tone_of, why
from radnode.node.studies.nearest import nearest
from radnode.node.studies.states import StudyState, state_of
from radnode.storage.study_facts import DeliveryFacts, Hold, JobFacts, SeriesFacts, StudyFacts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERIES = SeriesFacts(series_id=1, modality="CT", description="", source="PACS", state="CLOSED", reason="", received=3)
STUDY = StudyFacts(
    study_id=1, study_instance_uid="1.2", patient_id="P", patient_name="", accession_number="", study_date="",
    description="", conflict="", first_received_at=NOW, last_received_at=NOW, series=(SERIES,), jobs=(), hold=None,
    pending=False,
)  # fmt: skip
JOB = JobFacts(job_id=1, series_id=1, pipeline="ct-lung", revision=1, state="PRODUCED", reason="", outcome="FINDINGS",
               route_names=("chest",), created_at=NOW)


def to_pacs(state: str, reason: str = "") -> tuple[DeliveryFacts, ...]:
    return (DeliveryFacts(destination="PACS", state=state, number=1, reason=reason),)


def with_job(**changed: Any) -> StudyFacts:
    return replace(STUDY, jobs=(replace(JOB, **changed),))


def condition(outcome: str, name: str = "modality is CT", *seen: str) -> dict[str, Any]:
    return {"condition": name, "outcome": outcome, "seen": list(seen), "matching": 0}


def route(*conditions: dict[str, Any], enabled: bool = True, matching: int = 0, name: str = "chest") -> dict[str, Any]:
    return {"route": name, "enabled": enabled, "matched": False, "instances": 3, "matching": matching,
            "conditions": list(conditions)}


def no_route(*routes: dict[str, Any]) -> StudyFacts:
    return replace(STUDY, routings=(routes,))


@pytest.mark.parametrize(("seen", "sentence"), [
    (with_job(state="FAILED", reason="out of memory"), "ct-lung failed: out of memory"),
    (with_job(deliveries=to_pacs("DEAD", "status 0xA900")),
     "The results of ct-lung did not reach PACS: status 0xA900"),
    (with_job(state="NOT_PROCESSED", reason="no lung"), "ct-lung did not read it: no lung"),
    (with_job(state="WAITING"), "ct-lung waits for its turn."),
    (with_job(state="WAITING", reason="the worker was lost"), "ct-lung waits to be tried again: the worker was lost"),
    (with_job(state="RUNNING"), "ct-lung is running."),
    (with_job(state="DISCARDED", reason="discarded by anna: twice"), "It is not to be read: discarded by anna: twice"),
    (with_job(deliveries=to_pacs("WAITING", "PACS does not answer")), "Results wait for PACS: PACS does not answer"),
    (with_job(deliveries=to_pacs("SENDING")), "Results are on their way to PACS."),
    (with_job(deliveries=to_pacs("SENT")), "ct-lung has run; PACS has the results."),
    (with_job(deliveries=to_pacs("SENT"), outcome="NOTHING_FOUND"), "ct-lung found nothing; PACS has that result."),
    (with_job(), "ct-lung has run; its results are kept here and sent nowhere."),
    (replace(STUDY, hold=Hold(by="anna", reason="", at=NOW)), "Held by anna: no job of it starts."),
    (replace(STUDY, conflict="two patients"), "Nothing runs on images that contradict each other: two patients"),
    (replace(STUDY, series=(replace(SERIES, state="HELD", reason="a slice is missing"),)),
     "A CT series waits for missing images: a slice is missing"),
    (replace(STUDY, series=(replace(SERIES, state="OPEN"),)), "It is not certain yet that all its images are here."),
    (replace(STUDY, pending=True), "Its series are decided; the study as a whole is judged once nothing new comes."),
    (no_route(), "No route was asked about its images."),
    (no_route(route(enabled=False)), "No route matched: every route is disabled."),
    (no_route(route(condition("met"), enabled=False, matching=3)),
     "No route matched: chest would have, and is disabled."),
    (no_route(route(condition("met"), condition("met"))),
     "No route matched: each condition of chest is met, but by no image together."),
    (no_route(route(condition("not met", "modality is CT", "MR"))),
     "No route matched. The nearest, chest, wants “modality is CT”; the images say “MR”."),
    (no_route(route(condition("unknown"))),
     "No route matched. The nearest, chest, wants “modality is CT”, of which the images say nothing."),
])
def test_a_study_is_explained_in_one_sentence(seen: StudyFacts, sentence: str) -> None:
    assert why(seen, state_of(seen)).in_english() == sentence


def test_the_nearest_route_is_the_one_that_lacks_least() -> None:
    far = route(condition("not met"), condition("not met"), name="far")
    near = route(condition("met"), condition("not met", "body_part is CHEST", "HEAD"), name="near")
    lack = nearest([[far, near]])
    assert (lack.route, lack.condition, lack.seen) == ("near", "body_part is CHEST", "HEAD")


def test_every_state_has_a_word_and_a_tone() -> None:
    assert LABELS.keys() == set(StudyState)
    assert {tone_of(each) for each in StudyState} == {"bad", "warning", "busy", "good", "idle"}
