"""Several processes that are one node: all receive, one leads and does all else (docs/decisions/010).

They share a data folder and a PostgreSQL database. What each has to know of the others goes through two small tables:
who is there, with what it would say to an administrator, and which series are coming in where.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import structlog

import radnode
from radnode.node.intake.associations import Nowhere
from radnode.node.scheduler import Activity
from radnode.node.starting import StartRefused
from radnode.storage import receivers
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.notices import Listener, notify
from radnode.storage.receivers import FORGOTTEN, Present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from radnode.config.settings import Settings
    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

ALARM = "receiver"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_name(text: str) -> bool:
    """Whether a receiver may be called so: as a label of a host name, and harmless in the name of a file."""
    return _NAME.fullmatch(text) is not None


class Alone(Nowhere):
    """A node that is one process: nobody to be told, nobody to be heard."""

    name = ""

    def say(self, **_: object) -> None:
        """There is nobody."""

    def end(self) -> None:
        """The same."""

    def tell(self, _transaction: Connection) -> None:
        """The same."""

    def leader(self) -> str | None:
        """The same."""
        return None

    def refused(self, here: Mapping[str, int]) -> Mapping[str, int]:
        """What is here is all."""
        return here

    def strangers(self, here: Mapping[str, int]) -> Mapping[str, int]:
        """The same."""
        return here

    def hearing(self, _on_news: Callable[[], None]) -> tuple[Activity, ...]:
        """Nothing."""
        return ()


def receivers_of(
    name: str, settings: Settings, database: Database, alarms: Alarms, now: Callable[[], datetime]
) -> Receivers | Alone:
    """Of a process that is called so among several; with an empty name it is alone. Raises StartRefused."""
    if not name:
        return Alone()
    if not is_name(name):
        raise StartRefused(f"a receiver cannot be called {name!a}: use a-z, 0-9 and hyphens, at most 63")
    if not settings.effective_database_url.startswith("postgresql"):
        raise StartRefused("several receivers share a PostgreSQL database: give `node.database_url`, or no --receiver")
    return Receivers(name, address=f"{settings.host}:{settings.dicom_port}", version=radnode.__version__,
                     database=database, alarms=alarms, now=now)


class Receivers:
    """What this receiver says to the others and hears of them; an
    :class:`~radnode.node.intake.associations.Elsewhere`.
    """

    def __init__(
        self, name: str, *, address: str, version: str, database: Database, alarms: Alarms, now: Callable[[], datetime]
    ) -> None:
        self.name = name
        self._address = address
        self._version = version
        self._database = database
        self._alarms = alarms
        self._now = now
        self._began = now()
        self._others: list[Present] = []
        self._listener = Listener(database)

    def tell(self, transaction: Connection) -> None:
        """Wake the one that leads when this is committed."""
        notify(transaction)

    def hearing(self, on_news: Callable[[], None]) -> tuple[Activity, ...]:
        """What hears the others, while this one leads."""

        def hear() -> bool:
            if self._listener.heard(within_s=1.0):
                on_news()
            return True

        return (Activity("hearing", hear, self._alarms),)

    def say(
        self, *, leads: bool, refused: Mapping[str, int], strangers: Mapping[str, int], associations: Iterable[str]
    ) -> None:
        """This one is there, with what is wrong here; and hear what the others say.

        associations: those open here. Raises DatabaseUnavailable.
        """
        now = self._now()
        said = {
            "alarms": {alarm.name: alarm.text for alarm in self._alarms.raised() if not _is_of_another(alarm.name)},
            "refused": dict(refused), "strangers": dict(strangers),
        }
        present = Present(name=self.name, address=self._address, version=self._version, leads=leads, said=said,
                          since=self._began, seen_at=now)
        with self._database.begin() as session:
            receivers.say(session, present)
            receivers.keep_only(session, self.name, list(associations))
            self._others = [each for each in receivers.listed(session) if each.name != self.name]
            if leads:
                for each in self._others:
                    if now - each.seen_at > FORGOTTEN:
                        receivers.forget(session, each.name)
        if leads:
            self._raise_alarms(now)

    def end(self) -> None:
        """This one receives no more."""
        self._listener.close()
        with self._database.begin() as session:
            receivers.forget(session, self.name)

    def leader(self) -> str:
        """Who leads, as far as was heard; empty if nobody does."""
        return next((each.name for each in self._others if each.leads and not each.is_lost(self._now())), "")

    def refused(self, here: Mapping[str, int]) -> Mapping[str, int]:
        """Objects that were refused lately, by source, here and at the others."""
        return self._summed("refused", here)

    def strangers(self, here: Mapping[str, int]) -> Mapping[str, int]:
        """How often an address could not show who it is, here and at the others."""
        return self._summed("strangers", here)

    def carried(self, association: str, series_instance_uid: str) -> None:
        """As :class:`~radnode.node.intake.associations.Elsewhere`. Raises DatabaseUnavailable."""
        with self._database.begin() as session:
            receivers.carried(session, self.name, association, series_instance_uid)

    def closed(self, association: str) -> None:
        """The same. What the database does not hear now, it hears when this receiver next says that it is there."""
        try:
            with self._database.begin() as session:
                receivers.drop(session, association)
                notify(session)
        except DatabaseUnavailable:
            log.warning("receiver.association_not_closed", association=association)

    def is_open(self, association: str) -> bool:
        """The same. Raises DatabaseUnavailable."""
        with self._database.read() as session:
            return receivers.is_open(session, association, self.name, self._now())

    def open_associations(self, series_instance_uid: str) -> int:
        """The same. Raises DatabaseUnavailable."""
        with self._database.read() as session:
            return receivers.number_carrying(session, series_instance_uid, self.name, self._now())

    def _summed(self, what: str, here: Mapping[str, int]) -> Mapping[str, int]:
        total = Counter(here)
        for each in self._others:
            if not each.is_lost(self._now()):
                total.update(each.said[what])
        return total

    def _raise_alarms(self, now: datetime) -> None:
        here = {alarm.name: alarm.text for alarm in self._alarms.raised()}
        wrong = {f"{ALARM}:{each.name}": text for each in self._others if (text := _wrong(each, here, now))}
        for name in here:
            if _is_of_another(name) and name not in wrong:
                self._alarms.clear(name)
        for name, text in wrong.items():
            self._alarms.set(name, text)


def _is_of_another(alarm: str) -> bool:
    return alarm.startswith(f"{ALARM}:")


def _wrong(present: Present, here: Mapping[str, str], now: datetime) -> str:
    """What an administrator has to know of a receiver beside what is said here already; empty if nothing."""
    if now - present.seen_at > FORGOTTEN:
        return ""
    if present.is_lost(now):
        return f"receiver {present.name} at {present.address} was not heard of since {present.seen_at:%Y-%m-%d %H:%M}Z"
    said = "; ".join(text for name, text in present.said["alarms"].items() if here.get(name) != text)
    return f"receiver {present.name} at {present.address}: {said}" if said else ""
