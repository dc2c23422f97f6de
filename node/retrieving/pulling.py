"""Pulls: when its time has come, each asks its archive which studies there are, and wants those that are new."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.retrieving import plan
from radnode.node.retrieving.archive import Question
from radnode.node.retrieving.opening import open_archive
from radnode.storage import fetches
from radnode.storage.fetches import Wish

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.pulls import Pull
    from radnode.node.alarms import Alarms
    from radnode.node.retrieving.archive import FoundStudy
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

MOST_FAILURES = 3
"""So often in a row without an answer is an alarm."""
_LONGEST_TEXT = 128


class Puller:
    """`step` asks what is due, one archive after the other."""

    def __init__(
        self,
        *,
        database: Database,
        configuration: Callable[[], Configuration],
        now: Callable[[], datetime],
        local_now: Callable[[], datetime],
        alarms: Alarms,
        on_wanted: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._local_now = local_now
        self._alarms = alarms
        self._on_wanted = on_wanted

    def step(self) -> bool:
        """Ask what is due. Always False: the clock looks again."""
        configuration, local = self._configuration(), self._local_now()
        if not configuration.retrieving.pulls:
            return False
        with self._database.read() as session:
            known = {name: (row.asked_at, row.failures) for name, row in fetches.pulls(session).items()}
        for pull in configuration.retrieving.pulls:
            asked_at, failures = known.get(pull.name, (None, 0))
            if plan.is_due(pull, asked_at, failures, local):
                self._ask(configuration, pull, local)
        return False

    def _ask(self, configuration: Configuration, pull: Pull, local: datetime) -> None:
        with self._database.begin() as session:
            fetches.note_asked(session, pull.name, self._now())
        try:
            found = _found(configuration, pull, local)
        except PeerUnreachable as unreachable:
            self._unanswered(pull, str(unreachable))
            return
        with self._database.begin() as session:
            new = sum(fetches.want(session, _wish(pull, study), self._now(), again=False)[1] for study in found)
            fetches.note_answer(session, pull.name, self._now(), found=len(found), new=new)
        self._alarms.clear(f"pull:{pull.name}")
        log.info("pull.answered", pull=pull.name, archive=pull.source, studies=len(found), wanted=new)
        if new:
            self._on_wanted()

    def _unanswered(self, pull: Pull, reason: str) -> None:
        with self._database.begin() as session:
            failures = fetches.note_silence(session, pull.name, reason)
        log.warning("pull.unanswered", pull=pull.name, archive=pull.source, times=failures, reason=reason)
        if failures >= MOST_FAILURES:
            self._alarms.set(f"pull:{pull.name}", f"{failures} times in a row without an answer: {reason}")


def _found(configuration: Configuration, pull: Pull, local: datetime) -> list[FoundStudy]:
    """Each study once, of the modalities and descriptions that are wanted. What a study does not say is no hindrance
    as to modality, and one as to description."""
    archive = open_archive(configuration, pull.source)
    since = (local - pull.window).date()
    answers = [study for modality in pull.modality or ("",)
               for study in archive.studies(Question(since=since, modality=modality))]
    found = {study.study_instance_uid: study for study in answers}
    return [each for each in found.values() if _is_wanted(pull, each)]


def _is_wanted(pull: Pull, study: FoundStudy) -> bool:
    """Once more: an archive may ignore a key that it does not know (PS3.4 C.2.2.2)."""
    if pull.modality and study.modalities and not set(pull.modality) & set(study.modalities):
        return False
    if pull.study_description is None:
        return True
    return re.search(pull.study_description, study.description[:_LONGEST_TEXT]) is not None


def _wish(pull: Pull, study: FoundStudy) -> Wish:
    return Wish(
        archive=pull.source, study_instance_uid=study.study_instance_uid, wanted_by=f"pull {pull.name}",
        pull=pull.name, modalities=pull.modality, listed=study.instances,
    )
