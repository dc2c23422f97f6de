"""Tables of images that are sent on, and of what they are called outside."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, BigKey, PlainText


class TransferRow(Base):
    """A received instance on its way to a destination. direction: ON as a route says, BACK from outside."""

    __tablename__ = "transfers"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    destination: Mapped[str] = mapped_column(Text)
    direction: Mapped[str] = mapped_column(String(4))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    status: Mapped[int | None]
    __table_args__ = (
        UniqueConstraint("instance_id", "destination"),
        Index("ix_transfers_state", "state", "destination", "due_at"),
    )


class PseudonymRow(Base):
    """What somebody or something is called outside, and, encrypted, what it is called here.

    domain: the destination. kind: patient, study, uid, or day within a study. sealed: opened by the secret alone, which
    is never in a database.
    """

    __tablename__ = "pseudonyms"
    domain: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(128), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    first_used_at: Mapped[datetime]


class ReidentificationRow(Base):
    """Append-only: who looked up whose pseudonym this is, when and what for. found: whether there is one."""

    __tablename__ = "reidentifications"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(PlainText)
    why: Mapped[str] = mapped_column(PlainText)
    domain: Mapped[str] = mapped_column(String(64))
    pseudonym: Mapped[str] = mapped_column(PlainText)
    found: Mapped[bool]
