"""What a page, the API and an export say of the figures. Reads tables, decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from radnode.node.monitoring import judging
from radnode.node.monitoring.figures import POSITIVE, REFUSED
from radnode.node.monitoring.watch import LIVELY, by_figure, scanner_name
from radnode.pipelines.evaluation.intervals import proportion
from radnode.storage import feedback, figures
from radnode.storage.figures import OUTCOME, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.figures import DayFigure
    from radnode.storage.monitoring_tables import DriftRow, ScannerRow

RECENT = timedelta(days=14)
Light = Literal["good", "warning", "idle"]
SECONDS = "run/seconds"
SHOWN = (OUTCOME, POSITIVE, REFUSED, SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A part of a whole with its 95 % interval (Wilson); interval None without a case."""

    hits: int
    cases: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high."""
        return proportion(self.hits, self.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineNow:
    """A version of a pipeline in the last two weeks. drifted: its verdicts; judged: how many figures could be judged.

    light: warning if anything drifted, good if something was judged and stays, idle while nothing can be said.
    """

    pipeline: str
    version: str
    jobs: int
    positive: Share
    refused: Share
    seconds: float | None
    drifted: tuple[DriftRow, ...]
    judged: int
    accepted: Share
    dice: tuple[float, int] | None

    @property
    def light(self) -> Light:
        """Colour of the state; the page says it in words, too."""
        return "warning" if self.drifted else "good" if self.judged else "idle"


def pipelines_now(session: Session, now: datetime) -> list[PipelineNow]:
    """All that ended a job lately, those that drifted first."""
    known = figures.pipelines(session, (now - LIVELY).strftime("%Y-%m-%d"))
    rows = figures.drifts(session)
    found = [_now(session, pipeline, version, rows, now) for pipeline, version in known]
    return sorted(found, key=lambda each: (not each.drifted, each.pipeline, each.version))


def _now(session: Session, pipeline: str, version: str, rows: list[DriftRow], now: datetime) -> PipelineNow:
    since = (now - RECENT).strftime("%Y-%m-%d")
    days = figures.of_pipeline(session, pipeline, since, version=version, figures=SHOWN)
    whole = {name: judging.pooled(each for each in days if each.figure == name) for name in SHOWN}
    own = [row for row in rows if (row.pipeline, row.version) == (pipeline, version)]
    return PipelineNow(
        pipeline=pipeline, version=version, jobs=whole[OUTCOME].number, positive=share(whole[POSITIVE]),
        refused=share(whole[REFUSED]), seconds=median(whole[SECONDS]),
        drifted=tuple(row for row in own if row.state == "drifted"),
        judged=sum(row.state in ("drifted", "steady") for row in own),
        **_said(session, pipeline, version),
    )


def _said(session: Session, pipeline: str, version: str) -> dict[str, Any]:
    tally = feedback.tally(session, pipeline, version)
    return {"accepted": Share(hits=tally.accepted, cases=tally.judged),
            "dice": (tally.mean_dice, tally.compared) if tally.mean_dice is not None else None}


def share(summary: Summary) -> Share:
    """Of a figure of yes and no."""
    return Share(hits=summary.words.get("yes", 0), cases=summary.number)


def median(summary: Summary) -> float | None:
    """Of the sample; None without one."""
    values = sorted(summary.values)
    return values[len(values) // 2] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureNow:
    """A figure of a scanner: its last verdict, or what it is where none is made. recent: what it was lately."""

    figure: str
    scanner_id: int
    scanner: str
    drift: DriftRow | None
    recent: Mapping[str, Any]


def figures_now(session: Session, pipeline: str, version: str, now: datetime) -> list[FigureNow]:
    """Every figure, drifted ones first, then by name.

    Judged ones as the last look saw them, others (all, before the first look) of the last two weeks.
    """
    rows = {(row.scanner_id, row.figure): row for row in figures.drifts(session, pipeline, version)}
    scanners = figures.scanners(session)
    days = figures.of_pipeline(session, pipeline, (now - RECENT).strftime("%Y-%m-%d"), version=version,
                               figures=judging.SHOWN_ONLY if rows else ())
    lately = {key: judging.told(judging.pooled(each)) for key, each in by_figure(days).items()}
    lately |= {key: row.detail["recent"] for key, row in rows.items() if "recent" in row.detail}
    found = [
        FigureNow(figure=figure, scanner_id=scanner, scanner=scanner_name(scanners.get(scanner)),
                  drift=rows.get((scanner, figure)), recent=lately.get((scanner, figure), {}))
        for scanner, figure in lately.keys() | rows.keys()
    ]
    return sorted(found, key=lambda each: (each.drift is None or each.drift.state != "drifted", each.figure,
                                           each.scanner))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A day of a figure. value: the mean of numbers; of yes and no the share of yes in percent; else None."""

    day: str
    number: int
    missing: int
    value: float | None
    low: float | None
    high: float | None
    words: Mapping[str, int]


