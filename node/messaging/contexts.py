"""What orders say about a study, looked up and recorded in the transaction of whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.messaging.matching import CONTEXT, decide, identifier_of, same_identifier
from radnode.storage import merges, orders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.merges import Merge
    from radnode.storage.orders import PatientId, StudyPatient

_LONGEST_CHAIN = 8
"""Merges, one after the other, that are followed."""


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
    told = orders.orders_of(session, study.accession_number)
    return orders.keep_context(session, study_id, decide(study, told, _survivors(session, study)), now)


def attach_all(session: Session, accession_numbers: Iterable[str], now: datetime) -> None:
    """The same for every study that is here under these numbers."""
    for number in dict.fromkeys(accession_numbers):
        for study_id in orders.studies_of(session, number):
            attach(session, study_id, now)


def merge_of(session: Session, study_id: int) -> Merge | None:
    """The merge that took the patient's identifier of a study out of use; None where none was told."""
    study = orders.patient_of(session, study_id)
    return None if study is None else _merge_of(session, identifier_of(study))


def _merge_of(session: Session, patient: PatientId) -> Merge | None:
    found = merges.of_identifier(session, patient[0])
    return next((each for each in found if same_identifier(each.patient, patient)), None)


def _survivors(session: Session, study: StudyPatient) -> list[PatientId]:
    """Who the patient of a study is now, one merge after the other."""
    found: list[PatientId] = []
    merge = _merge_of(session, identifier_of(study))
    while merge is not None and len(found) < _LONGEST_CHAIN:
        found += merge.survivors
        merge = next(filter(None, (_merge_of(session, each) for each in merge.survivors)), None)
    return found
