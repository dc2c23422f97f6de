"""The outbox: each result object on its way to each destination, sent as the same bytes until it has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from radnode.storage.catalog import add_event, affected
from radnode.storage.jobs import JobState
from radnode.storage.tables import DeliveryRow, JobInputRow, JobRow, ResultObjectRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Row, Select
    from sqlalchemy.orm import Session


class DeliveryLost(Exception):
    """The lease on the delivery ended; somebody else decides on it now."""


class DeliveryState(StrEnum):
    """SENT: the destination said Success. CONFIRMED: it was found there. DEAD: refused for good, resend by hand.

    REPLACED: refused, and sent in another form instead.
    """

    WAITING = "WAITING"
    SENDING = "SENDING"
    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    DEAD = "DEAD"
    WITHDRAWN = "WITHDRAWN"
    REPLACED = "REPLACED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One object for one destination, leased (`token`) or to be confirmed."""

    delivery_id: int
    job_id: int
    token: int
    destination: str
    form: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    digest: str
    size_bytes: int
    attempts: int
    created_at: datetime
    sent_at: datetime | None


def destinations_due(session: Session, now: datetime) -> list[str]:
    """Destinations that something could be sent to now."""
    return list(session.scalars(select(DeliveryRow.destination).distinct().where(_due(now))))


def destinations_waiting(session: Session) -> list[str]:
    """Destinations that something waits for, due or not."""
    return list(
        session.scalars(select(DeliveryRow.destination).distinct().where(DeliveryRow.state == DeliveryState.WAITING))
    )


def aim(session: Session, destination: str, target: str) -> None:
    """What was queued for a destination is meant for this machine; what was aimed already stays as it is (R16)."""
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.WAITING,
            DeliveryRow.target.is_(None),
        )
        .values(target=target)
    )


def postpone(session: Session, destination: str, until: datetime, reason: str) -> int:
    """Nothing that waits for a destination is tried before `until`; one statement, however much waits."""
    return affected(
        session,
        update(DeliveryRow)
        .where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.WAITING,
            DeliveryRow.due_at < until,
        )
        .values(due_at=until, reason=reason),
    )


def hasten(session: Session, now: datetime, longest_wait: timedelta) -> None:
    """Nothing waits longer than that: a later time was written before the clock was set back (N17)."""
    too_late = now + longest_wait
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.state == DeliveryState.WAITING, DeliveryRow.due_at > too_late)
        .values(due_at=now)
    )
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.state == DeliveryState.SENT, DeliveryRow.confirm_at > too_late)
        .values(confirm_at=now)
    )


def bury(
    session: Session, destination: str, reason: str, now: datetime, *, limit: int,
    aimed_elsewhere_than: str | None = None, created_before: datetime | None = None,
) -> list[int]:
    """What waits for a destination, and only what both conditions say, is dead; at most `limit`, their ids."""
    which = [DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.WAITING]
    if aimed_elsewhere_than is not None:
        which.append(DeliveryRow.target != aimed_elsewhere_than)
    if created_before is not None:
        which.append(DeliveryRow.created_at <= created_before)
    rows = session.execute(_deliveries().where(*which).order_by(DeliveryRow.id).limit(limit)).all()
    buried = []
    for row in rows:
        delivery = _delivery(row)
        # What refers to an earlier one of these was buried with it.
        if session.get_one(DeliveryRow, delivery.delivery_id, populate_existing=True).state == DeliveryState.WAITING:
            dead(session, delivery, reason, now, was=DeliveryState.WAITING)
            buried.append(delivery.delivery_id)
    return buried


def encodings_waiting(session: Session, destination: str) -> set[tuple[str, str]]:
    """(SOP class, transfer syntax) of what waits for a destination, so that one association can carry it all."""
    rows = session.execute(
        select(ResultObjectRow.sop_class_uid, ResultObjectRow.transfer_syntax_uid).distinct()
        .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
        .where(DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.WAITING)
    )
    return {(sop_class_uid, transfer_syntax_uid) for sop_class_uid, transfer_syntax_uid in rows}


def lease_due(session: Session, destination: str, now: datetime, duration: timedelta) -> Delivery | None:
    """The next due object; one that was tried less often goes first, so that none that fails holds up the others."""
    row = session.execute(
        _deliveries()
        .where(DeliveryRow.destination == destination, _due(now))
        .order_by(DeliveryRow.attempts, DeliveryRow.job_id, DeliveryRow.send_order)
        .limit(1)
        .with_for_update(skip_locked=True, of=DeliveryRow)
    ).first()
    if row is None:
        return None
    delivery = _delivery(row)
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.WAITING, DeliveryState.SENDING,
          token=delivery.token + 1, lease_until=now + duration, attempts=DeliveryRow.attempts + 1)
    return _get(session, delivery.delivery_id)


