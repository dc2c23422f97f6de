"""Figures of ended jobs by day, pipeline, version and scanner: entered once for each job, kept without the job.

A day's summary does not depend on the order of its jobs (but for words beyond the first forty): counts, extremes, and
as a sample the values whose job has the smallest digests (bottom-k sampling, Cohen and Kaplan 2007), a uniform sample.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.monitoring_tables import DayFigureRow, DriftRow, ScannerRow, UnobservedRow
from radnode.storage.tables import HeaderRow, InstanceRow, JobInputRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

SAMPLE = 40
"""Values kept of a day."""
MOST_WORDS = 40
"""Different words kept of a day; what comes then is OTHER."""
OTHER = "(other)"
KEPT_FOR = timedelta(days=731)
MOST_SCANNERS = 1000
"""A sender that names itself anew each time must not fill the table; what comes then has no name."""
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """What a machine is called. source: the peer's name; the others as in its images, empty if they do not say."""

    source: str
    manufacturer: str = ""
    model: str = ""
    station: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that is not in the figures yet. attributes: of one image that it read; None if they are gone."""

    job_id: int
    pipeline: str
    version: str
    state: str
    reason: str
    report: Mapping[str, Any]
    ended_at: datetime
    source: str
    attributes: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One figure of one job: a number, a word, or None where it should have been and was not."""

    figure: str
    value: float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """What goes into the figures of a day (UTC, YYYY-MM-DD)."""

    job_id: int
    pipeline: str
    version: str
    day: str
    scanner: Scanner
    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of one figure: how many jobs gave it, how many did not; mean, low, high and sample of numbers; counts of words.

    sample: (digest of the job, value), by digest.
    """

    number: int = 0
    missing: int = 0
    mean: float = 0.0
    low: float = 0.0
    high: float = 0.0
    sample: tuple[tuple[int, float], ...] = ()
    words: Mapping[str, int] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """The sample without its digests."""
        return [value for _, value in self.sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigure:
    """A summary and whose it is."""

    pipeline: str
    version: str
    scanner_id: int
    figure: str
    day: str
    summary: Summary


def summary_of(job_id: int, value: float | str | None) -> Summary:
    """Of one job."""
    if value is None:
        return Summary(missing=1)
    if isinstance(value, str):
        return Summary(number=1, words={value[:LONGEST_NAME]: 1})
    digest = int.from_bytes(hashlib.sha256(str(job_id).encode()).digest()[:6])
    return Summary(number=1, mean=value, low=value, high=value, sample=((digest, value),))


def merged(one: Summary, other: Summary) -> Summary:
    """Both together. Pure; the order does not matter but for the rounding of the mean."""
    return pooled((one, other), SAMPLE)


def pooled(summaries: Iterable[Summary], most: int) -> Summary:
    """All together. most: values of the sample."""
    given = list(summaries)
    number = sum(each.number for each in given)
    counted: dict[str, int] = {}
    for each in given:
        for word, times in each.words.items():
            place = word if word in counted or len(counted) < MOST_WORDS else OTHER
            counted[place] = counted.get(place, 0) + times
    spread = [each for each in given if each.sample]
    return Summary(
        number=number, missing=sum(each.missing for each in given),
        mean=sum(each.mean * each.number for each in given) / number if number else 0.0,
        low=min((each.low for each in spread), default=0.0), high=max((each.high for each in spread), default=0.0),
        sample=tuple(sorted({pair for each in spread for pair in each.sample})[:most]), words=counted,
    )


def unobserved(session: Session, limit: int) -> list[EndedJob]:
    """Jobs that have ended and are not in the figures, oldest first."""
    rows = session.execute(
        select(JobRow, SeriesRow.source)
        .join(UnobservedRow, UnobservedRow.job_id == JobRow.id)
        .join(SeriesRow, SeriesRow.id == JobRow.series_id)
        .order_by(JobRow.id).limit(limit)
    ).all()
    return [found for job, source in rows if (found := _ended(session, job, source)) is not None]


def ended_job(session: Session, job_id: int) -> EndedJob | None:
    """A job as it is entered; None if it has not ended."""
    job = session.get_one(JobRow, job_id)
    return _ended(session, job, session.get_one(SeriesRow, job.series_id).source)


def _ended(session: Session, job: JobRow, source: str) -> EndedJob | None:
    if job.ended_at is None:
        return None
    return EndedJob(
        job_id=job.id, pipeline=job.pipeline, version=job.pipeline_version, state=job.state, reason=job.reason,
        report=job.report or {}, ended_at=job.ended_at, source=source, attributes=_attributes(session, job),
    )


def _attributes(session: Session, job: JobRow) -> dict[str, Any] | None:
    """Of the image in the middle of those that were read: the first are often localisers."""
    inputs = session.execute(
        select(InstanceRow.id, InstanceRow.sop_instance_uid)
        .join(JobInputRow, JobInputRow.instance_id == InstanceRow.id)
        .where(JobInputRow.job_id == job.id).order_by(InstanceRow.id)
    ).all()
    excluded = (job.report or {}).get("excluded", {})
    read = [number for number, uid in inputs if uid not in excluded] or [number for number, _ in inputs]
    if not read:
        return None
    return session.scalar(select(HeaderRow.attributes).where(HeaderRow.instance_id == read[len(read) // 2]))


def enter(session: Session, entered: Sequence[JobFigures], now: datetime) -> None:
    """Add jobs to the figures of their days and strike them off the list, or neither."""
    fresh: dict[tuple[str, str, str, int], dict[str, Summary]] = {}
    for job in entered:
        figures = fresh.setdefault((job.pipeline, job.day, job.version, scanner_id(session, job.scanner, now)), {})
        for each in job.observed:
            figures[each.figure] = merged(figures.get(each.figure, Summary()), summary_of(job.job_id, each.value))
    for (pipeline, day, version, scanner), figures in fresh.items():
        rows = session.scalars(select(DayFigureRow).where(
            DayFigureRow.pipeline == pipeline, DayFigureRow.day == day, DayFigureRow.version == version,
            DayFigureRow.scanner_id == scanner))
        known = {row.figure: row for row in rows}
        for name, summary in figures.items():
            row = known.get(name)
            if row is None:
                row = DayFigureRow(pipeline=pipeline, day=day, version=version, scanner_id=scanner, figure=name)
                session.add(row)
            else:
                summary = merged(_summary(row), summary)  # noqa: PLW2901
            row.number, row.missing = summary.number, summary.missing
            row.summary = {"mean": summary.mean, "low": summary.low, "high": summary.high,
                           "sample": [list(each) for each in summary.sample], "words": dict(summary.words)}
    session.execute(delete(UnobservedRow).where(UnobservedRow.job_id.in_([job.job_id for job in entered])))


def scanner_id(session: Session, scanner: Scanner, now: datetime) -> int:
    """The row of a scanner, made when it is new."""
    names = {"source": scanner.source[:LONGEST_NAME], "manufacturer": scanner.manufacturer[:LONGEST_NAME],
             "model": scanner.model[:LONGEST_NAME], "station": scanner.station[:LONGEST_NAME]}
    found = _scanner(session, names)
    if found is None:
        if session.scalar(select(ScannerRow.id).order_by(ScannerRow.id).offset(MOST_SCANNERS).limit(1)) is not None:
            names |= {"manufacturer": "", "model": "", "station": ""}
        session.execute(insert_for(session, ScannerRow).values(**names, first_seen_at=now, last_seen_at=now)
                        .on_conflict_do_nothing())
        found = _scanner(session, names)
    assert found is not None  # noqa: S101 - it was inserted in this transaction
    found.last_seen_at = max(found.last_seen_at, now)
    return found.id


def _scanner(session: Session, names: Mapping[str, str]) -> ScannerRow | None:
    return session.scalar(select(ScannerRow).where(*(getattr(ScannerRow, key) == value
                                                     for key, value in names.items())))


def pipelines(session: Session, since: str) -> list[tuple[str, str]]:
    """(pipeline, version) of the figures since a day, newest version of each first."""
    rows = session.execute(
        select(DayFigureRow.pipeline, DayFigureRow.version, DayFigureRow.day).where(
            DayFigureRow.day >= since, DayFigureRow.figure == OUTCOME).distinct().order_by(DayFigureRow.day.desc())
    ).all()
    return list(dict.fromkeys((pipeline, version) for pipeline, version, _ in rows))


OUTCOME = "result/outcome"
"""The figure that every job has: how it ended."""


_OF_A_DAY = (DayFigureRow.pipeline, DayFigureRow.version, DayFigureRow.scanner_id, DayFigureRow.figure,
             DayFigureRow.day, DayFigureRow.number, DayFigureRow.missing, DayFigureRow.summary)


def of_pipeline(
    session: Session, pipeline: str, since: str, *, version: str = "", figures: Iterable[str] = (), scanner: int = 0
) -> list[DayFigure]:
    """Days of a pipeline from `since` on, by day. version, figures, scanner: only these; empty for all."""
    query = select(*_OF_A_DAY).where(DayFigureRow.pipeline == pipeline, DayFigureRow.day >= since)
    if version:
        query = query.where(DayFigureRow.version == version)
    if wanted := list(figures):
        query = query.where(DayFigureRow.figure.in_(wanted))
    if scanner:
        query = query.where(DayFigureRow.scanner_id == scanner)
    rows = session.execute(query.order_by(DayFigureRow.day))
    return [DayFigure(pipeline=row.pipeline, version=row.version, scanner_id=row.scanner_id, figure=row.figure,
                      day=row.day, summary=_summary(row)) for row in rows]


def scanners(session: Session, limit: int = MOST_SCANNERS) -> dict[int, ScannerRow]:
    """By id, the last seen first."""
    rows = session.scalars(select(ScannerRow).order_by(ScannerRow.last_seen_at.desc()).limit(limit))
    return {row.id: row for row in rows}


def forget(session: Session, before: str) -> int:
    """Delete the days before this one; returns how many figures."""
    return affected(session, delete(DayFigureRow).where(DayFigureRow.day < before))


def drifts(session: Session, pipeline: str = "", version: str = "") -> list[DriftRow]:
    """What the last look found."""
    query = select(DriftRow)
    if pipeline:
        query = query.where(DriftRow.pipeline == pipeline)
    if version:
        query = query.where(DriftRow.version == version)
    return list(session.scalars(query.order_by(DriftRow.pipeline, DriftRow.scanner_id, DriftRow.figure)))


def put_drifts(session: Session, found: Iterable[DriftRow]) -> None:
    """Take over what a look found."""
    for each in found:
        session.merge(each)


def _summary(row: Any) -> Summary:
    kept = row.summary
    return Summary(number=row.number, missing=row.missing, mean=kept["mean"], low=kept["low"], high=kept["high"],
                   sample=tuple(map(tuple, kept["sample"])), words=kept["words"])
