"""The tables of what is watched over months: figures of each day, verdicts, feedback. No patient in any of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, BigKey, PlainText


class UnobservedRow(Base):
    """A job that has ended and is not in the figures yet; written with its end, gone with its entry."""

    __tablename__ = "unobserved"
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True, autoincrement=False)


class ScannerRow(Base):
    """A machine as its images and their sender name it. Empty where the images do not say."""

    __tablename__ = "scanners"
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    manufacturer: Mapped[str] = mapped_column(PlainText)
    model: Mapped[str] = mapped_column(PlainText)
    station: Mapped[str] = mapped_column(PlainText)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("source", "manufacturer", "model", "station"),)


class DayFigureRow(Base):
    """One figure of one pipeline on one scanner on one day (UTC, YYYY-MM-DD of the end of the jobs).

    number: jobs that gave it; missing: jobs that could have. summary: of numbers mean, low, high and a random sample;
    of words how often each (:mod:`radnode.storage.figures`).
    """

    __tablename__ = "day_figures"
    pipeline: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    scanner_id: Mapped[int] = mapped_column(ForeignKey("scanners.id"), primary_key=True)
    figure: Mapped[str] = mapped_column(PlainText, primary_key=True)
    number: Mapped[int]
    missing: Mapped[int]
    summary: Mapped[dict[str, Any]]
    __table_args__ = (Index("ix_day_figures_day", "day"), Index("ix_day_figures_figure", "figure", "day"))


class DriftRow(Base):
    """What the last look found of a figure. state: steady, drifted, or why nothing can be said.

    since: the first day of what is drifted. looks: how often it was looked at against this baseline. detail: numbers
    behind it. baseline: the days compared with, as FROM/TO.
    """

    __tablename__ = "drifts"
    pipeline: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    scanner_id: Mapped[int] = mapped_column(ForeignKey("scanners.id"), primary_key=True)
    figure: Mapped[str] = mapped_column(PlainText, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    since: Mapped[str] = mapped_column(String(10))
    looks: Mapped[int]
    baseline: Mapped[str] = mapped_column(String(21))
    detail: Mapped[dict[str, Any]]
    looked_at: Mapped[datetime]


class FeedbackRow(Base):
    """What somebody said of a result, or how a corrected object differs from it.

    how: "page", or "object" for one that was received. verdict: correct, false mark, missed finding, wrong side,
    unusable, or corrected. structures: [{name, dice, found_ml, reference_ml}], measurements: [{name, unit, found,
    reference}] of a corrected object.
    """

    __tablename__ = "feedback"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    pipeline: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    scanner_id: Mapped[int | None] = mapped_column(ForeignKey("scanners.id"))
    at: Mapped[datetime] = mapped_column(index=True)
    how: Mapped[str] = mapped_column(String(8))
    who: Mapped[str] = mapped_column(PlainText)
    verdict: Mapped[str] = mapped_column(String(16))
    comment: Mapped[str] = mapped_column(PlainText)
    structures: Mapped[list[Any]]
    measurements: Mapped[list[Any]]
    __table_args__ = (Index("ix_feedback_pipeline", "pipeline", "id"),)


class CorrectionRow(Base):
    """A received object by somebody else about images that a job read. state: WAITING, COMPARED, REFUSED."""

    __tablename__ = "corrections"
    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(BigKey, ForeignKey("instances.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    source: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(PlainText)
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("instance_id", "job_id"),)


class ComparisonRow(Base):
    """Two jobs over the same input: the overlap of what they found. state: WAITING, COMPARED, REFUSED.

    structures: as in :class:`FeedbackRow`, `found` being the first job.
    """

    __tablename__ = "comparisons"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    other_job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(PlainText)
    attempts: Mapped[int]
    structures: Mapped[list[Any]]
    created_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("job_id", "other_job_id"),)
