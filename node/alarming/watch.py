"""Reads the facts, asks the decision, and keeps its answer in rows: one activity raises and clears alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.alarming.decision import DAY, Facts, Tables, alarms
from radnode.node.alarming.kinds import KINDS, kind_of, public_words, subject_of
from radnode.node.alarming.telling import SETTLED_AFTER
from radnode.node.security.validity import Certificates
from radnode.storage import alarms as kept
from radnode.storage import ledger, outbox, symptoms
from radnode.storage.alarms import NewAlarm
from radnode.storage.catalog import SeriesState
from radnode.storage.errors import DatabaseUnavailable, StorageError, StorageFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarm, Alarms
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

log = structlog.get_logger(__name__)

DATABASE = "database"
"""The one alarm that has no row: there is no table to write it into."""
SEEN_EVERY = timedelta(minutes=1)
"""How often a row says that its alarm still holds."""
KEPT_FOR = timedelta(days=90)


class AlarmWatch:
    """`step` does one round."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        configuration: Callable[[], Configuration],
        reported: Alarms,
        refused: Callable[[], Mapping[str, int]],
        now: Callable[[], datetime],
        metrics: Metrics,
        on_change: Callable[[], None],
        strangers: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._database = database
        self._store = store
        self._reserve_bytes = store.reserve_bytes
        self._configuration = configuration
        self._reported = reported
        self._refused = refused
        self._strangers = strangers
        self._certificates = Certificates()
        self._now = now
        self._metrics = metrics
        self._on_change = on_change
        self._started_at = now()

    def step(self) -> bool:
        """One round. Always False."""
        now = self._now()
        try:
            with self._database.read() as session:
                standing = kept.standing(session)
                tables = self._tables(session, frozenset(alarm.name for alarm in standing), now)
            found = self._decide(tables, now)
            changed = self._keep(found, standing, now)
        except DatabaseUnavailable as error:
            self._without_database(error)
            return False
        if any(alarm.name == DATABASE for alarm in self._reported.raised()):
            self._reported.clear(DATABASE)
            log.info("alarm.cleared", alarm=DATABASE)
        self._measure(tables, found)
        if changed:
            self._on_change()
        return False

    def _tables(self, session: Session, standing: frozenset[str], now: datetime) -> Tables:
        configuration = self._configuration()
        expected = [name for name, peer in configuration.peers.items() if peer.expect is not None]
        lately = now - DAY
        return Tables(
            balance=ledger.balance(session),
            held=symptoms.undecided_series(session, SeriesState.HELD, lately - configuration.alarms.series_held),
            conflicts=symptoms.undecided_series(session, SeriesState.CONFLICT, lately),
            unreadable=symptoms.unreadable_instances(session, lately),
            failed_jobs=symptoms.failed_jobs(session, lately),
            late_jobs=symptoms.late_jobs(session, now),
            waiting_deliveries=symptoms.waiting_deliveries(session),
            heard=symptoms.heard(session, expected),
            oldest_job=symptoms.oldest_job(session),
            oldest_header=symptoms.oldest_unread_header(session),
            dead_deliveries=len(outbox.dead_deliveries(session)),
            held_back=symptoms.held_back(session),
            partially_delivered=outbox.partially_delivered(session),
            standing=standing,
        )

    def _decide(self, tables: Tables, now: datetime) -> list[Alarm]:
        configuration = self._configuration()
        free_bytes, volume = self._disk()
        facts = Facts(
            tables=tables, started_at=self._started_at,
            reported=tuple(alarm for alarm in self._reported.raised() if alarm.name != DATABASE),
            free_bytes=free_bytes, reserve_bytes=self._reserve_bytes, volume=volume,
            refused=self._refused(), strangers=self._strangers(),
            certificates=self._certificates.look(configuration),
        )
        return alarms(facts, configuration.alarms, configuration.peers, now)

    def _disk(self) -> tuple[int, str]:
        """Free bytes, and what is wrong with the volume; of one that does not tell its space, only that."""
        free_bytes = 2 * self._reserve_bytes
        try:
            free_bytes = self._store.free_bytes()
            self._store.check_reserve()
        except StorageFull:
            return free_bytes, ""
        except StorageError as error:
            return free_bytes, str(error)
        return free_bytes, ""

    def _keep(self, found: Sequence[Alarm], standing: Iterable[kept.KeptAlarm], now: datetime) -> bool:
        """Rows as the alarms are; True when one was raised or cleared."""
        before = {alarm.name: alarm for alarm in standing}
        fresh = [alarm for alarm in found if alarm.name not in before]
        gone = before.keys() - {alarm.name for alarm in found}
        seen = [
            alarm for alarm in found
            if (row := before.get(alarm.name)) and (row.text != alarm.text or now - row.last_seen_at >= SEEN_EVERY)
        ]
        if not (fresh or gone or seen):
            return False
        with self._database.begin() as session:
            for alarm in fresh:
                if kept.raise_again(session, alarm.name, now - SETTLED_AFTER):
                    kept.see(session, _row(alarm), now)
                else:
                    kept.enter(session, _row(alarm), now)
            for alarm in seen:
                kept.see(session, _row(alarm), now)
            for name in gone:
                kept.clear(session, name, now)
            kept.forget(session, now, KEPT_FOR)
        for alarm in fresh:
            self._log_raised(alarm.name, public_words(alarm.name, alarm.text))
        for name in gone:
            log.info("alarm.cleared", alarm=name, kind=kind_of(name).name)
        return bool(fresh or gone)

    def _without_database(self, error: DatabaseUnavailable) -> None:
        if all(alarm.name != DATABASE for alarm in self._reported.raised()):
            self._log_raised(DATABASE, public_words(DATABASE, str(error)))
        self._reported.set(DATABASE, str(error))
        self._metrics.alarms.labels(DATABASE).set(1)
        self._on_change()

    def _log_raised(self, name: str, text: str) -> None:
        kind = kind_of(name)
        log.error("alarm.raised", alarm=name, kind=kind.name, subject=subject_of(name), severity=kind.severity,
                  text=text, remedy=kind.remedy)

    def _measure(self, tables: Tables, found: Sequence[Alarm]) -> None:
        self._metrics.ledger_difference.set(tables.balance.difference)
        for name in KINDS:
            self._metrics.alarms.labels(name).set(sum(kind_of(alarm.name).name == name for alarm in found))


def _row(alarm: Alarm) -> NewAlarm:
    return NewAlarm(name=alarm.name, severity=kind_of(alarm.name).severity, text=alarm.text, since=alarm.since)
