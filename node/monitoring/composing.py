"""The parts that watch pipelines over months, constructed for `node/service.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.monitoring.comparer import Comparer
from radnode.node.monitoring.observer import Observer
from radnode.node.monitoring.watch import DriftWatch
from radnode.node.scheduler import Activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore


class Monitoring:
    """Activities: what ended enters the figures, figures are looked at, corrections and pairs are compared."""

    def __init__(
        self, *, database: Database, store: FileStore, configuration: Callable[[], Configuration], alarms: Alarms,
        now: Callable[[], datetime],
    ) -> None:
        self.watch = DriftWatch(database, configuration, alarms, now)
        models = configuration().settings.model_store
        self._comparer = Comparer(database, store, models, now)
        comparing = Activity("comparing", self._comparer.step, alarms)
        observer = Observer(database, now, on_pairs=comparing.pulse)
        self.activities = (
            Activity("observing", observer.step, alarms),
            Activity("looking for drift", self.watch.step, alarms),
            comparing,
        )

    def stop(self) -> None:
        """End the process that compares."""
        self._comparer.stop()
