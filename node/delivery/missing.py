"""What a destination answered Success to and does not have."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.delivery import backoff
from radnode.storage import outbox
from radnode.storage.outbox import DeliveryState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.node.observability import Metrics
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)


def send_again(session: Session, delivery: Delivery, reason: str, now: datetime, metrics: Metrics) -> None:
    """The same bytes once more, or, when that was in vain for too long, never again.

    The first time at once: the next time it has already been sent twice in vain. Raises
    :class:`~radnode.storage.outbox.DeliveryLost`.
    """
    if now - delivery.created_at >= backoff.HORIZON:
        give_up(session, delivery, reason, now, metrics)
        return
    wait = backoff.next_wait(delivery.attempts - 1, backoff.jitter()) if delivery.attempts > 1 else timedelta()
    outbox.not_found(session, delivery, reason, now + wait)
    metrics.deliveries.labels(delivery.destination, "missing").inc()
    log.error("delivery.missing", delivery=delivery.delivery_id, destination=delivery.destination, reason=reason)


def give_up(session: Session, delivery: Delivery, reason: str, now: datetime, metrics: Metrics) -> None:
    """It was sent, and its arrival is not proven in any way. Raises :class:`~radnode.storage.outbox.DeliveryLost`."""
    outbox.dead(session, delivery, reason, now, was=DeliveryState.SENT)
    metrics.deliveries.labels(delivery.destination, "dead").inc()
    log.error("delivery.dead", delivery=delivery.delivery_id, destination=delivery.destination, reason=reason)