def sent(session: Session, delivery: Delivery, status: int, now: datetime) -> None:
    """The destination answered Success or a warning. Raises :class:`DeliveryLost`."""
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENDING, DeliveryState.SENT,
          status=status, sent_at=now, confirm_at=now, reason="", lease_until=None)
    _event(session, delivery, "result sent", {"status": f"0x{status:04X}"}, now)


def retry(session: Session, delivery: Delivery, reason: str, due_at: datetime) -> None:
    """Wait and send the same bytes again. Raises :class:`DeliveryLost`."""
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENDING, _waiting_or_withdrawn(),
          reason=reason, due_at=due_at, lease_until=None)


def dead(
    session: Session, delivery: Delivery, reason: str, now: datetime, *, was: DeliveryState = DeliveryState.SENDING
) -> None:
    """The destination will never take it, nor then what refers to it (R9). Raises :class:`DeliveryLost`."""
    _move(session, delivery.delivery_id, delivery.token, was, DeliveryState.DEAD,
          reason=reason, lease_until=None)
    _event(session, delivery, "result refused", {"reason": reason}, now)
    _bury_what_refers_to(session, delivery, now)


def replaced(session: Session, delivery: Delivery, status: int | None, reason: str) -> None:
    """The destination does not take this form and gets another. status: None if none was answered.

    Raises :class:`DeliveryLost`.
    """
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENDING, DeliveryState.REPLACED,
          status=status, reason=reason, lease_until=None)


def confirmed(session: Session, delivery: Delivery, now: datetime, how: str) -> None:
    """The object was found at the destination."""
    changed = affected(
        session,
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery.delivery_id, DeliveryRow.state == DeliveryState.SENT)
        .values(state=DeliveryState.CONFIRMED, confirmed_at=now, confirmed_how=how),
    )
    if changed:
        _event(session, delivery, "result confirmed", {"how": how}, now)


def images_referred_to(session: Session, delivery: Delivery) -> tuple[str, int] | None:
    """(Series Instance UID, instances) that the job of a delivery read; None when an object of it was found before."""
    found_before = session.scalar(
        select(func.count()).where(
            DeliveryRow.job_id == delivery.job_id, DeliveryRow.destination == delivery.destination,
            DeliveryRow.state == DeliveryState.CONFIRMED,
        )
    )
    if found_before:
        return None
    series_instance_uid, number = session.execute(
        select(SeriesRow.series_instance_uid, func.count(JobInputRow.instance_id))
        .join(JobRow, JobRow.series_id == SeriesRow.id)
        .join(JobInputRow, JobInputRow.job_id == JobRow.id)
        .where(JobRow.id == delivery.job_id)
        .group_by(SeriesRow.series_instance_uid)
    ).one()
    return series_instance_uid, number


def lacks_images(session: Session, delivery: Delivery, listed: int, number: int, now: datetime) -> None:
    """The destination lists fewer images than the result was made of (R12): for the timeline."""
    _event(session, delivery, "images missing at destination", {"listed": listed, "referred_to": number}, now)


def postpone_confirmation(session: Session, delivery: Delivery, confirm_at: datetime) -> None:
    """Ask again later."""
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery.delivery_id, DeliveryRow.state == DeliveryState.SENT)
        .values(confirm_at=confirm_at)
    )


def postpone_confirmations(session: Session, destination: str, until: datetime) -> None:
    """Nothing is looked for at this destination before `until`."""
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.confirm_at < until,
        )
        .values(confirm_at=until)
    )


def not_found(session: Session, delivery: Delivery, reason: str, due_at: datetime) -> None:
    """The destination answered Success but does not list it (R7): send the same bytes again.

    Its age stays, so that it is given up one day. Raises :class:`DeliveryLost`.
    """
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENT, _waiting_or_withdrawn(),
          reason=reason, due_at=due_at)


def unconfirmed(session: Session, now: datetime, destination: str, limit: int) -> list[Delivery]:
    """What was sent to a destination and is due to be looked for there."""
    rows = session.execute(
        _deliveries()
        .where(
            DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.confirm_at <= now,
            DeliveryRow.destination == destination,
        )
        .order_by(DeliveryRow.confirm_at)
        .limit(limit)
    )
    return [_delivery(row) for row in rows]


