"""The tables of what people order of studies by hand. Typed rows; no behaviour (:mod:`radnode.storage.by_hand`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class StudyHoldRow(Base):
    """No job of this study starts while the row is there. by: who said so."""

    __tablename__ = "study_holds"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    by: Mapped[str] = mapped_column(PlainText)
    reason: Mapped[str] = mapped_column(PlainText)
    at: Mapped[datetime]


class AsItIsRow(Base):
    """A series that is to be closed as it is, although it is incomplete: only in this revision, so that a late image
    asks anew. lacking: what was missing when it was ordered.
    """

    __tablename__ = "closed_as_is"
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True, autoincrement=False)
    revision: Mapped[int]
    lacking: Mapped[str] = mapped_column(PlainText)
    by: Mapped[str] = mapped_column(PlainText)
    reason: Mapped[str] = mapped_column(PlainText)
    at: Mapped[datetime]


class JobRemarkRow(Base):
    """What the result of a job has to say of its input, frozen when the job was inserted."""

    __tablename__ = "job_remarks"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    text: Mapped[str] = mapped_column(Text)


class RepeatRow(Base):
    """How often somebody ordered that a study be run again: part of the keys of its jobs from then on."""

    __tablename__ = "study_repeats"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    number: Mapped[int]
