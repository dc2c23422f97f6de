"""What became of a study and why, in one plain sentence. Pure: from facts; what a program or a person said in its own
words stays as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from radnode.node.pages.words import N_
from radnode.node.studies.nearest import Lack, nearest
from radnode.node.studies.states import StudyState, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from radnode.storage.study_facts import JobFacts, StudyFacts


@dataclass(frozen=True, slots=True)
class Sentence:
    """text: marked for translation. values: what stands at its places."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def in_english(self) -> str:
        """As the command line says it."""
        return self.text % self.values if self.values else self.text


LABELS: Mapping[StudyState, str] = {
    StudyState.FAILED: N_("failed"),
    StudyState.UNDELIVERED: N_("not delivered"),
    StudyState.CONFLICT: N_("contradictory"),
    StudyState.INCOMPLETE: N_("incomplete"),
    StudyState.ON_HOLD: N_("on hold"),
    StudyState.RUNNING: N_("running"),
    StudyState.WAITING: N_("waiting"),
    StudyState.SENDING: N_("sending"),
    StudyState.ARRIVING: N_("arriving"),
    StudyState.NOT_PROCESSED: N_("not processed"),
    StudyState.DISCARDED: N_("discarded"),
    StudyState.NOTHING_FOUND: N_("nothing found"),
    StudyState.DELIVERED: N_("delivered"),
    StudyState.PRODUCED: N_("kept here"),
    StudyState.SENT_ON: N_("sent on"),
    StudyState.PRIOR: N_("prior study"),
    StudyState.OWN: N_("own results"),
    StudyState.NO_ROUTE: N_("no route matched"),
}
STAGES: Mapping[str, str] = {
    "load": N_("loading the model"), "select": N_("choosing series"), "decode": N_("decoding images"),
    "priors": N_("reading earlier studies"), "infer": N_("computing"), "write": N_("writing results"),
    "gate": N_("checking results"), "refuse": N_("writing why not"), "take over": N_("taking the job"),
    "keep": N_("keeping findings"), "recall": N_("reading kept findings"),
}
"""What a worker does with a job."""
_BAD = {StudyState.FAILED, StudyState.UNDELIVERED, StudyState.CONFLICT}
_WARNING = {StudyState.INCOMPLETE, StudyState.ON_HOLD, StudyState.NOT_PROCESSED}
_BUSY = {StudyState.RUNNING, StudyState.WAITING, StudyState.SENDING, StudyState.ARRIVING}
_GOOD = {StudyState.DELIVERED, StudyState.NOTHING_FOUND}


def tone_of(state: StudyState) -> str:
    """The colour of its badge; the word says the same."""
    for tone, states in (("bad", _BAD), ("warning", _WARNING), ("busy", _BUSY), ("good", _GOOD)):
        if state in states:
            return tone
    return "idle"


def why(study: StudyFacts, state: StudyState) -> Sentence:
    """Why a study is in its state."""
    return _SENTENCES[state](study)


def _jobs(study: StudyFacts, *states: str) -> list[JobFacts]:
    return [job for job in current(study) if job.state in states]


