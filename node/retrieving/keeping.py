"""The books of what is fetched: counts for completion, priors that turned out to be studies, and alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.storage import fetches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

LATELY = timedelta(days=1)


class Keeper:
    """`step` does all of it."""

    def __init__(
        self, *, database: Database, now: Callable[[], datetime], alarms: Alarms, on_open: Callable[[], None]
    ) -> None:
        self._database = database
        self._now = now
        self._alarms = alarms
        self._on_open = on_open
        self._raised: frozenset[str] = frozenset()

    def step(self) -> bool:
        """Always False."""
        now = self._now()
        with self._database.read() as session:
            failed, news = fetches.failed(session, now - LATELY), fetches.has_news(session)
        if news:
            self._write(now)
        self._tell(failed)
        return False

    def _write(self, now: datetime) -> None:
        with self._database.begin() as session:
            told = fetches.note_expected(session, now)
            promoted = fetches.sent_by_others(session)
            for fetch_id in promoted:
                fetches.promote(session, fetch_id, now)
        for fetch_id in promoted:
            log.info("fetch.prior_became_a_study", fetch=fetch_id)
        if told or promoted:
            self._on_open()

    def _tell(self, failed: Mapping[str, Sequence[str]]) -> None:
        for archive in self._raised - failed.keys():
            self._alarms.clear(f"fetch:{archive}")
        for archive, reasons in failed.items():
            more = f" (and {len(reasons) - 1} more)" if reasons[1:] else ""
            self._alarms.set(f"fetch:{archive}", f"{reasons[0]}{more}")
        self._raised = frozenset(failed)
