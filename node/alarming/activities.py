"""The activities of alarms, constructed for `node/service.py`: one that watches, one for each sink that tells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from radnode.node.alarming.teller import SINKS, Teller
from radnode.node.alarming.watch import AlarmWatch
from radnode.node.scheduler import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore


def alarm_activities(
    *,
    database: Database,
    store: FileStore,
    configuration: Callable[[], Configuration],
    reported: Alarms,
    refused: Callable[[], Mapping[str, int]],
    now: Callable[[], datetime],
    metrics: Metrics,
    strangers: Callable[[], Mapping[str, int]],
) -> tuple[Activity, ...]:
    """The watch, then the tellers, which the watch pulses."""
    tellers = tuple(
        Activity(
            f"telling {sink}",
            Teller(
                sink, database=database, configuration=configuration, reported=reported, now=now,
                monotonic_s=time.monotonic, metrics=metrics,
            ).step,
            reported,
        )
        for sink in SINKS
    )

    def pulse_tellers() -> None:
        for teller in tellers:
            teller.pulse()

    watch = AlarmWatch(
        database=database, store=store, configuration=configuration, reported=reported, refused=refused, now=now,
        metrics=metrics, on_change=pulse_tellers, strangers=strangers,
    )
    return Activity("alarms", watch.step, reported), *tellers
