"""Asks the source of an open series how many instances it holds: the best evidence that a series is whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.query import count_instances
from radnode.storage import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.peers import Peer
    from radnode.node.intake.associations import Associations
    from radnode.storage.catalog import SeriesSnapshot
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

ASK_AGAIN_AFTER_S = 10.0


class SourceCounter:
    """`step` asks once for each series whose associations are released, and again while the count is not reached."""

    def __init__(
        self,
        *,
        database: Database,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Peer]],
        associations: Associations,
        now: Callable[[], datetime],
        on_counted: Callable[[], None],
    ) -> None:
        self._database = database
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._associations = associations
        self._now = now
        self._on_counted = on_counted
        self._asked: dict[int, tuple[tuple[int, int], float]] = {}

    def step(self) -> bool:
        """Ask for what has news; never True, the clock asks again."""
        with self._database.read() as session:
            series = catalog.open_series(session)
        for gone in self._asked.keys() - {each.series_id for each in series}:
            del self._asked[gone]
        for each in series:
            peer = self._peers().get(each.source)
            if peer is not None and peer.answers_find and self._worth_asking(each):
                self._ask(each, peer)
        return False

    def _worth_asking(self, series: SeriesSnapshot) -> bool:
        if self._associations.open_associations(series.series_instance_uid):
            return False
        if series.queried_count is not None and series.received >= series.queried_count:
            return False
        state = (series.revision, series.received)
        asked, at_s = self._asked.get(series.series_id, (None, 0.0))
        return asked != state or time.monotonic() - at_s >= ASK_AGAIN_AFTER_S

    def _ask(self, series: SeriesSnapshot, peer: Peer) -> None:
        self._asked[series.series_id] = ((series.revision, series.received), time.monotonic())
        try:
            count = count_instances(
                peer, self._own_ae_title, series.study_instance_uid, series.series_instance_uid
            )
        except PeerUnreachable as unreachable:
            log.warning("series.not_counted", series_instance_uid=series.series_instance_uid,
                        source=series.source, reason=str(unreachable))
            return
        if count is None:
            return
        with self._database.begin() as session:
            catalog.note_count(session, series.series_id, count, self._now())
        log.info("series.counted", series_instance_uid=series.series_instance_uid, source=series.source,
                 count=count, received=series.received)
        self._on_counted()
