"""Reads the header of every new instance, in an isolated process, and stores its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.node.indexing import HeaderFailure
from radnode.storage import catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.node.indexing import HeaderReader
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

log = structlog.get_logger(__name__)

BATCH = 200
"""Headers stored in one transaction: enough to make its cost small, few enough to be read in a moment."""


class Cataloguer:
    """`step` reads one batch; True while there may be more."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        reader: HeaderReader,
        now: Callable[[], datetime],
        metrics: Metrics,
        on_catalogued: Callable[[], None],
    ) -> None:
        self._database = database
        self._store = store
        self._reader = reader
        self._now = now
        self._metrics = metrics
        self._on_catalogued = on_catalogued

    def step(self) -> bool:
        """Read the headers of the next instances and store them in one transaction."""
        with self._database.read() as session:
            batch = catalog.unindexed(session, BATCH)
        if not batch:
            return False
        answers = list(
            self._reader.read([(each.instance_id, self._store.path(each.digest)) for each in batch])
        )
        unreadable = [answer for answer in answers if isinstance(answer, HeaderFailure)]
        read = [(answer.id, answer.attributes) for answer in answers if not isinstance(answer, HeaderFailure)]
        with self._database.begin() as session:
            catalog.store_headers(session, read)
            for failure in unreadable:
                catalog.reject_header(session, failure.id, failure.reason, self._now())
        self._metrics.headers_read.labels("read").inc(len(read))
        self._metrics.headers_read.labels("unreadable").inc(len(unreadable))
        for failure in unreadable:
            log.error("instance.quarantined", instance=failure.id, reason=failure.reason)
        self._on_catalogued()
        return len(batch) == BATCH
