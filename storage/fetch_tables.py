"""The tables of what the node fetches by itself. Typed rows, constraints and indexes; no behaviour."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class FetchState(StrEnum):
    """Where a fetch is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    INCOMPLETE = "INCOMPLETE"
    COMPLETE = "COMPLETE"
    GIVEN_UP = "GIVEN_UP"
    REFUSED = "REFUSED"


class FetchRow(Base):
    """A study that is wanted of an archive, and how far it came.

    purpose: "study", or "prior" for one that is fetched to be compared with and is not routed. pull: whose hours it
    keeps, None for what was asked by hand or as a prior. patient_id, issuer: of whom it must be, None: of anybody.
    modalities: of the series that are wanted, empty for all. listed: instances of the study when it was asked for.
    expected: series -> instances that the archive lists. arrived, lacking: instances of these, when it last ended.
    """

    __tablename__ = "fetches"
    id: Mapped[int] = mapped_column(primary_key=True)
    archive: Mapped[str] = mapped_column(Text)
    study_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    purpose: Mapped[str] = mapped_column(String(8))
    wanted_by: Mapped[str] = mapped_column(Text)
    pull: Mapped[str | None] = mapped_column(Text)
    patient_id: Mapped[str | None] = mapped_column(PlainText)
    issuer: Mapped[str | None] = mapped_column(PlainText)
    modalities: Mapped[list[Any]]
    listed: Mapped[int | None]
    expected: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    arrived: Mapped[int] = mapped_column(default=0)
    lacking: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[datetime]
    wanted_at: Mapped[datetime]
    due_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("archive", "study_instance_uid"),
        Index("ix_fetches_state", "state", "due_at"),
    )


class PullRow(Base):
    """When a pull of the configuration last asked its archive, and what it was told."""

    __tablename__ = "pulls"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    found: Mapped[int] = mapped_column(default=0)
    new: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(PlainText, default="")
    failures: Mapped[int] = mapped_column(default=0)


class PriorSearchRow(Base):
    """The priors that a job waits for, until it has them or `until`.

    wanted: how many of which kind (:class:`~radnode.storage.priors.Wanted`). fetches: ids, once the archive was asked.
    remarks: what the result says about it.
    """

    __tablename__ = "prior_searches"
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True, autoincrement=False)
    archive: Mapped[str] = mapped_column(Text)
    wanted: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    fetches: Mapped[list[Any]]
    remarks: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(PlainText, default="")
    due_at: Mapped[datetime]
    until: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class JobPriorRow(Base):
    """The frozen priors of a job: beside its input, not part of it."""

    __tablename__ = "job_priors"
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), primary_key=True, index=True)
