"""Takes who is to be told of work items (PS3.4 CC.2.3), and says whom an event concerns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog

from radnode.node.workitems import matching
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.desk import NoSuchItem
from radnode.node.workitems.states import State
from radnode.storage import subscriptions, workitems
from radnode.storage.subscriptions import FILTERED, GLOBAL, STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.database import Database
    from radnode.storage.subscriptions import Subscription
    from radnode.storage.workitems import WorkItem

log = structlog.get_logger(__name__)

_AE_TITLE = re.compile(r"(?=.*\S)[\x20-\x5b\x5d-\x7e]{1,16}")


class TooMany(Exception):
    """There are as many subscriptions as are kept."""


class NotSubscribed(Exception):
    """This AE is not told of this."""


class NotGlobal(Exception):
    """Only a global subscription is suspended."""


class SubscriptionDesk:
    """On any thread. on_notice: something is to be told."""

    def __init__(self, *, database: Database, now: Callable[[], datetime], on_notice: Callable[[], None]) -> None:
        self._database = database
        self._now = now
        self._on_notice = on_notice

    def subscribe(self, uid: str, subscriber: str, keys: Sequence[tuple[str, str]] = ()) -> None:
        """Tell an AE from now on, and first how those items stand that have not ended.

        uid: of an item, or the global one; keys: what items have to match, of the filtered one. Raises
        :class:`NoSuchItem`, :class:`Unclear`, :class:`TooMany`.
        """
        title = ae_title(subscriber)
        if uid == FILTERED and not keys:
            raise Unclear("a filtered subscription says what items have to match")
        matching.criteria(keys)
        now = self._now()
        with self._database.begin() as session:
            items = self._covered(session, uid)
            if not subscriptions.subscribe(session, title, uid, keys if uid == FILTERED else (), now):
                raise TooMany
            wanted = next(each for each in subscriptions.everybody(session)
                          if (each.subscriber, each.uid) == (title, uid))
            subscriptions.address(session, [
                (title, item.uid, STATE, item.content, now) for item in items
                if not State(item.state).is_final and concerns(wanted, item)
            ])
        log.info("workitem.subscribed", workitem=uid)
        self._on_notice()

    def unsubscribe(self, uid: str, subscriber: str) -> None:
        """Raises :class:`NotSubscribed`, :class:`Unclear`."""
        with self._database.begin() as session:
            if not subscriptions.unsubscribe(session, ae_title(subscriber), uid):
                raise NotSubscribed
        log.info("workitem.unsubscribed", workitem=uid)

    def suspend(self, uid: str, subscriber: str) -> None:
        """Tell it of those items alone that there are now. Raises as :meth:`unsubscribe`, :class:`NotGlobal`."""
        if uid not in (GLOBAL, FILTERED):
            raise NotGlobal
        with self._database.begin() as session:
            if not subscriptions.suspend(session, ae_title(subscriber), uid, self._now()):
                raise NotSubscribed
        log.info("workitem.subscription_suspended", workitem=uid)

    def _covered(self, session: Session, uid: str) -> list[WorkItem]:
        if uid in (GLOBAL, FILTERED):
            return workitems.newest(session, states=(State.SCHEDULED, State.IN_PROGRESS))
        item = workitems.find(session, uid)
        if item is None:
            raise NoSuchItem
        return [item]


def concerns(subscription: Subscription, item: WorkItem) -> bool:
    """Whether a subscriber is to be told of an item. Pure."""
    if subscription.suspended_at is not None and item.created_at > subscription.suspended_at:
        return False
    if subscription.uid == FILTERED:
        return matching.matches(item.content, matching.criteria(subscription.keys))
    return subscription.uid in (GLOBAL, item.uid)


def ae_title(text: str) -> str:
    """An AE title (PS3.5 6.2). Raises :class:`Unclear`."""
    if not _AE_TITLE.fullmatch(text):
        raise Unclear("the AE title of a subscriber has 1 to 16 characters of ASCII, without a backslash")
    return text.strip()
