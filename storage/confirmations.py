"""What was sent and is to be looked for at its destination by C-FIND."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select, update

from radnode.storage import outbox
from radnode.storage.outbox import DeliveryState, Proof
from radnode.storage.tables import DeliveryRow, JobInputRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.outbox import Delivery


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
    outbox.tell(session, delivery, "images missing at destination", {"listed": listed, "referred_to": number}, now)


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


def unconfirmed(
    session: Session, now: datetime, destination: str, limit: int, *, uncommitted: bool = False
) -> list[Delivery]:
    """What was sent to a destination and is due to be looked for there.

    uncommitted: only what it does not commit to.
    """
    which = [DeliveryRow.proof == Proof.LISTING] if uncommitted else []
    rows = session.execute(
        outbox.deliveries()
        .where(
            DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.confirm_at <= now,
            DeliveryRow.destination == destination,
            *which,
        )
        .order_by(DeliveryRow.confirm_at)
        .limit(limit)
    )
    return [outbox.delivery_of(row) for row in rows]


def unproven(session: Session, sent_before: datetime, *, committing: Collection[str] = ()) -> dict[str, int]:
    """How many deliveries were answered with Success, long enough ago to be listed, and were not found; by destination.

    The last answer counts; what waits to be sent again after such an answer counts at once.
    committing: destinations that take storage commitment; of these only what is looked for by C-FIND is late.
    """
    again = and_(
        DeliveryRow.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)), DeliveryRow.sent_at.is_not(None)
    )
    late = and_(
        DeliveryRow.state == DeliveryState.SENT, DeliveryRow.sent_at <= sent_before,
        or_(DeliveryRow.destination.not_in(committing), DeliveryRow.proof == Proof.LISTING),
    )
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
