"""Ties the parts of work items together: one call of the composition root makes them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.scheduler import Activity
from radnode.node.web.workitems import router
from radnode.node.workitems.desk import Desk
from radnode.node.workitems.door import WorkItemDoor
from radnode.node.workitems.fetching import InputFetcher
from radnode.node.workitems.following import Follower
from radnode.node.workitems.performing import Performer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fastapi import FastAPI

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.workitems.door import Opener
    from radnode.pipelines.contract import Manifest
    from radnode.storage.database import Database


class WorkItems:
    """`activities` perform, and follow the worklists of others; `mount` serves UPS-RS, `door` answers over DIMSE.

    opener: opens what peers send there.
    """

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]], now: Callable[[], datetime], *, alarms: Alarms,
        on_jobs: Callable[[], None], opener: Opener,
    ) -> None:
        performer = Performer(database=database, configuration=configuration, manifests=manifests, now=now,
                              on_jobs=on_jobs, fetch=InputFetcher(database, configuration, now))
        performing = Activity("performing", performer.step, alarms)
        follower = Follower(database=database, configuration=configuration, now=now, alarms=alarms,
                            on_claimed=performing.pulse)
        self.activities = (performing, Activity("following worklists", follower.step, alarms))
        self._desk = Desk(database=database, configuration=configuration, now=now, on_change=performing.pulse)
        self.door = WorkItemDoor(self._desk, opener)

    def mount(self, app: FastAPI) -> FastAPI:
        """The application with UPS-RS."""
        app.include_router(router(self._desk))
        return app
