"""Enters ended jobs into the figures of their days: once each, whenever the node was stopped in between."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.monitoring.figures import figures_of
from radnode.node.monitoring.pairing import pair_up
from radnode.storage import figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

AT_ONCE = 50
FORGET_EVERY = timedelta(hours=6)


class Observer:
    """`step` enters what has ended since."""

    def __init__(self, database: Database, now: Callable[[], datetime], on_pairs: Callable[[], None]) -> None:
        self._database = database
        self._now = now
        self._on_pairs = on_pairs
        self._forgot_at: datetime | None = None

    def step(self) -> bool:
        """One round; True while more may wait."""
        now = self._now()
        self._forget(now)
        with self._database.read() as session:
            ended = figures.unobserved(session, AT_ONCE)
        if not ended:
            return False
        with self._database.begin() as session:
            figures.enter(session, [figures_of(each) for each in ended], now)
            pairs = pair_up(session, [each.job_id for each in ended], now)
        log.info("jobs.observed", number=len(ended), pairs=pairs)
        if pairs:
            self._on_pairs()
        return len(ended) == AT_ONCE

    def _forget(self, now: datetime) -> None:
        if self._forgot_at is not None and now - self._forgot_at < FORGET_EVERY:
            return
        self._forgot_at = now
        with self._database.begin() as session:
            if number := figures.forget(session, (now - figures.KEPT_FOR).strftime("%Y-%m-%d")):
                log.info("figures.forgotten", number=number)
