"""Finds the priors that jobs wait for, has them fetched, and says when a job has all that it can have."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.retrieving.archive import Question
from radnode.node.retrieving.opening import open_archive
from radnode.pipelines.sources.priors import day
from radnode.storage import fetches, priors
from radnode.storage.catalog import SeriesState
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import PRIOR, UNDER_WAY, Wish
from radnode.storage.priors import Patient

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.retrieving.archive import Archive, FoundSeries, FoundStudy
    from radnode.storage.database import Database
    from radnode.storage.fetches import Fetch
    from radnode.storage.priors import Search, Wanted

log = structlog.get_logger(__name__)

ASK_AGAIN = timedelta(seconds=30)


class PriorFinder:
    """`step` takes every open search a step further."""

    def __init__(
        self,
        *,
        database: Database,
        configuration: Callable[[], Configuration],
        now: Callable[[], datetime],
        on_wanted: Callable[[], None],
        on_settled: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._on_wanted = on_wanted
        self._on_settled = on_settled

    def step(self) -> bool:
        """Always False: what is fetched pulses it, and the clock."""
        with self._database.read() as session:
            searches = priors.open_searches(session)
        for search in searches:
            if search.fetches is None and self._now() < search.until:
                if search.due_at <= self._now():
                    self._ask(search)
            else:
                self._look(search)
        return False

    def _ask(self, search: Search) -> None:
        try:
            archive = open_archive(self._configuration(), search.archive)
            found, remarks = find(archive, search.archive, search.wanted)
        except PeerUnreachable as unreachable:
            log.warning("priors.unanswered", job=search.job_id, archive=search.archive, reason=str(unreachable))
            with self._database.begin() as session:
                priors.note_silence(session, search.job_id, str(unreachable), self._now() + ASK_AGAIN)
            return
        wanted = search.wanted
        with self._database.begin() as session:
            ids = [
                fetches.want(session, Wish(
                    archive=search.archive, study_instance_uid=each.study_instance_uid,
                    wanted_by=f"job {search.job_id}", purpose=PRIOR, patient_id=wanted.patient.patient_id,
                    issuer=wanted.patient.issuer, modalities=(wanted.modality,) if wanted.modality else (),
                    listed=each.instances,
                ), self._now(), again=True)[0]
                for each in found
            ]
            priors.note_found(session, search.job_id, ids, remarks)
            if not ids:
                priors.settle(session, search.job_id, (), remarks, self._now())
        log.info("priors.found", job=search.job_id, archive=search.archive, studies=len(ids))
        if ids:
            self._on_wanted()
        else:
            self._on_settled()

    def _look(self, search: Search) -> None:
        """Settle a search whose fetches have ended and whose series are decided, or whose time is over."""
        late = self._now() >= search.until
        with self._database.begin() as session:
            ready = [_Ready(session, each, search.wanted) for each in
                     fetches.states(session, search.fetches or ()).values()]
            if not late and any(each.pending for each in ready):
                return
            remarks = [each.remark(search.wanted) for each in ready]
            if search.fetches is None:
                remarks.append(f"Earlier studies were not compared: {search.archive} gave no answer within "
                               f"{_minutes(search.wanted.wait_s)} ({search.reason}).")
            with_those = [*(priors.found_remarks(session, search.job_id)), *(each for each in remarks if each)]
            instances = [number for each in ready for number in each.instances]
            settled = priors.settle(session, search.job_id, instances, with_those, self._now())
        if settled:
            log.info("priors.settled", job=search.job_id, images=len(instances), late=late)
            self._on_settled()


class _Ready:
    """How far one prior study is. instances: ids of what can be given; pending: more may come."""

    def __init__(self, session: Session, fetch: Fetch, wanted: Wanted) -> None:
        self._fetch = fetch
        self.instances: list[int] = []
        self._date, series = priors.candidates(session, fetch.study_instance_uid, wanted.modality)
        self.pending = fetch.state in UNDER_WAY or any(each.state is SeriesState.OPEN for each in series)
        self._objection = ""
        if fetch.state is not FetchState.COMPLETE:
            self._objection = fetch.reason or "it is still being fetched"
            return
        for each in series:
            if each.state is not SeriesState.CLOSED:
                self._objection = each.reason or "its images are not whole"
            elif not all(Patient.of(one.attributes).is_same(wanted.patient) for one in each.headers):
                self._objection = "its images are of another patient than was asked for"
                self.instances.clear()
                return
            else:
                self.instances += [one.instance_id for one in each.headers]
        if not self.instances and not self._objection:
            self._objection = "nothing of it can be read"

    def remark(self, wanted: Wanted) -> str:
        """What the result has to say of it; empty if it is given."""
        if self.instances:
            return ""
        when = day(self._date)
        of = f" of {when.isoformat()}" if when else ""
        late = f" within {_minutes(wanted.wait_s)}" if self.pending else ""
        return f"An earlier study{of} was not compared: it could not be had{late} ({self._objection})."


def find(archive: Archive, name: str, wanted: Wanted) -> tuple[list[FoundStudy], list[str]]:
    """The newest earlier studies of this very patient, and what is to be said of others. Raises PeerUnreachable."""
    asked = Question(patient_id=wanted.patient.patient_id, since=wanted.since, until=wanted.study_date,
                     modality=wanted.modality)
    listed = [each for each in archive.studies(asked) if is_earlier(each, wanted)]
    same = [each for each in listed if is_same_patient(each, wanted.patient)]
    found: list[FoundStudy] = []
    for each in sorted(same, key=lambda one: one.study_date, reverse=True):
        if len(found) == wanted.studies:
            break
        if any(is_alike(series, wanted) for series in archive.series(each.study_instance_uid)):
            found.append(each)
    remarks = []
    if others := len([each for each in listed if each not in same and each.patient_id == wanted.patient.patient_id]):
        remarks.append(f"{others} earlier studies at {name} have this Patient ID, but another issuer or birth date, or "
                       "none: they were not compared.")
    if not found:
        kind = ", ".join(each for each in (wanted.modality, wanted.body_part) if each)
        remarks.append(f"No earlier study to compare with was found at {name}"
                       f"{f' ({kind})' if kind else ''}, from {wanted.since.isoformat()} on.")
    return found, remarks


def is_earlier(study: FoundStudy, wanted: Wanted) -> bool:
    """Of an earlier day, and not too old. Asked once more: an archive may ignore a key (PS3.4 C.2.2.2)."""
    when = day(study.study_date)
    if when is None or study.study_instance_uid == wanted.study_instance_uid:
        return False
    fits = not wanted.modality or not study.modalities or wanted.modality in study.modalities
    return fits and wanted.since <= when < wanted.study_date


def is_same_patient(study: FoundStudy, patient: Patient) -> bool:
    """As the archive lists the study."""
    return patient.is_same(Patient(patient_id=study.patient_id, issuer=study.issuer, birth_date=study.birth_date))


def is_alike(series: FoundSeries, wanted: Wanted) -> bool:
    """Of the modality, and of no other part of the body. A part that is not said may be any."""
    if wanted.modality and series.modality != wanted.modality:
        return False
    parts = {each.casefold() for each in (series.body_part, wanted.body_part) if each}
    return len(parts) < 2


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
