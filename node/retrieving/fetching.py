"""Fetches studies: asks the archive what there is, has what is missing come, and looks whether it came."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.retrieving import plan
from radnode.node.retrieving.archive import NoAnswer, Question, wanted_series
from radnode.node.retrieving.opening import open_archive
from radnode.storage import fetches
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.intake.storing import Storage
    from radnode.node.retrieving.archive import Archive, FoundStudy, Request
    from radnode.storage.database import Database
    from radnode.storage.fetches import Fetch

log = structlog.get_logger(__name__)

MOST_FAILURES = 3
"""In a row, of images that are asked for one by one; then it is not the images."""
OTHER_PATIENT = "the archive has the study under another patient than it was asked for"
OTHER_IMAGES = "the images carry another Patient ID than the archive lists for the study"


class Refused(Exception):
    """The study is not that of the patient whose it must be."""


class Fetcher:
    """One at a time. `step` fetches what is due; several may run beside each other."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        configuration: Callable[[], Configuration],
        now: Callable[[], datetime],
        local_now: Callable[[], datetime],
        on_ended: Callable[[], None],
    ) -> None:
        self._database = database
        self._storage = storage
        self._configuration = configuration
        self._now = now
        self._local_now = local_now
        self._on_ended = on_ended
        self._stopping = threading.Event()
        self._archive: Archive | None = None

    def step(self) -> bool:
        """Fetch one study. False if none is due."""
        if self._stopping.is_set():
            return False
        retrieving = self._configuration().retrieving
        free = {name: archive.associations for name, archive in retrieving.archives.items()}
        local = self._local_now()
        open_pulls = [pull.name for pull in retrieving.pulls if pull.enabled and plan.in_hours(pull, local)]
        if not free:
            return False
        with self._database.read() as session:
            if not fetches.is_any_due(session, self._now()):
                return False
        with self._database.begin() as session:
            fetch = fetches.lease(session, self._now(), free, open_pulls)
        if fetch is None:
            return False
        self._run(fetch)
        self._on_ended()
        return True

    def stop(self) -> None:
        """End what is under way; it waits again at the next start."""
        self._stopping.set()
        if (archive := self._archive) is not None:
            archive.abort()

    def _run(self, fetch: Fetch) -> None:
        """One attempt, to the row that says how it ended. While it lasts its series are not whole."""
        association = f"fetch-{fetch.fetch_id}-{fetch.attempts}"
        associations = self._storage.associations
        associations.opened(association)
        try:
            done = self._attempt(fetch, association)
            if self._stopping.is_set():
                return  # it is given back at the next start
            with self._database.begin() as session:
                fetches.note_expected(session, self._now())
                fetches.end(session, fetch.fetch_id, done, self._now())
        finally:
            associations.closed(association)
        say = log.info if done.state is FetchState.COMPLETE else log.warning
        say("fetch.ended", archive=fetch.archive, study_instance_uid=fetch.study_instance_uid, purpose=fetch.purpose,
            state=done.state, arrived=done.arrived, lacking=done.lacking, reason=done.reason)

    def _attempt(self, fetch: Fetch, association: str) -> Ended:
        listed: dict[str, dict[str, str]] = {}
        reasons: list[str] = []
        study = None
        try:
            archive = self._archive = open_archive(
                self._configuration(), fetch.archive, self._storage, association)
            study = self._asked_of(archive, fetch)
            self._list(archive, fetch, listed)
            for reason in self._retrieve(archive, fetch, association, listed):
                reasons += [reason] if reason else []
        except Refused as refused:
            return Ended(state=FetchState.REFUSED, reason=str(refused))
        except PeerUnreachable as unreachable:
            reasons.append(str(unreachable))
        finally:
            self._archive = None
        if study is not None and self._is_of_another(fetch, study):
            return Ended(state=FetchState.REFUSED, reason=OTHER_IMAGES)
        with self._database.read() as session:
            held = fetches.held(session, fetch.study_instance_uid)
        missing = plan.lacking(listed, held)
        # What the archive complained of is no matter once everything is here.
        reason = "; ".join(dict.fromkeys(reasons)) if missing or not listed else ""
        return plan.ended(fetch, reason, listed=sum(map(len, listed.values())), missing=missing, now=self._now())

    def _asked_of(self, archive: Archive, fetch: Fetch) -> FoundStudy:
        """The study as the archive lists it. Raises NoAnswer if it does not, Refused if it is another patient's."""
        found = archive.studies(Question(study_instance_uid=fetch.study_instance_uid))
        study = next((each for each in found if each.study_instance_uid == fetch.study_instance_uid), None)
        if study is None:
            raise NoAnswer(f"{fetch.archive} does not list the study")
        if fetch.patient_id is not None and (study.patient_id, study.issuer) != (fetch.patient_id, fetch.issuer or ""):
            raise Refused(OTHER_PATIENT)
        return study

    def _list(self, archive: Archive, fetch: Fetch, listed: dict[str, dict[str, str]]) -> None:
        """Into `listed`: series -> instance -> class, of every series that is wanted; kept as what is expected."""
        series = wanted_series(archive.series(fetch.study_instance_uid), fetch.modalities)
        if not series:
            raise NoAnswer(f"{fetch.archive} lists no series that is wanted")
        found: dict[str, dict[str, str]] = {}
        for each in series:
            found[each.series_instance_uid] = archive.instances(fetch.study_instance_uid, each.series_instance_uid)
            if (each.instances or 0) > len(found[each.series_instance_uid]):
                raise NoAnswer(f"{fetch.archive} counts {each.instances} images in a series, and lists "
                               f"{len(found[each.series_instance_uid])}")
        listed.update({uid: instances for uid, instances in found.items() if instances})
        with self._database.begin() as session:
            fetches.expect(session, fetch.fetch_id, {uid: len(instances) for uid, instances in listed.items()})

    def _retrieve(
        self, archive: Archive, fetch: Fetch, association: str, listed: dict[str, dict[str, str]]
    ) -> Iterator[str]:
        """Have what is missing come; after each request why it was not all, empty if it was."""
        limit = self._configuration().retrieving.archives[fetch.archive].images_per_minute
        with self._database.read() as session:
            held = fetches.held(session, fetch.study_instance_uid)
        for series_instance_uid, instances in listed.items():
            here = held.get(series_instance_uid, set())
            for request in plan.requests(fetch.study_instance_uid, series_instance_uid, instances, here, limit):
                if self._stopping.is_set():
                    return
                self._storage.associations.carried(association, series_instance_uid)
                if reason := archive.retrieve(request):
                    yield reason
                    yield from self._one_by_one(archive, request)
                if limit is not None:
                    self._stopping.wait(len(request.instances) * 60 / limit)

    def _one_by_one(self, archive: Archive, request: Request) -> Iterator[str]:
        """One bad image must not keep the others away: some archives give up at the first."""
        with self._database.read() as session:
            held = fetches.held(session, request.study_instance_uid).get(request.series_instance_uid, set())
        failures = 0
        for single in plan.singles(request, held):
            if self._stopping.is_set() or failures == MOST_FAILURES:
                return
            reason = archive.retrieve(single)
            failures = failures + 1 if reason else 0
            yield reason

    def _is_of_another(self, fetch: Fetch, study: FoundStudy) -> bool:
        """Whether what is here is of another patient than the archive lists; then nothing runs on it any more."""
        with self._database.begin() as session:
            came = fetches.patient_of(session, fetch.study_instance_uid)
            said = bool(study.patient_id) or fetch.patient_id is not None
            if came is None or not said or came.strip() == study.patient_id:
                return False
            fetches.contradict(session, fetch.study_instance_uid, OTHER_IMAGES)
        return True
