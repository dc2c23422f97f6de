"""Messages that were taken, the orders they told, and what these say about studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, func, insert, select, text, update

from radnode.storage.catalog import add_event, affected
from radnode.storage.dialects import insert_for
from radnode.storage.order_tables import MessageRow, OrderRow, PatientChangeRow, StudyContextRow
from radnode.storage.tables import HeaderRow, InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

PatientId = tuple[str, str, str]
"""An identifier, the short name of who gave it, and its universal ID; the last two may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message of HL7 v2. kind: as in ORM^O01."""

    sender: str
    application: str
    facility: str
    control_id: str
    kind: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as a message tells it. Texts are empty where it does not say."""

    accession_number: str
    number: str
    patients: tuple[PatientId, ...]
    birth_date: str = ""
    cancelled: bool = False
    priority: str = ""
    reason: str = ""
    procedure: str = ""
    patient_class: str = ""
    said_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientChange:
    """What a message tells of a patient. priors: what A40 merges into it."""

    event: str
    patients: tuple[PatientId, ...]
    priors: tuple[PatientId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPatient:
    """Whose a study is, as its images say."""

    study_id: int
    accession_number: str
    patient_id: str
    issuer: str
    universal_id: str
    birth_date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyContext:
    """What orders say about a study, or why they are not taken for its own."""

    sender: str
    context: dict[str, Any]
    conflict: str


def record_message(session: Session, message: NewMessage, now: datetime) -> int | None:
    """Its number, or None when one with its control ID was taken before; two at once, and one of them waits."""
    number: int | None = session.scalar(
        insert_for(session, MessageRow)
        .values(sender=message.sender, application=message.application, facility=message.facility,
                control_id=message.control_id, kind=message.kind, digest=message.digest, received_at=now)
        .on_conflict_do_nothing(index_elements=["sender", "application", "facility", "control_id"])
        .returning(MessageRow.id)
    )
    return number


def digest_of_message(session: Session, message: NewMessage) -> str | None:
    """Of the message that was taken under the same control ID."""
    return session.scalar(
        select(MessageRow.digest).where(
            MessageRow.sender == message.sender, MessageRow.application == message.application,
            MessageRow.facility == message.facility, MessageRow.control_id == message.control_id,
        )
    )


def store_order(session: Session, sender: str, order: Order, now: datetime) -> bool:
    """Keep what is said of an order now; False when something newer was said of it before."""
    told = {
        "patients": [list(each) for each in order.patients], "birth_date": order.birth_date,
        "cancelled": order.cancelled, "priority": order.priority, "reason": order.reason,
        "procedure": order.procedure, "patient_class": order.patient_class, "said_at": order.said_at,
        "received_at": now,
    }
    known = session.execute(
        insert_for(session, OrderRow)
        .values(sender=sender, accession_number=order.accession_number, number=order.number, **told)
        .on_conflict_do_nothing(index_elements=["sender", "accession_number", "number"])
        .returning(OrderRow.id)
    ).scalar()
    if known is not None:
        return True
    return affected(
        session,
        update(OrderRow)
        .where(OrderRow.sender == sender, OrderRow.accession_number == order.accession_number,
               OrderRow.number == order.number, OrderRow.said_at <= order.said_at)
        .values(**told),
    ) == 1


def store_change(session: Session, message_id: int, change: PatientChange, now: datetime) -> None:
    """Record what was told of a patient."""
    session.execute(insert(PatientChangeRow).values(
        message_id=message_id, event=change.event, patients=[list(each) for each in change.patients],
        priors=[list(each) for each in change.priors], received_at=now,
    ))


def orders_of(session: Session, accession_number: str) -> list[tuple[str, Order]]:
    """(sender, order) of all under an Accession Number, the first told first."""
    rows = session.scalars(
        select(OrderRow).where(OrderRow.accession_number == accession_number).order_by(OrderRow.id)
    )
    return [
        (row.sender, Order(
            accession_number=row.accession_number, number=row.number,
            patients=tuple((str(one[0]), str(one[1]), str(one[2])) for one in row.patients),
            birth_date=row.birth_date, cancelled=row.cancelled, priority=row.priority, reason=row.reason,
            procedure=row.procedure, patient_class=row.patient_class, said_at=row.said_at,
        ))
        for row in rows
    ]


def studies_of(session: Session, accession_number: str) -> list[int]:
    """The studies that came under an Accession Number."""
    return list(session.scalars(select(StudyRow.id).where(StudyRow.accession_number == accession_number)))


@dataclass(frozen=True, slots=True)
class Unordered:
    """A study that no order is known of."""

    study_id: int
    study_instance_uid: str
    accession_number: str


def without_order(session: Session, since: datetime) -> list[Unordered]:
    """Studies with an Accession Number that came since then and that no order is recorded of."""
    rows = session.execute(
        select(StudyRow.id, StudyRow.study_instance_uid, StudyRow.accession_number)
        .where(StudyRow.last_received_at >= since, StudyRow.accession_number.is_not(None),
               StudyRow.accession_number != "", ~exists().where(StudyContextRow.study_id == StudyRow.id))
        .order_by(StudyRow.id)
    )
    found = [Unordered(study_id, uid, (number or "").strip()) for study_id, uid, number in rows]
    return [each for each in found if each.accession_number]


def patient_of(session: Session, study_id: int) -> StudyPatient | None:
    """Whose a study is, once a header of it was read."""
    study = session.get_one(StudyRow, study_id)
    header = session.scalar(
        select(HeaderRow.attributes)
        .join(InstanceRow, InstanceRow.id == HeaderRow.instance_id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(SeriesRow.study_id == study_id).order_by(InstanceRow.id).limit(1)
    )
    if header is None:
        return None
    qualifiers = header.get("IssuerOfPatientIDQualifiersSequence") or [{}]
    universal = qualifiers[0] if isinstance(qualifiers, list) and isinstance(qualifiers[0], dict) else {}
    return StudyPatient(
        study_id=study_id, accession_number=(study.accession_number or "").strip(),
        patient_id=study.patient_id.strip(), issuer=_text(header.get("IssuerOfPatientID")),
        universal_id=_text(universal.get("UniversalEntityID")), birth_date=_text(header.get("PatientBirthDate")),
    )


def context_of(session: Session, study_id: int) -> StudyContext | None:
    """What is recorded of a study; None where no order was told."""
    row = session.get(StudyContextRow, study_id)
    return None if row is None else StudyContext(sender=row.sender, context=row.context, conflict=row.conflict)


def keep_context(session: Session, study_id: int, context: StudyContext | None, now: datetime) -> bool:
    """Record it, in the timeline, too; False when that was known. None: no order stands for the study any more."""
    if context_of(session, study_id) == context:
        return False
    session.execute(delete(StudyContextRow).where(StudyContextRow.study_id == study_id))
    if context is None:
        add_event(session, "order withdrawn", detail={}, now=now, study_id=study_id)
        return True
    session.execute(insert(StudyContextRow).values(
        study_id=study_id, sender=context.sender, context=context.context, conflict=context.conflict, at=now,
        news=not context.conflict,
    ))
    kind = "order in conflict" if context.conflict else "order attached"
    add_event(session, kind, detail={"sender": context.sender, "reason": context.conflict}, now=now, study_id=study_id)
    return True


def with_news(session: Session) -> list[int]:
    """Studies whose order says something that no route was asked about since."""
    return list(session.scalars(select(StudyContextRow.study_id).where(text("study_contexts.news"))))


def take_news(session: Session, study_id: int) -> None:
    """The routes are asked in this transaction; what is told from now on is news again."""
    session.execute(update(StudyContextRow).where(StudyContextRow.study_id == study_id).values(news=False))


def conflicts_since(session: Session, since: datetime) -> dict[str, int]:
    """Sender -> studies whose orders were found to be of another patient since then."""
    return dict(session.execute(
        select(StudyContextRow.sender, func.count()).where(StudyContextRow.conflict != "", StudyContextRow.at >= since)
        .group_by(StudyContextRow.sender)
    ).all())


def forget(session: Session, before: datetime) -> int:
    """Messages and orders that came earlier are forgotten, but for orders of a study that is here; how many."""
    present = select(StudyRow.accession_number).where(StudyRow.accession_number.is_not(None))
    session.execute(delete(PatientChangeRow).where(PatientChangeRow.received_at < before))
    return affected(session, delete(MessageRow).where(MessageRow.received_at < before)) + affected(
        session, delete(OrderRow).where(OrderRow.received_at < before, OrderRow.accession_number.not_in(present))
    )


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()
