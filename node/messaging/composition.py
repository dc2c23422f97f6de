"""The parts for messages, made and tied together for the composition root."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

from radnode.node.audit.trail import auditor
from radnode.node.messaging.fhir_asking import OrderAsker
from radnode.node.messaging.receiving import MessageReceiver
from radnode.node.messaging.taking import Desk
from radnode.node.scheduler import Activity
from radnode.node.security.tls import ServerContexts
from radnode.storage import orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.intake.tally import RefusalTally
    from radnode.storage.database import Database

KEPT = timedelta(days=90)
"""For so long a control ID is remembered, and an order whose images do not come."""
CONFLICTS_OF = timedelta(days=1)


class Messaging:
    """Who takes messages, and who looks after what they told. Raises TlsUnusable."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        alarms: Alarms, strangers: RefusalTally,
    ) -> None:
        self._database = database
        self._now = now
        self._alarms = alarms
        self._raised: set[str] = set()
        self._receiver = self._make_receiver(configuration, strangers)
        self.activity = Activity("looking after orders", self.step, alarms)
        self.asking = tuple(self._make_asking(configuration()))

    def closed(self) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """As :meth:`radnode.node.doors.Doors.closed`."""
        if self._receiver is not None:
            yield "messaging.listen.port", self._receiver.listener.port, self._receiver.listener.start

    def close(self) -> None:
        """Nobody comes in any more; what is being taken is still taken."""
        if self._receiver is not None:
            self._receiver.listener.stop()

    def step(self) -> bool:
        """Forget what is old, and say which senders' orders contradict images. Always False: there is time."""
        now = self._now()
        with self._database.begin() as session:
            orders.forget(session, now - KEPT)
            conflicts = orders.conflicts_since(session, now - CONFLICTS_OF)
        for sender, number in conflicts.items():
            self._alarms.set(f"order:{sender}", f"{number} studies of the last day have an order of {sender} under "
                             "their Accession Number that is another patient's; nothing is taken from it")
        for sender in self._raised - conflicts.keys():
            self._alarms.clear(f"order:{sender}")
        self._raised = set(conflicts)
        return False

    def _make_receiver(
        self, configuration: Callable[[], Configuration], strangers: RefusalTally
    ) -> MessageReceiver | None:
        settings, listen = configuration().settings, configuration().messaging.listen
        if listen is None:
            return None
        contexts = None
        if listen.tls and settings.tls:
            contexts = ServerContexts(settings.tls, asks=ssl.CERT_OPTIONAL, on_unusable=self._tls_unusable)
        return MessageReceiver(
            listen, senders=lambda: configuration().messaging.senders,
            desk=Desk(database=self._database, now=self._now, auditor=auditor(settings)), now=self._now,
            strangers=strangers,
            tls=contexts.current if contexts else None,
        )

    def _make_asking(self, configuration: Configuration) -> Iterator[Activity]:
        """Where a FHIR server is asked for orders."""
        if server := configuration.messaging.orders_from:
            asker = OrderAsker(
                server, database=self._database, issuers=configuration.messaging.issuers.stated(), now=self._now,
                alarms=self._alarms,
            )
            yield Activity("asking for orders", asker.step, self._alarms)

    def _tls_unusable(self, why: str) -> None:
        if why:
            self._alarms.set("tls", f"the last good certificate is in force: {why}")
        else:
            self._alarms.clear("tls")
