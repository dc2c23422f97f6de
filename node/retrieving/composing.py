"""Ties the parts together that fetch: one call of the composition root makes them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.retrieving.fetching import Fetcher
from radnode.node.retrieving.folders import FolderWatch
from radnode.node.retrieving.keeping import Keeper
from radnode.node.retrieving.prior_finding import PriorFinder
from radnode.node.retrieving.pulling import Puller
from radnode.node.scheduler import Activity
from radnode.node.web.pulls import with_pulls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fastapi import FastAPI

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.intake.storing import Storage
    from radnode.storage.database import Database

AT_A_TIME = 4
"""Studies that are fetched beside each other, whatever the archives allow."""


class Retrieving:
    """`activities` for the clock to pulse; `stop` before they are stopped: a transfer may last long."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        configuration: Callable[[], Configuration],
        now: Callable[[], datetime],
        alarms: Alarms,
        on_open: Callable[[], None],
        on_jobs: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration

        def local_now() -> datetime:
            return now().astimezone(configuration().alarms.zone)

        self._fetchers = [
            Fetcher(database=database, storage=storage, configuration=configuration, now=now, local_now=local_now,
                    on_ended=self._ended)
            for _ in range(AT_A_TIME)
        ]
        puller = Puller(database=database, configuration=configuration, now=now, local_now=local_now, alarms=alarms,
                        on_wanted=self._wanted)
        keeper = Keeper(database=database, now=now, alarms=alarms, on_open=on_open)
        self._fetching = [
            Activity(f"fetching {number}", each.step, alarms) for number, each in enumerate(self._fetchers, 1)
        ]
        finder = PriorFinder(database=database, configuration=configuration, now=now, on_wanted=self._wanted,
                             on_settled=on_jobs)
        self._finding = Activity("finding priors", finder.step, alarms)
        self._keeping = Activity("keeping fetches", keeper.step, alarms)
        self._watch = FolderWatch(storage=storage, configuration=configuration, alarms=alarms)
        self.activities = (
            *self._fetching, self._keeping, self._finding, Activity("pulling", puller.step, alarms),
            Activity("watching folders", self._watch.step, alarms),
        )

    def serve(self, app: FastAPI) -> FastAPI:
        """The application with what is fetched."""
        return with_pulls(app, self._database, self._configuration)

    def stop(self) -> None:
        """End transfers that are under way; they begin again at the next start."""
        self._watch.stop()
        for fetcher in self._fetchers:
            fetcher.stop()

    def _wanted(self) -> None:
        for activity in self._fetching:
            activity.pulse()

    def _ended(self) -> None:
        self._keeping.pulse()
        self._finding.pulse()
