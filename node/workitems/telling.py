"""Tells subscribers what became of work items: over a WebSocket that they have open, else by N-EVENT-REPORT.

An event that cannot be told is kept and tried again for an hour, in order; later it would mislead more than it says.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role

from radnode.node.association import PeerUnreachable, associate
from radnode.node.intake.negotiation import UPS_EVENT, UPS_PUSH
from radnode.node.workitems import attributes, notices
from radnode.node.workitems.subscribing import concerns
from radnode.storage import subscriptions, workitems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.storage.database import Database
    from radnode.storage.subscriptions import Notice

log = structlog.get_logger(__name__)

AT_ONCE = 200
KEPT = timedelta(hours=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=2)


class Channels(Protocol):
    """As :class:`radnode.node.workitems.channels.OpenChannels`."""

    def send(self, subscriber: str, text: str) -> bool:
        """Whether somebody who listens for this AE has it."""


class Teller:
    """`step` is that of an activity."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        channels: Channels,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._channels = channels
        self._waits: dict[str, tuple[datetime, timedelta]] = {}

    def step(self) -> bool:
        """Address what is new, tell what waits. True where there is more of either."""
        with self._database.read() as session:
            fresh = subscriptions.waiting(session, "", AT_ONCE)
            listening = subscriptions.addressed(session)
        if not fresh and not listening:
            return False
        if fresh:
            self._address(fresh)
        with self._database.begin() as session:
            if late := subscriptions.forget_late(session, self._now() - KEPT):
                log.warning("workitem.subscribers_not_told", events=late)
            listening = subscriptions.addressed(session)
        more = [subscriber for subscriber in listening if self._is_due(subscriber) and self._tell(subscriber)]
        return bool(more) or len(fresh) == AT_ONCE

    def wake(self, subscriber: str) -> None:
        """It listens again: what waits for it is told at the next step."""
        self._waits.pop(subscriber, None)

    def _address(self, fresh: Sequence[Notice]) -> None:
        with self._database.begin() as session:
            everybody = subscriptions.everybody(session)
            items = {uid: workitems.find(session, uid) for uid in {each.uid for each in fresh}}
            subscriptions.address(session, [
                (subscriber, each.uid, each.event_type, each.content, each.at) for each in fresh
                if (item := items[each.uid]) is not None
                for subscriber in sorted({one.subscriber for one in everybody if concerns(one, item)})
            ])
            subscriptions.told(session, [each.number for each in fresh])

    def _is_due(self, subscriber: str) -> bool:
        waits = self._waits.get(subscriber)
        return waits is None or not self._now() < waits[0] <= self._now() + waits[1]

    def _tell(self, subscriber: str) -> bool:
        """Whether there is more for it now."""
        with self._database.read() as session:
            waiting = subscriptions.waiting(session, subscriber, AT_ONCE)
        told = self._over_channel(subscriber, waiting)
        if not told and (peer := self._peer(subscriber)) is not None:
            told = self._over_dimse(peer, waiting)
        with self._database.begin() as session:
            subscriptions.told(session, told)
        if len(told) == len(waiting):
            self._waits.pop(subscriber, None)
            return len(waiting) == AT_ONCE
        _, before = self._waits.get(subscriber, (None, FIRST_WAIT / 2))
        wait = min(2 * before, LONGEST_WAIT)
        self._waits[subscriber] = (self._now() + wait, wait)
        return False

    def _peer(self, subscriber: str) -> Peer | None:
        peers = self._configuration().peers.values()
        return next((each for each in peers if each.ae_title == subscriber and each.dicomweb is None), None)

    def _over_channel(self, subscriber: str, waiting: Sequence[Notice]) -> list[int]:
        told: list[int] = []
        for each in waiting:
            text = notices.as_text(each.uid, each.event_type, each.content, each.number % 65536)
            if not self._channels.send(subscriber, text):
                break
            told.append(each.number)
        return told

    def _over_dimse(self, peer: Peer, waiting: Sequence[Notice]) -> list[int]:
        """The numbers of those that it took, or refused: it heard them."""
        contexts = [(UPS_EVENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
        told: list[int] = []
        try:
            with associate(peer, self._configuration().settings.ae_title, contexts,
                           roles=[build_role(UPS_EVENT, scp_role=True)]) as association:
                for each in waiting:
                    said = attributes.stored(notices.information(each.event_type, each.content))
                    status, _ = association.send_n_event_report(
                        said, each.event_type, UPS_PUSH, each.uid, meta_uid=UPS_EVENT
                    )
                    if "Status" not in status:
                        break
                    told.append(each.number)
        except (PeerUnreachable, RuntimeError, ValueError) as error:  # of pynetdicom: it has ended, or took no context
            log.warning("workitem.subscriber_not_reached", peer=peer.name, reason=str(error), waiting=len(waiting))
        return told