def unproven(session: Session, sent_before: datetime) -> dict[str, int]:
    """How many deliveries were answered with Success, long enough ago to be listed, and were not found; by destination.

    The last answer counts; what waits to be sent again after such an answer counts at once.
    """
    again = and_(
        DeliveryRow.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)), DeliveryRow.sent_at.is_not(None)
    )
    late = and_(DeliveryRow.state == DeliveryState.SENT, DeliveryRow.sent_at <= sent_before)
    rows = session.execute(
        select(DeliveryRow.destination, func.count()).where(or_(again, late)).group_by(DeliveryRow.destination)
    )
    return dict(rows.all())


def sent_again(session: Session) -> set[str]:
    """Destinations that were sent something more than once and were not found to list it yet."""
    return set(
        session.scalars(
            select(DeliveryRow.destination).distinct()
            .where(DeliveryRow.state == DeliveryState.SENT, DeliveryRow.attempts > 1)
        )
    )


def resend(session: Session, delivery_ids: Sequence[int], now: datetime) -> list[int]:
    """Send again what is dead, or what was sent and is not there: same object, same UID; returns which will be.

    By hand: its time begins anew, else what died of age would die again at the first failure, and it goes to the
    destination as that is configured now. What a later revision replaced stays where it is, and so does what refers to
    an object that is dead and not among these (R9).
    """
    withheld = _refer_to_the_dead(session, delivery_ids)
    chosen = session.execute(
        _deliveries().where(
            DeliveryRow.id.in_(set(delivery_ids) - withheld),
            DeliveryRow.state.in_((DeliveryState.DEAD, DeliveryState.SENT)),
            ~_superseded(),
        )
    ).all()
    said = {row[0].id: row[0].reason for row in chosen}
    resent = []
    for row in chosen:
        delivery = _delivery(row)
        changed = affected(
            session,
            update(DeliveryRow)
            .where(DeliveryRow.id == delivery.delivery_id, DeliveryRow.state == row[0].state)
            .values(state=DeliveryState.WAITING, due_at=now, created_at=now, attempts=0, reason="", sent_at=None,
                    target=None),
        )
        if changed:
            _event(session, delivery, "result sent again by hand", {"reason": said[delivery.delivery_id]}, now)
            resent.append(delivery.delivery_id)
    return resent


def dead_deliveries(
    session: Session, *, job_id: int | None = None, destination: str | None = None
) -> list[int]:
    """Ids of what was given up: of one job, for one destination, or all."""
    which = [DeliveryRow.state == DeliveryState.DEAD]
    if job_id is not None:
        which.append(DeliveryRow.job_id == job_id)
    if destination is not None:
        which.append(DeliveryRow.destination == destination)
    return list(session.scalars(select(DeliveryRow.id).where(*which).order_by(DeliveryRow.id)))


def partially_delivered(session: Session) -> int:
    """Of how many jobs a destination has some objects while others were given up (R9)."""
    arrived = aliased(DeliveryRow)
    pairs = (
        select(DeliveryRow.job_id, DeliveryRow.destination).distinct()
        .where(
            DeliveryRow.state == DeliveryState.DEAD,
            exists().where(
                arrived.job_id == DeliveryRow.job_id, arrived.destination == DeliveryRow.destination,
                arrived.state.in_((DeliveryState.SENT, DeliveryState.CONFIRMED)),
            ),
        )
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(pairs)) or 0


def counts(session: Session) -> dict[tuple[str, str], int]:
    """(destination, state) -> deliveries."""
    rows = session.execute(
        select(DeliveryRow.destination, DeliveryRow.state, func.count())
        .group_by(DeliveryRow.destination, DeliveryRow.state)
    )
    return {(destination, state): number for destination, state, number in rows}


def give_back(session: Session, now: datetime) -> int:
    """Whatever was being sent waits again. Only for a process that has just started and alone holds the data folder."""
    return _wait_again(session, now, DeliveryRow.state == DeliveryState.SENDING)


def reap(session: Session, now: datetime) -> int:
    """Sendings whose lease has ended wait again."""
    return _wait_again(session, now, and_(DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.lease_until < now))


def _wait_again(session: Session, now: datetime, which: ColumnElement[bool]) -> int:
    return affected(
        session,
        update(DeliveryRow).where(which).values(state=_waiting_or_withdrawn(), due_at=now, lease_until=None),
    )


def _due(now: datetime) -> ColumnElement[bool]:
    """What can be sent now. What refers to another object waits until that one was stored (SEG before SR)."""
    earlier = aliased(DeliveryRow)
    referred_waits = exists().where(
        earlier.job_id == DeliveryRow.job_id,
        earlier.destination == DeliveryRow.destination,
        earlier.send_order < DeliveryRow.send_order,
        earlier.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)),
    )
    return and_(DeliveryRow.state == DeliveryState.WAITING, DeliveryRow.due_at <= now, ~referred_waits)


