"""Ties the parts of work items together: one call of the composition root makes them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.scheduler import Activity
from radnode.node.web.workitems import router
from radnode.node.workitems.channels import ChannelDoor, OpenChannels
from radnode.node.workitems.desk import Desk
from radnode.node.workitems.door import WorkItemDoor
from radnode.node.workitems.fetching import InputFetcher
from radnode.node.workitems.following import Follower
from radnode.node.workitems.listening import Listening
from radnode.node.workitems.notices import SCP_STATUS
from radnode.node.workitems.performing import Performer
from radnode.node.workitems.subscribing import SubscriptionDesk
from radnode.node.workitems.telling import Teller
from radnode.storage.subscriptions import CANCEL_REQUESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fastapi import FastAPI

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.workitems.door import Opener
    from radnode.node.workitems.notices import Report
    from radnode.pipelines.contract import Manifest
    from radnode.storage.database import Database


class WorkItems:
    """`activities` perform, follow the worklists of others and tell of ours; `mount` serves UPS-RS, `door` answers over
    DIMSE, `stop` listens to nobody any more.

    opener: opens what peers send there.
    """

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]], now: Callable[[], datetime], *, alarms: Alarms,
        on_jobs: Callable[[], None], opener: Opener,
    ) -> None:
        performer = Performer(database=database, configuration=configuration, manifests=manifests, now=now,
                              on_jobs=on_jobs, fetch=InputFetcher(database, configuration, now))
        self._performing = Activity("performing", performer.step, alarms)
        self._listening = Listening(configuration=configuration, now=now, heard=self.heard, pulse=self._ask)
        self._follower = Follower(database=database, configuration=configuration, now=now, alarms=alarms,
                                  on_claimed=self._performing.pulse, on_back=self._listening.again)
        self._following = Activity("following worklists", self._follower.step, alarms)
        self._channels = OpenChannels(on_open=self._listens)
        self._teller = Teller(database=database, configuration=configuration, now=now, channels=self._channels)
        self._telling = Activity("telling of work items", self._teller.step, alarms)
        self.activities = (self._performing, self._following, self._telling,
                           Activity("listening to worklists", self._listening.step, alarms))
        self._desk = Desk(database=database, configuration=configuration, now=now, on_change=self._changed)
        self._subscriptions = SubscriptionDesk(database=database, now=now, on_notice=self._telling.pulse)
        self.door = WorkItemDoor(self._desk, opener, self._subscriptions, configuration, self.heard)

    def mount(self, app: FastAPI) -> FastAPI:
        """The application with UPS-RS."""
        app.include_router(router(self._desk, self._subscriptions))
        app.add_middleware(ChannelDoor, channels=self._channels)
        return app

    def heard(self, manager: str, report: Report) -> None:
        """A manager tells of an event."""
        if report.event_type == CANCEL_REQUESTED:
            self._desk.canceled_elsewhere(report, manager)
        elif report.event_type == SCP_STATUS:
            self._listening.again(manager)
        self._ask(manager)

    def stop(self) -> None:
        """End what listens."""
        self._channels.close()
        self._listening.stop()

    def _ask(self, manager: str) -> None:
        self._follower.ask_now(manager)
        self._following.pulse()

    def _listens(self, subscriber: str) -> None:
        self._teller.wake(subscriber)
        self._telling.pulse()

    def _changed(self) -> None:
        self._performing.pulse()
        self._telling.pulse()