def _named(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _pipelines(jobs: Iterable[JobFacts]) -> str:
    return _named(job.pipeline for job in jobs)


def _destinations(jobs: Iterable[JobFacts], *states: str) -> str:
    return _named(each.destination for job in jobs for each in job.deliveries if each.state in states)


def _failed(study: StudyFacts) -> Sentence:
    job = _jobs(study, "FAILED")[0]
    return Sentence(N_("%(pipeline)s failed: %(reason)s"), {"pipeline": job.pipeline, "reason": job.reason})


def _undelivered(study: StudyFacts) -> Sentence:
    job, dead = next((job, each) for job in current(study) for each in job.deliveries if each.state == "DEAD")
    return Sentence(N_("The results of %(pipeline)s did not reach %(destination)s: %(reason)s"),
                    {"pipeline": job.pipeline, "destination": dead.destination, "reason": dead.reason})


def _conflict(study: StudyFacts) -> Sentence:
    reason = study.conflict or next(each.reason for each in study.series if each.state == "CONFLICT")
    return Sentence(N_("Nothing runs on images that contradict each other: %(reason)s"), {"reason": reason})


def _incomplete(study: StudyFacts) -> Sentence:
    series = next(each for each in study.series if each.state == "HELD")
    return Sentence(N_("A %(modality)s series waits for missing images: %(reason)s"),
                    {"modality": series.modality or "?", "reason": series.reason})


def _on_hold(study: StudyFacts) -> Sentence:
    by, reason = (study.hold.by, study.hold.reason) if study.hold else ("", "")
    if not reason:
        return Sentence(N_("Held by %(by)s: no job of it starts."), {"by": by})
    return Sentence(N_("Held by %(by)s, no job of it starts: %(reason)s"), {"by": by, "reason": reason})


def _running(study: StudyFacts) -> Sentence:
    return Sentence(N_("%(pipelines)s is running."), {"pipelines": _pipelines(_jobs(study, "RUNNING"))})


def _waiting(study: StudyFacts) -> Sentence:
    jobs = _jobs(study, "WAITING")
    if said := next((job.reason for job in jobs if job.reason), ""):
        return Sentence(N_("%(pipelines)s waits to be tried again: %(reason)s"),
                        {"pipelines": _pipelines(jobs), "reason": said})
    return Sentence(N_("%(pipelines)s waits for its turn."), {"pipelines": _pipelines(jobs)})


def _sending(study: StudyFacts) -> Sentence:
    waits = [each for job in current(study) for each in job.deliveries if each.state in ("WAITING", "SENDING")]
    values = {"destinations": _named(each.destination for each in waits)}
    if said := next((each.reason for each in waits if each.reason), ""):
        return Sentence(N_("Results wait for %(destinations)s: %(reason)s"), {**values, "reason": said})
    return Sentence(N_("Results are on their way to %(destinations)s."), values)


def _arriving(study: StudyFacts) -> Sentence:
    if all(each.state != "OPEN" for each in study.series):
        return Sentence(N_("Its series are decided; the study as a whole is judged once nothing new comes."))
    return Sentence(N_("It is not certain yet that all its images are here."))


def _not_processed(study: StudyFacts) -> Sentence:
    job = _jobs(study, "NOT_PROCESSED")[0]
    return Sentence(N_("%(pipeline)s did not read it: %(reason)s"), {"pipeline": job.pipeline, "reason": job.reason})


def _discarded(study: StudyFacts) -> Sentence:
    reasons = [job.reason for job in _jobs(study, "DISCARDED")]
    reasons += [each.reason for each in study.series if each.state == "DISCARDED"]
    return Sentence(N_("It is not to be read: %(reason)s"), {"reason": reasons[0]})


def _nothing_found(study: StudyFacts) -> Sentence:
    jobs = _jobs(study, "PRODUCED")
    return Sentence(N_("%(pipelines)s found nothing; %(destinations)s has that result."), {
        "pipelines": _pipelines(jobs), "destinations": _destinations(jobs, "SENT", "CONFIRMED")})


def _delivered(study: StudyFacts) -> Sentence:
    jobs = _jobs(study, "PRODUCED")
    return Sentence(N_("%(pipelines)s has run; %(destinations)s has the results."), {
        "pipelines": _pipelines(jobs), "destinations": _destinations(jobs, "SENT", "CONFIRMED")})


def _produced(study: StudyFacts) -> Sentence:
    return Sentence(N_("%(pipelines)s has run; its results are kept here and sent nowhere."),
                    {"pipelines": _pipelines(current(study))})


def _sent_on(_study: StudyFacts) -> Sentence:
    return Sentence(N_("A route sends its images on; none asks for a pipeline."))


def _prior(_study: StudyFacts) -> Sentence:
    return Sentence(N_("It was fetched to be compared with; such a study is not read by itself."))


def _own(_study: StudyFacts) -> Sentence:
    return Sentence(N_("These are results of this node that came back; they are never read."))


def _no_route(study: StudyFacts) -> Sentence:
    return of_lack(nearest(study.routings))


def of_lack(lack: Lack) -> Sentence:
    """Why no route matched."""
    return Sentence(_OF_LACK[lack.why], {"route": lack.route, "condition": lack.condition, "seen": lack.seen})


_OF_LACK: Mapping[str, str] = {
    "no routes": N_("No route was asked about its images."),
    "all disabled": N_("No route matched: every route is disabled."),
    "would match": N_("No route matched: %(route)s would have, and is disabled."),
    "no image meets all": N_("No route matched: each condition of %(route)s is met, but by no image together."),
    "another value": N_("No route matched. The nearest, %(route)s, wants “%(condition)s”; the images say “%(seen)s”."),
    "no value": N_("No route matched. The nearest, %(route)s, wants “%(condition)s”, of which the images say nothing."),
}

_SENTENCES: Mapping[StudyState, Callable[[StudyFacts], Sentence]] = {
    StudyState.FAILED: _failed, StudyState.UNDELIVERED: _undelivered, StudyState.CONFLICT: _conflict,
    StudyState.INCOMPLETE: _incomplete, StudyState.ON_HOLD: _on_hold, StudyState.RUNNING: _running,
    StudyState.WAITING: _waiting, StudyState.SENDING: _sending, StudyState.ARRIVING: _arriving,
    StudyState.NOT_PROCESSED: _not_processed, StudyState.DISCARDED: _discarded,
    StudyState.NOTHING_FOUND: _nothing_found, StudyState.DELIVERED: _delivered, StudyState.PRODUCED: _produced,
    StudyState.SENT_ON: _sent_on, StudyState.PRIOR: _prior, StudyState.OWN: _own, StudyState.NO_ROUTE: _no_route,
}