def _superseded() -> ColumnElement[bool]:
    job = aliased(JobRow)
    return exists().where(job.id == DeliveryRow.job_id, job.state == JobState.SUPERSEDED)


def _waiting_or_withdrawn() -> ColumnElement[str]:
    """Where a delivery goes that did not arrive: a later revision may have come while it was on its way."""
    return case((_superseded(), DeliveryState.WITHDRAWN), else_=DeliveryState.WAITING)


def _bury_what_refers_to(session: Session, dead_delivery: Delivery, now: datetime) -> None:
    """A report on a segmentation that is not there misleads whoever opens it."""
    job_id = select(DeliveryRow.job_id).where(DeliveryRow.id == dead_delivery.delivery_id).scalar_subquery()
    later = session.execute(
        _deliveries()
        .where(
            DeliveryRow.job_id == job_id,
            DeliveryRow.destination == dead_delivery.destination,
            DeliveryRow.state == DeliveryState.WAITING,
        )
        .order_by(DeliveryRow.send_order)
    ).all()
    buried = {dead_delivery.sop_instance_uid: dead_delivery.form}
    for row in later:
        _, result_object, _ = row
        if not (missing := buried.keys() & set(result_object.references)):
            continue
        delivery = _delivery(row)
        reason = f"it refers to the {buried[min(missing)]} object that {delivery.destination} does not have"
        _move(session, delivery.delivery_id, delivery.token, DeliveryState.WAITING, DeliveryState.DEAD, reason=reason)
        _event(session, delivery, "result refused", {"reason": reason}, now)
        buried[delivery.sop_instance_uid] = delivery.form


def _refer_to_the_dead(session: Session, delivery_ids: Sequence[int]) -> set[int]:
    """Those of the deliveries that refer to a dead object of the same job and destination, which stays dead."""
    jobs = select(DeliveryRow.job_id).where(DeliveryRow.id.in_(delivery_ids))
    rows = session.execute(
        _deliveries().where(DeliveryRow.job_id.in_(jobs)).order_by(DeliveryRow.send_order)
    ).all()
    missing: set[tuple[int, str, str]] = set()
    withheld = set()
    for delivery, result_object, _ in rows:
        if delivery.id in delivery_ids:
            if any((delivery.job_id, delivery.destination, uid) in missing for uid in result_object.references):
                withheld.add(delivery.id)
            else:
                continue
        if delivery.state == DeliveryState.DEAD:
            missing.add((delivery.job_id, delivery.destination, result_object.sop_instance_uid))
    return withheld


def _move(
    session: Session,
    delivery_id: int,
    expected_token: int,
    old: DeliveryState,
    new: DeliveryState | ColumnElement[str],
    **values: Any,
) -> None:
    changed = affected(
        session,
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery_id, DeliveryRow.state == old, DeliveryRow.token == expected_token)
        .values(state=new, **values),
    )
    if changed != 1:
        raise DeliveryLost(f"delivery {delivery_id} is not {old} under token {expected_token}")


def _deliveries() -> Select[DeliveryRow, ResultObjectRow, str]:
    return (
        select(DeliveryRow, ResultObjectRow, StudyRow.study_instance_uid)
        .join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id)
        .join(JobRow, JobRow.id == DeliveryRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .execution_options(populate_existing=True)
    )


def _get(session: Session, delivery_id: int) -> Delivery:
    return _delivery(session.execute(_deliveries().where(DeliveryRow.id == delivery_id)).one())


def _delivery(row: Row[DeliveryRow, ResultObjectRow, str]) -> Delivery:
    delivery, result_object, study_instance_uid = row
    return Delivery(
        delivery_id=delivery.id,
        job_id=delivery.job_id,
        token=delivery.token,
        destination=delivery.destination,
        form=result_object.form,
        sop_class_uid=result_object.sop_class_uid,
        transfer_syntax_uid=result_object.transfer_syntax_uid,
        sop_instance_uid=result_object.sop_instance_uid,
        series_instance_uid=result_object.series_instance_uid,
        study_instance_uid=study_instance_uid,
        digest=result_object.digest,
        size_bytes=result_object.size_bytes,
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        sent_at=delivery.sent_at,
    )


def _event(session: Session, delivery: Delivery, kind: str, detail: dict[str, Any], now: datetime) -> None:
    job_id, study_id, series_id = session.execute(
        select(JobRow.id, JobRow.study_id, JobRow.series_id)
        .join(DeliveryRow, DeliveryRow.job_id == JobRow.id)
        .where(DeliveryRow.id == delivery.delivery_id)
    ).one()
    detail = {"form": delivery.form, "destination": delivery.destination, **detail}
    add_event(session, kind, detail=detail, now=now, study_id=study_id, series_id=series_id, job_id=job_id)
