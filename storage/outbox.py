"""The outbox: each result object on its way to each destination, sent as the same bytes until it has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, exists, func, select, update
from sqlalchemy.orm import aliased

from radnode.storage.catalog import add_event, affected
from radnode.storage.jobs import JobState
from radnode.storage.tables import CommitmentRow, DeliveryRow, JobRow, ResultObjectRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Row, Select
    from sqlalchemy.orm import Session


_Earlier, _Job = aliased(DeliveryRow), aliased(JobRow)  # once: to make one takes as long as to ask with it

OTHER_PATIENT = "held back"
"""How the reason begins of what is dead because its destination has the study under another patient (I5)."""


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


class Proof(StrEnum):
    """What the arrival of a SENT delivery waits for where its destination takes storage commitment; None: to be asked.

    REPORT: its destination was asked and reports. LISTING: it is looked for by C-FIND, as where there is no commitment.
    """

    REPORT = "REPORT"
    LISTING = "LISTING"


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
    asked_at: datetime | None
    released: bool


def destinations_due(session: Session, now: datetime) -> list[str]:
    """Destinations that something could be sent to now."""
    return list(session.scalars(select(DeliveryRow.destination).distinct().where(_due(now))))


def study_of(session: Session, delivery: Delivery) -> int:
    """The study that a result was made of."""
    return session.execute(select(JobRow.study_id).where(JobRow.id == delivery.job_id)).scalar_one()


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
    session.execute(update(DeliveryRow).where(DeliveryRow.asked_at > too_late).values(asked_at=now))
    session.execute(update(CommitmentRow).where(CommitmentRow.asked_at > too_late).values(asked_at=now))


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
    rows = session.execute(deliveries().where(*which).order_by(DeliveryRow.id).limit(limit)).all()
    buried = []
    for row in rows:
        delivery = delivery_of(row)
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
    next_one = (
        deliveries()
        .where(DeliveryRow.destination == destination, _due(now))
        .order_by(DeliveryRow.attempts, DeliveryRow.job_id, DeliveryRow.send_order)
        .limit(1)
        .with_for_update(skip_locked=True, of=DeliveryRow)
    )
    while (row := session.execute(next_one).first()) is not None:
        delivery = delivery_of(row)
        if _went_with_what_it_refers_to(session, delivery, row[1].references, now):
            continue
        _move(session, delivery.delivery_id, delivery.token, DeliveryState.WAITING, DeliveryState.SENDING,
              token=delivery.token + 1, lease_until=now + duration, attempts=DeliveryRow.attempts + 1)
        return _get(session, delivery.delivery_id)
    return None


def sent(session: Session, delivery: Delivery, status: int, now: datetime) -> None:
    """The destination answered Success or a warning. Raises :class:`DeliveryLost`."""
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENDING, DeliveryState.SENT,
          status=status, sent_at=now, confirm_at=now, reason="", lease_until=None, transaction_uid=None, asked_at=None,
          proof=None)
    tell(session, delivery, "result sent", {"status": f"0x{status:04X}"}, now)


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
    tell(session, delivery, "result refused", {"reason": reason}, now)
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
        tell(session, delivery, "result confirmed", {"how": how}, now)


def not_found(session: Session, delivery: Delivery, reason: str, due_at: datetime) -> None:
    """The destination answered Success but does not list it (R7): send the same bytes again.

    Its age stays, so that it is given up one day. Raises :class:`DeliveryLost`.
    """
    _move(session, delivery.delivery_id, delivery.token, DeliveryState.SENT, _waiting_or_withdrawn(),
          reason=reason, due_at=due_at)


def resend(
    session: Session, delivery_ids: Sequence[int], now: datetime, *, by: str = "", lost: bool = False
) -> list[int]:
    """Send again what is dead, or what was sent and is not there: same object, same UID; returns which will be.

    lost: also what was found there once, because somebody knows that it is not there any more.

    By hand: its time begins anew, else what died of age would die again at the first failure, and it goes to the
    destination as that is configured now. What a later revision replaced stays where it is, and so does what refers to
    an object that is dead and not among these (R9).
    """
    withheld = _refer_to_the_dead(session, delivery_ids)
    again = [DeliveryState.DEAD, DeliveryState.SENT, *([DeliveryState.CONFIRMED] if lost else [])]
    chosen = session.execute(
        deliveries().where(
            DeliveryRow.id.in_(set(delivery_ids) - withheld),
            DeliveryRow.state.in_(again),
            ~_superseded(),
        ).order_by(DeliveryRow.id)
    ).all()
    said = {row[0].id: row[0].reason for row in chosen}
    held_back = {(row[0].job_id, row[0].destination) for row in chosen if row[0].reason.startswith(OTHER_PATIENT)}
    resent = []
    for row in chosen:
        delivery = delivery_of(row)
        changed = affected(
            session,
            update(DeliveryRow)
            .where(DeliveryRow.id == delivery.delivery_id, DeliveryRow.state == row[0].state)
            .values(state=DeliveryState.WAITING, due_at=now, created_at=now, attempts=0, reason="", sent_at=None,
                    confirmed_at=None, confirmed_how=None, target=None,
                    released_at=now if (row[0].job_id, row[0].destination) in held_back else None),
        )
        if changed:
            detail = {"reason": said[delivery.delivery_id], **({"by": by} if by else {})}
            tell(session, delivery, "result sent again by hand", detail, now)
            resent.append(delivery.delivery_id)
    return resent


def dead_deliveries(
    session: Session, *, job_id: int | None = None, destination: str | None = None
) -> list[int]:
    """Ids of what was given up: of one job, for one destination, or all.

    What was held back for its patient is among those of its job only: it is released one by one.
    """
    which = [DeliveryRow.state == DeliveryState.DEAD]
    if job_id is not None:
        which.append(DeliveryRow.job_id == job_id)
    else:
        which.append(~DeliveryRow.reason.startswith(OTHER_PATIENT))
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
    referred_waits = exists().where(
        _Earlier.job_id == DeliveryRow.job_id,
        _Earlier.destination == DeliveryRow.destination,
        _Earlier.send_order < DeliveryRow.send_order,
        _Earlier.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)),
    )
    return and_(DeliveryRow.state == DeliveryState.WAITING, DeliveryRow.due_at <= now, ~referred_waits)


def _superseded() -> ColumnElement[bool]:
    return exists().where(_Job.id == DeliveryRow.job_id, _Job.state == JobState.SUPERSEDED)


def _waiting_or_withdrawn() -> ColumnElement[str]:
    """Where a delivery goes that did not arrive: a later revision may have come while it was on its way."""
    return case((_superseded(), DeliveryState.WITHDRAWN), else_=DeliveryState.WAITING)


def _bury_what_refers_to(session: Session, dead_delivery: Delivery, now: datetime) -> None:
    """A report on a segmentation that is not there misleads whoever opens it."""
    job_id = select(DeliveryRow.job_id).where(DeliveryRow.id == dead_delivery.delivery_id).scalar_subquery()
    later = session.execute(
        deliveries()
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
        delivery = delivery_of(row)
        reason = _refers_to_nothing(buried[min(missing)], delivery.destination)
        _move(session, delivery.delivery_id, delivery.token, DeliveryState.WAITING, DeliveryState.DEAD, reason=reason)
        tell(session, delivery, "result refused", {"reason": reason}, now)
        buried[delivery.sop_instance_uid] = delivery.form


def _went_with_what_it_refers_to(
    session: Session, delivery: Delivery, references: Sequence[str], now: datetime
) -> bool:
    """Whether it refers to what was given up, or replaced, while it was itself on its way; then it is so as well (R9).

    The sender and who confirms are two threads.
    """
    if not references:
        return False
    gone = dict(
        session.execute(
            select(DeliveryRow.state, ResultObjectRow.form)
            .join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id)
            .where(
                DeliveryRow.job_id == delivery.job_id, DeliveryRow.destination == delivery.destination,
                DeliveryRow.state.in_((DeliveryState.DEAD, DeliveryState.REPLACED)),
                ResultObjectRow.sop_instance_uid.in_(references),
            )
        ).all()
    )
    if form := gone.get(DeliveryState.DEAD):
        dead(session, delivery, _refers_to_nothing(form, delivery.destination), now, was=DeliveryState.WAITING)
    elif form := gone.get(DeliveryState.REPLACED):
        _move(session, delivery.delivery_id, delivery.token, DeliveryState.WAITING, DeliveryState.REPLACED,
              reason=f"the {form} object that it refers to was replaced")
    return bool(gone)


def _refers_to_nothing(form: str, destination: str) -> str:
    return f"it refers to the {form} object that {destination} does not have"


def _refer_to_the_dead(session: Session, delivery_ids: Sequence[int]) -> set[int]:
    """Those of the deliveries that refer to a dead object of the same job and destination, which stays dead."""
    jobs = select(DeliveryRow.job_id).where(DeliveryRow.id.in_(delivery_ids))
    rows = session.execute(
        deliveries().where(DeliveryRow.job_id.in_(jobs)).order_by(DeliveryRow.send_order)
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


def deliveries() -> Select[DeliveryRow, ResultObjectRow, str]:
    """Rows from which :func:`delivery_of` makes deliveries."""
    return (
        select(DeliveryRow, ResultObjectRow, StudyRow.study_instance_uid)
        .join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id)
        .join(JobRow, JobRow.id == DeliveryRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .execution_options(populate_existing=True)
    )


def _get(session: Session, delivery_id: int) -> Delivery:
    return delivery_of(session.execute(deliveries().where(DeliveryRow.id == delivery_id)).one())


def delivery_of(row: Row[DeliveryRow, ResultObjectRow, str]) -> Delivery:
    """A delivery from its row."""
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
        asked_at=delivery.asked_at,
        released=delivery.released_at is not None,
    )


def tell(session: Session, delivery: Delivery, kind: str, detail: dict[str, Any], now: datetime) -> None:
    """Something happened to a delivery: for the timeline of its study."""
    detail = {"form": delivery.form, "destination": delivery.destination, **detail}
    add_event(session, kind, detail=detail, now=now, job_id=delivery.job_id)
