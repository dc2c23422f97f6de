"""What an administrator orders by hand, beside a running node: it finds the rows and acts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from radnode.storage import outbox, results
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.loading import Configuration

log = structlog.get_logger(__name__)


def resend(
    configuration: Configuration, *, delivery_ids: Sequence[int] = (), job_id: int | None = None,
    destination: str | None = None, every: bool = False,
) -> list[int]:
    """Queue deliveries again, beside a running node: those named, and what was given up of a job, for a destination,
    or all of it; returns those that wait again.
    """
    database = Database(configuration.settings.effective_database_url)
    try:
        return queue_again(database, delivery_ids, job_id=job_id, destination=destination, every=every)
    finally:
        database.close()


def queue_again(
    database: Database, delivery_ids: Sequence[int] = (), *, job_id: int | None = None, destination: str | None = None,
    every: bool = False,
) -> list[int]:
    """As :func:`resend`, on a database that is open."""
    chosen = list(delivery_ids)
    with database.begin() as session:
        if every or job_id is not None or destination is not None:
            chosen += outbox.dead_deliveries(session, job_id=job_id, destination=destination)
        resent = outbox.resend(session, chosen, datetime.now(UTC))
    for delivery_id in resent:
        log.info("delivery.resent_by_hand", delivery=delivery_id)
    return resent


def offer_again(configuration: Configuration, destination: str) -> int:
    """Forget which result forms a destination refused, beside a running node; returns how many."""
    database = Database(configuration.settings.effective_database_url)
    try:
        return forget_refusals(database, destination)
    finally:
        database.close()


def forget_refusals(database: Database, destination: str) -> int:
    """As :func:`offer_again`, on a database that is open."""
    with database.begin() as session:
        return results.forget_refusals(session, destination)
