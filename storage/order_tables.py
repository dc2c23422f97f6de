"""The tables of messages, and of the orders they told. Typed rows, constraints and indexes; no behaviour."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class MessageRow(Base):
    """A message of HL7 v2 that was taken. control_id: its MSH-10, once for each sender and application (MSH-3, MSH-4).

    digest: of its content without MSH, which says when it was sent.
    """

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str] = mapped_column(PlainText)
    application: Mapped[str] = mapped_column(PlainText)
    facility: Mapped[str] = mapped_column(PlainText)
    control_id: Mapped[str] = mapped_column(PlainText)
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(index=True)
    __table_args__ = (UniqueConstraint("sender", "application", "facility", "control_id"),)


class OrderRow(Base):
    """What was last told of an order. patients: identifiers, each [id, authority, universal id].

    number: placer's or filler's, what tells two orders under one Accession Number apart. said_at: when its message was
    written (MSH-7), so that an older one that comes late changes nothing.
    """

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str] = mapped_column(PlainText)
    accession_number: Mapped[str] = mapped_column(PlainText, index=True)
    number: Mapped[str] = mapped_column(PlainText)
    patients: Mapped[list[Any]]
    birth_date: Mapped[str] = mapped_column(PlainText)
    cancelled: Mapped[bool]
    priority: Mapped[str] = mapped_column(PlainText)
    reason: Mapped[str] = mapped_column(PlainText)
    procedure: Mapped[str] = mapped_column(PlainText)
    patient_class: Mapped[str] = mapped_column(PlainText)
    said_at: Mapped[str] = mapped_column(PlainText)
    received_at: Mapped[datetime] = mapped_column(index=True)
    __table_args__ = (UniqueConstraint("sender", "accession_number", "number"),)


class PatientChangeRow(Base):
    """What was told of a patient: A08, A40 and the like. patients, priors: identifiers as in :class:`OrderRow`."""

    __tablename__ = "patient_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    event: Mapped[str] = mapped_column(String(8))
    patients: Mapped[list[Any]]
    priors: Mapped[list[Any]]
    received_at: Mapped[datetime]


class MergedPatientRow(Base):
    """A patient's identifier that a merge took out of use, and those that take its place, as in :class:`OrderRow`."""

    __tablename__ = "merged_patients"
    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str] = mapped_column(PlainText)
    patient_id: Mapped[str] = mapped_column(PlainText)
    authority: Mapped[str] = mapped_column(PlainText)
    universal_id: Mapped[str] = mapped_column(PlainText)
    survivors: Mapped[list[Any]]
    at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("patient_id", "authority", "universal_id"),)


class StudyContextRow(Base):
    """What orders say about a study. conflict: why they are not taken for its own, empty if they are.

    news: routes that ask for it have not been asked again since it was told.
    """

    __tablename__ = "study_contexts"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    sender: Mapped[str] = mapped_column(PlainText)
    context: Mapped[dict[str, Any]]
    conflict: Mapped[str] = mapped_column(PlainText)
    at: Mapped[datetime]
    news: Mapped[bool] = mapped_column(server_default=text("false"))
    __table_args__ = (
        Index("ix_study_contexts_news", "study_id", sqlite_where=text("news"), postgresql_where=text("news")),
    )
