"""What only one of several processes may do: a lease on a name, with a fencing token.

A data folder is locked by its process (:meth:`radnode.storage.files.FileStore.lock`). These leases are for nodes with
folders of their own on one database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.tables import NodeLease

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session


DATABASE_LEASE = "node"
"""Who has it works on the database."""


def acquire(session: Session, name: str, owner: str, now: datetime, duration: timedelta) -> int | None:
    """Take the lease when it is free, has ended or is one's own; the token, or None while somebody else has it.

    The token rises with every success, also for the same owner: whoever acquires again has lost what he did before.
    """
    lease_until = now + duration
    statement = insert_for(session, NodeLease).values(name=name, owner=owner, token=1, lease_until=lease_until)
    token: int | None = session.scalar(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "token": NodeLease.token + 1, "lease_until": lease_until},
            where=or_(NodeLease.lease_until <= now, NodeLease.owner == owner),
        ).returning(NodeLease.token)
    )
    return token


def renew(session: Session, name: str, token: int, now: datetime, duration: timedelta) -> bool:
    """Prolong a lease that has not ended; False when it is lost."""
    return _change(session, name, token, now, now + duration)


def release(session: Session, name: str, token: int, now: datetime) -> bool:
    """Give the lease free at once; False when it was lost before."""
    return _change(session, name, token, now, now)


def held(session: Session, name: str, now: datetime) -> bool:
    """Whether somebody has the lease."""
    until = session.scalar(select(NodeLease.lease_until).where(NodeLease.name == name))
    return until is not None and until > now


def _change(session: Session, name: str, token: int, now: datetime, lease_until: datetime) -> bool:
    changed = affected(
        session,
        update(NodeLease)
        .where(NodeLease.name == name, NodeLease.token == token, NodeLease.lease_until > now)
        .values(lease_until=lease_until),
    )
    return changed == 1
