"""The tables of work items and of what others say was performed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class WorkItemRow(Base):
    """A Unified Procedure Step (PS3.4 Annex CC). `version` rises with every change.

    content: its attributes in the DICOM JSON model, but the Transaction UID. transaction_uid: of who has it in hands;
    `own`: that is this node. jobs: ids of the jobs that perform it; begun: those of them that were inserted for it.
    cancel_asked: somebody asked for its end, with this cancel_reason.
    manager: whose worklist it is on, empty for ours; told: the version that the manager was told of last.
    """

    __tablename__ = "work_items"
    uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    version: Mapped[int]
    content: Mapped[dict[str, Any]]
    transaction_uid: Mapped[str | None] = mapped_column(String(64))
    own: Mapped[bool]
    route: Mapped[str] = mapped_column(Text)
    study_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    jobs: Mapped[list[Any]]
    begun: Mapped[list[Any]] = mapped_column(server_default="[]")
    cancel_asked: Mapped[bool]
    cancel_reason: Mapped[str] = mapped_column(PlainText, server_default="")
    progress: Mapped[str] = mapped_column(PlainText)
    manager: Mapped[str] = mapped_column(Text)
    told: Mapped[int]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime] = mapped_column(index=True)


class PerformedRow(Base):
    """What a peer says of a study: a Modality Performed Procedure Step, or what is available (PS3.4 Annexes F, R).

    references: SOP instances by series, as [[series, [instance, …]], …].
    """

    __tablename__ = "performed"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Text)
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText)
    references: Mapped[list[Any]]
    received_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("source", "kind", "sop_instance_uid", "study_instance_uid"),
        Index("ix_performed_study", "study_instance_uid"),
    )
