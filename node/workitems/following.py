"""Takes orders from worklists of managers (the "pull" of IHE AIW-I), and tells what came of them.

What is to be claimed is written down with its Transaction UID before the manager is asked, and what is to be told is
the version of the row that it was not told of yet: a node that was down for one of them takes it up again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydicom.uid import generate_uid

from radnode.node.association import PeerUnreachable
from radnode.node.intake.header_walk import is_uid
from radnode.node.workitems import attributes
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.managers import reached
from radnode.node.workitems.states import State
from radnode.storage import workitems

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pydicom.dataset import Dataset

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.workitems.managers import Manager
    from radnode.storage.database import Database
    from radnode.storage.workitems import WorkItem

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=10)


class Follower:
    """`step` is that of an activity. on_claimed: something is to be performed. on_back: a manager answers again."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        alarms: Alarms, on_claimed: Callable[[], None], on_back: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._alarms = alarms
        self._on_claimed = on_claimed
        self._on_back = on_back
        self._away: set[str] = set()
        self._next: dict[str, datetime] = {}

    def step(self) -> bool:
        """Ask each manager whose time has come. Always False: the clock pulses again."""
        configuration = self._configuration()
        for name in configuration.workitems.managers:
            now = self._now()
            due = self._next.get(name, now)
            if now < due <= now + EVERY:
                continue
            self._next[name] = now + EVERY
            try:
                with reached(configuration.peers[name], configuration.settings.ae_title) as manager:
                    self._follow(manager, name)
            except PeerUnreachable as unreachable:
                self._alarms.set(f"worklist:{name}", str(unreachable))
                self._away.add(name)
            else:
                self._alarms.clear(f"worklist:{name}")
                if name in self._away:
                    self._away.discard(name)
                    self._on_back(name)
        return False

    def ask_now(self, name: str) -> None:
        """A manager has said that something changed: it is asked at the next step."""
        self._next.pop(name, None)

    def _follow(self, manager: Manager, name: str) -> None:
        """Raises :class:`PeerUnreachable`."""
        with self._database.read() as session:
            known = {each.uid for each in workitems.of_manager(session, name)}
        for code in self._configuration().workitems.codes:
            for item in manager.scheduled(code, known):
                self._note(item, name)
        with self._database.read() as session:
            noted = workitems.of_manager(session, name)
        for each in noted:
            if each.state == State.SCHEDULED:
                self._claim(manager, each)
            elif each.version != each.told:
                self._tell(manager, each)

    def _note(self, dataset: Dataset, manager: str) -> None:
        """An order that a route performs, written down to be claimed; what is unclear is left to others."""
        try:
            uid = str(dataset.get("SOPInstanceUID", ""))
            order, kept = attributes.order(dataset), attributes.to_keep(dataset)
        except (Unclear, ValueError, TypeError) as why:
            log.warning("worklist.unclear", manager=manager, reason=str(why) if isinstance(why, Unclear) else "values")
            return
        route = self._configuration().workitems.codes.get(order.code)
        if not is_uid(uid.encode("ascii", "replace")) or dataset.get("ProcedureStepState") != State.SCHEDULED:
            return
        if route is None:
            return
        with self._database.begin() as session:
            workitems.enter(
                session, uid, kept, route=route, study_instance_uid=order.study_instance_uid,
                now=self._now(), manager=manager, transaction_uid=str(generate_uid(prefix=None)),
            )

    def _claim(self, manager: Manager, item: WorkItem) -> None:
        """It is ours, also where an earlier answer was lost; or somebody else was quicker."""
        dataset = attributes.stored(item.content)
        own_ae_title = self._configuration().settings.ae_title
        attributes.begun(dataset, own_ae_title, self._now())
        is_ours = manager.change(item, State.IN_PROGRESS) or manager.update(item, dataset)
        dataset.ProcedureStepState = State.IN_PROGRESS if is_ours else State.CANCELED
        if not is_ours:
            attributes.canceled(dataset, "claimed by another, or changed by its manager", self._now(), by_request=True)
        with self._database.begin() as session:
            workitems.change(session, item, self._now(), state=str(dataset.ProcedureStepState), own=is_ours,
                             content=attributes.to_keep(dataset))
            if not is_ours:
                workitems.told(session, item.uid, item.version + 1)
        log.info("workitem.claimed" if is_ours else "workitem.lost", workitem=item.uid, manager=item.manager)
        if is_ours:
            self._on_claimed()

    def _tell(self, manager: Manager, item: WorkItem) -> None:
        taken = manager.update(item, attributes.stored(item.content))
        if taken and State(item.state).is_final:
            taken = manager.change(item, State(item.state))
        if not taken:
            log.warning("workitem.not_told", workitem=item.uid, manager=item.manager)
        with self._database.begin() as session:
            workitems.told(session, item.uid, item.version)
