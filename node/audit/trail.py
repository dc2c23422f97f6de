"""Where audit messages are written down: at once, before what they tell of is answered."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from radnode.node.audit.messages import Auditor, Participant
from radnode.storage import audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.config.settings import Settings
    from radnode.storage.audit import NewMessage
    from radnode.storage.database import Database


def auditor(settings: Settings) -> Auditor:
    """For this process on this machine."""
    host = socket.gethostname()
    node = Participant(user_id=f"radnode-{os.getpid()}@{host}", is_requestor=False, ae_title=settings.ae_title,
                       name="radnode", address=host)
    return Auditor(site=f"{settings.ae_title}@{host}", node=node)


class Trail:
    """The audit trail of a database. Raises DatabaseUnavailable: what cannot be written down is not done."""

    def __init__(self, database: Database, on_written: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._on_written = on_written

    def write(self, *messages: NewMessage) -> None:
        """At the end of it."""
        with self._database.begin() as session:
            audit.append(session, messages)
        self._on_written()