def course(
    session: Session, pipeline: str, version: str, figure: str, scanner: int, since: str
) -> list[Point]:
    """A figure day by day, on one scanner or, for 0, on all together."""
    of_day: dict[str, list[DayFigure]] = {}
    for each in figures.of_pipeline(session, pipeline, since, version=version, figures=[figure], scanner=scanner):
        of_day.setdefault(each.day, []).append(each)
    return [_point(day, judging.pooled(found)) for day, found in sorted(of_day.items())]


def _point(day: str, summary: Summary) -> Point:
    value, low, high = None, None, None
    if summary.words and summary.words.keys() <= {"yes", "no"}:
        value = round(100 * summary.words.get("yes", 0) / summary.number, 1)
    elif summary.sample:
        value, low, high = round(summary.mean, 4), round(summary.low, 4), round(summary.high, 4)
    return Point(day=day, number=summary.number, missing=summary.missing, value=value, low=low, high=high,
                 words=summary.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerNow:
    """A scanner, its jobs in the last two weeks by pipeline, and the figures that drifted on it."""

    row: ScannerRow
    jobs: Mapping[str, int]
    drifted: tuple[DriftRow, ...]


def scanners_now(session: Session, now: datetime, limit: int = 200) -> list[ScannerNow]:
    """The last seen first."""
    since = (now - RECENT).strftime("%Y-%m-%d")
    jobs: dict[int, dict[str, int]] = {}
    for pipeline, version in figures.pipelines(session, since):
        for each in figures.of_pipeline(session, pipeline, since, version=version, figures=[OUTCOME]):
            of_scanner = jobs.setdefault(each.scanner_id, {})
            of_scanner[pipeline] = of_scanner.get(pipeline, 0) + each.summary.number
    rows = [row for row in figures.drifts(session) if row.state == "drifted"]
    return [
        ScannerNow(row=row, jobs=jobs.get(number, {}),
                   drifted=tuple(each for each in rows if each.scanner_id == number))
        for number, row in figures.scanners(session, limit).items()
    ]


EXPORTED = ("day", "pipeline", "version", "source", "manufacturer", "model", "station", "figure", "jobs", "missing",
            "mean", "median", "low", "high", "words")


def exported(session: Session, pipeline: str, since: str) -> Iterator[list[object]]:
    """Rows of an export, as :data:`EXPORTED` says; nothing of a patient, of a person or of one study."""
    scanners = figures.scanners(session)
    for each in figures.of_pipeline(session, pipeline, since):
        yield _exported(each, scanners.get(each.scanner_id))


def _exported(each: DayFigure, scanner: ScannerRow | None) -> list[object]:
    summary, named = each.summary, ("source", "manufacturer", "model", "station")
    numbers: list[object] = ["", "", "", ""]
    if summary.sample:
        numbers = [round(summary.mean, 6), median(summary), summary.low, summary.high]
    said = "; ".join(f"{word}={times}" for word, times in sorted(summary.words.items()))
    return [each.day, each.pipeline, each.version, *(getattr(scanner, name, "") for name in named), each.figure,
            summary.number, summary.missing, *numbers, said]
