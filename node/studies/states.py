"""What became of a study, in one word. Pure.

What a person has to look at comes first; then what is under way; then how it ended. Of several jobs of one pipeline
over one series the latest revision counts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from radnode.storage.jobs import JobState
from radnode.storage.outbox import DeliveryState

if TYPE_CHECKING:
    from radnode.storage.study_facts import JobFacts, StudyFacts


class StudyState(StrEnum):
    """In the order of precedence."""

    FAILED = "failed"
    """A job broke."""
    UNDELIVERED = "undelivered"
    """A destination did not take a result, for good."""
    CONFLICT = "conflict"
    """Its images contradict each other."""
    INCOMPLETE = "incomplete"
    """A series is held because images are missing."""
    ON_HOLD = "on hold"
    """Somebody holds it."""
    RUNNING = "running"
    WAITING = "waiting"
    SENDING = "sending"
    ARRIVING = "arriving"
    """A series may still grow, or the study as a whole is still to be judged."""
    NOT_PROCESSED = "not processed"
    """A pipeline refused it, and said why."""
    DISCARDED = "discarded"
    """Somebody has said that it is not to be read."""
    NOTHING_FOUND = "nothing found"
    """Delivered, and every pipeline has found nothing."""
    DELIVERED = "delivered"
    PRODUCED = "produced"
    """Read, and its results go nowhere."""
    SENT_ON = "sent on"
    """A route sends its images on; no pipeline was asked."""
    PRIOR = "prior"
    """Fetched to be compared with."""
    OWN = "own"
    """Results of this node that came back."""
    NO_ROUTE = "no route"


_UNDER_WAY = (DeliveryState.WAITING, DeliveryState.SENDING)
_ARRIVED = (DeliveryState.SENT, DeliveryState.CONFIRMED)


def current(study: StudyFacts) -> list[JobFacts]:
    """The latest revision of each pipeline over each series; one that was discarded hides no earlier answer."""
    latest: dict[tuple[int, str], JobFacts] = {}
    for job in sorted(study.jobs, key=lambda each: (each.revision, each.job_id)):
        place = (job.series_id, job.pipeline)
        if job.state != JobState.DISCARDED or place not in latest:
            latest[place] = job
    return list(latest.values())


def state_of(study: StudyFacts) -> StudyState:
    """The first that holds."""
    jobs = current(study)
    in_jobs = {job.state for job in jobs}
    series = {each.state for each in study.series}
    deliveries = {each.state for job in jobs for each in job.deliveries}
    answers = [job for job in jobs if job.state == JobState.PRODUCED]
    arrived = bool(answers) and not deliveries.isdisjoint(_ARRIVED)
    routings = [route for routing in study.routings for route in routing]
    claims = (
        (StudyState.FAILED, JobState.FAILED in in_jobs),
        (StudyState.UNDELIVERED, DeliveryState.DEAD in deliveries),
        (StudyState.CONFLICT, bool(study.conflict) or "CONFLICT" in series),
        (StudyState.INCOMPLETE, "HELD" in series),
        (StudyState.ON_HOLD, study.hold is not None),
        (StudyState.RUNNING, JobState.RUNNING in in_jobs),
        (StudyState.WAITING, JobState.WAITING in in_jobs),
        (StudyState.SENDING, not deliveries.isdisjoint(_UNDER_WAY)),
        (StudyState.ARRIVING, "OPEN" in series or study.pending),
        (StudyState.NOT_PROCESSED, JobState.NOT_PROCESSED in in_jobs),
        (StudyState.DISCARDED, JobState.DISCARDED in in_jobs or ("DISCARDED" in series and not jobs)),
        (StudyState.NOTHING_FOUND, arrived and all(job.outcome == "NOTHING_FOUND" for job in answers)),
        (StudyState.DELIVERED, arrived),
        (StudyState.PRODUCED, bool(jobs)),
        (StudyState.SENT_ON, any(route["matched"] for route in routings)),
        (StudyState.PRIOR, any(route["route"] == "(any)" for route in routings)),
        (StudyState.OWN, bool(routings) and not any(route["instances"] for route in routings)),
    )
    return next((state for state, holds in claims if holds), StudyState.NO_ROUTE)
