"""Whether an order is one of a study: accession number and patient must agree, or nothing is taken from it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.storage.orders import StudyContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.storage.orders import Order, PatientId, StudyPatient

CONTEXT = ("priority", "reason", "procedure", "patient_class")
"""What is taken from an order; a condition of a route calls it `order_priority` and so on."""
_URGENCY = ("stat", "urgent", "asap", "timing critical", "preoperative", "callback", "routine", "as needed")


def decide(
    study: StudyPatient, told: Sequence[tuple[str, Order]], survivors: Sequence[PatientId] = ()
) -> StudyContext | None:
    """What the orders under the study's Accession Number say about it; None where there is none that stands.

    survivors: identifiers that took the place of the one that the images name, where a merge was told.
    One that is another patient's makes all of them doubtful: nothing is taken then, until it is cancelled or corrected.
    """
    standing = [(sender, order) for sender, order in told if not order.cancelled]
    if not standing or not study.accession_number:
        return None
    for sender, order in standing:
        if why := _objection(study, order, survivors):
            return StudyContext(sender=sender, context={}, conflict=why)
    orders = [order for _, order in standing]
    return StudyContext(
        sender=", ".join(dict.fromkeys(sender for sender, _ in standing)), conflict="",
        context={
            "priority": min(filter(None, (each.priority for each in orders)), key=_rank, default=""),
            **{name: "; ".join(dict.fromkeys(filter(None, (getattr(each, name) for each in orders))))
               for name in CONTEXT[1:]},
            "numbers": [each.number for each in orders],
        },
    )


def _rank(priority: str) -> int:
    return _URGENCY.index(priority) if priority in _URGENCY else len(_URGENCY)


def _objection(study: StudyPatient, order: Order, survivors: Sequence[PatientId]) -> str:
    """Why the order is not of this study's patient, without naming either; empty if it is."""
    if not study.patient_id:
        return "the images have no Patient ID"
    if not order.patients:
        return "the order under this Accession Number does not say whose it is"
    known = (identifier_of(study), *survivors)
    if not any(same_identifier(each, one) for each in known for one in order.patients):
        return "the order under this Accession Number is another patient's than the images"
    if study.birth_date and order.birth_date and study.birth_date != order.birth_date:
        return "the patient of the order under this Accession Number has another birth date than the images say"
    return ""


def identifier_of(study: StudyPatient) -> PatientId:
    """Of its patient, as its images say."""
    return study.patient_id, study.issuer, study.universal_id


def same_identifier(one: PatientId, other: PatientId) -> bool:
    """The same ID, and no two different authorities: one that is not stated on one side cannot differ."""
    if one[0] != other[0]:
        return False
    if one[2] and other[2]:
        return one[2] == other[2]
    if one[1] and other[1]:
        return one[1].casefold() == other[1].casefold()
    return True
