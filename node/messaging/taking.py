"""A message becomes durable, and then it is acknowledged (HL7 v2.5.1, 2.9)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from radnode.node.audit.messages import Participant
from radnode.node.messaging import contexts, merging, reading
from radnode.pipelines.messages import hl7
from radnode.storage import audit, orders
from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.messaging import Sender
    from radnode.node.audit.messages import Auditor
    from radnode.pipelines.messages.hl7 import Message
    from radnode.storage.audit import NewMessage as NewAuditMessage
    from radnode.storage.database import Database
    from radnode.storage.orders import PatientId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a message. how: A taken, E refused for what is in it, R for what it is, or not possible now.

    code: of table 0357. where: as in ERR-2. says: a sentence that is the same for every patient.
    """

    how: Literal["A", "E", "R"]
    code: str = "0"
    where: str = ""
    says: str = ""


TAKEN = Outcome(how="A")
AGAIN_LATER = Outcome(how="R", code="207", says="not kept; send it again later")


class Desk:
    """Takes messages, from any thread. auditor: makes the audit message of each, kept with what it tells."""

    def __init__(self, *, database: Database, now: Callable[[], datetime], auditor: Auditor) -> None:
        self._database = database
        self._now = now
        self._auditor = auditor

    def take(self, name: str, sender: Sender, message: Message, content: bytes) -> Outcome:
        """Keep what it tells; when this answers TAKEN it is in the database.

        The same message under the same control ID is taken again without a second effect; another one is refused.
        """
        header = message.header
        kind = reading.kind_of(message)
        control_id = header.get(10)
        try:
            told = reading.read(message, sender.accession)
            known = orders.NewMessage(
                sender=name, application=header.get(3), facility=header.get(4), control_id=control_id, kind=kind[:16],
                digest=hashlib.sha256(content.partition(b"\r")[2]).hexdigest(),
            )
            with self._database.begin() as session:
                outcome = self._record(session, known, told)
        except hl7.NotReadable as error:
            outcome = Outcome(how="R" if error.code in ("200", "201") else "E", code=error.code, where=error.where,
                              says=str(error))
        except DatabaseUnavailable:
            outcome = AGAIN_LATER
        say = log.info if outcome.how == "A" else log.warning
        say("message.taken" if outcome.how == "A" else "message.refused", sender=name,
            kind=kind if kind in reading.ORDERS | reading.PATIENTS else "other", code=outcome.code, reason=outcome.says)
        return outcome

    def _record(self, session: Session, known: orders.NewMessage, told: reading.Told) -> Outcome:
        now = self._now()
        message_id = orders.record_message(session, known, now)
        if message_id is None:
            if orders.digest_of_message(session, known) == known.digest:
                return TAKEN
            return Outcome(how="E", code="205", where="MSH^1^10", says="another message came under this control ID")
        for order in told.orders:
            orders.store_order(session, known.sender, order, now)
        if told.change is not None:
            orders.store_change(session, message_id, told.change, now)
            merging.take(session, known.sender, told.change, now)
        contexts.attach_all(session, (order.accession_number for order in told.orders), now)
        audit.append(session, self._audited(known.sender, told, now))
        return TAKEN

    def _audited(self, sender: str, told: reading.Told, now: datetime) -> list[NewAuditMessage]:
        """One for each patient that is told of."""
        source = Participant(user_id=sender, is_requestor=True, role="Source Role ID")
        of_orders = {_first(order.patients): order for order in told.orders}
        messages = [self._auditor.told(now, "Order Record", source, patient, "U" if order.cancelled else "C")
                    for patient, order in of_orders.items()]
        if (change := told.change) is not None:
            for patients in filter(None, (change.patients, change.priors)):
                messages.append(self._auditor.told(now, "Patient Record", source, _first(patients), "U"))
        return messages


def _first(patients: Sequence[PatientId]) -> str:
    return patients[0][0] if patients else ""
