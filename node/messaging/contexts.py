"""What orders say about a study, looked up and recorded in the transaction of whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.messaging.matching import CONTEXT, decide
from radnode.storage import orders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session


def conditions(session: Session, study_id: int, now: datetime) -> dict[str, str]:
    """What routes may ask about a study, decided anew and recorded. Keys as in :func:`recorded`."""
    attach(session, study_id, now)
    return recorded(session, study_id)


def recorded(session: Session, study_id: int) -> dict[str, str]:
    """What routes may ask about a study: `order_priority` and so on; empty values are left out."""
    found = orders.context_of(session, study_id)
    context = found.context if found and not found.conflict else {}
    return {f"order_{name}": str(context[name]) for name in CONTEXT if context.get(name)}


def attach(session: Session, study_id: int, now: datetime) -> bool:
    """Decide anew what the orders that were told say about a study; True when that is news."""
    study = orders.patient_of(session, study_id)
    if study is None or not study.accession_number:
        return False
    return orders.keep_context(session, study_id, decide(study, orders.orders_of(session, study.accession_number)), now)


def attach_all(session: Session, accession_numbers: Iterable[str], now: datetime) -> None:
    """The same for every study that is here under these numbers."""
    for number in dict.fromkeys(accession_numbers):
        for study_id in orders.studies_of(session, number):
            attach(session, study_id, now)
