"""Looks once a day at every figure of every pipeline, keeps what it found, and raises the alarm `drift`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.monitoring import judging
from radnode.node.monitoring.judging import SHOWN_ONLY, Span
from radnode.storage import figures
from radnode.storage.figures import OUTCOME, DayFigure
from radnode.storage.monitoring_tables import DriftRow, ScannerRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.monitoring import MonitoringSettings
    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

LIVELY = timedelta(days=56)
"""A version of a pipeline that ended no job for so long is not looked at any more."""


class DriftWatch:
    """`step` looks where nobody has looked today, or where the baseline was changed since."""

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration], alarms: Alarms,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._alarms = alarms
        self._now = now
        self._looked: tuple[str, MonitoringSettings] | None = None

    def step(self) -> bool:
        """One look a day, and one more when the configuration of it changes. Always False."""
        settings, today = self._configuration().monitoring, self._now().strftime("%Y-%m-%d")
        if self._looked != (today, settings):
            self.look()
            self._looked = (today, settings)
        return False

    def look(self) -> None:
        """Look at everything now. A second look on one day at the same baseline counts as the first."""
        settings, now = self._configuration().monitoring, self._now()
        with self._database.read() as session:
            known = figures.pipelines(session, (now - LIVELY).strftime("%Y-%m-%d"))
        for pipeline, version in known:
            with self._database.begin() as session:
                figures.put_drifts(session, self._look_at(session, pipeline, version, settings, now))
        with self._database.read() as session:
            self.say(figures.drifts(session), figures.scanners(session), dict(reversed(known)), settings)

    def _look_at(
        self, session: Session, pipeline: str, version: str, settings: MonitoringSettings, now: datetime
    ) -> list[DriftRow]:
        today, since = now.strftime("%Y-%m-%d"), (now - figures.KEPT_FOR).strftime("%Y-%m-%d")
        before = {(row.scanner_id, row.figure): row for row in figures.drifts(session, pipeline, version)}
        series = by_figure(figures.of_pipeline(session, pipeline, since, version=version))
        chosen = settings.baselines.get(pipeline)
        configured = Span(first=chosen.first.isoformat(), last=chosen.last.isoformat()) if chosen else None
        baselines = {scanner: judging.baseline_of([(each.day, each.summary.number) for each in days], configured)
                     for (scanner, figure), days in series.items() if figure == OUTCOME}
        judged = {key: days for key, days in series.items() if key[1] not in SHOWN_ONLY}
        found = []
        for (scanner, figure), days in judged.items():
            baseline, last = baselines.get(scanner), before.get((scanner, figure))
            same = last is not None and baseline is not None and last.baseline == str(baseline)
            looks = 1 if last is None or not same else last.looks + (last.looked_at.strftime("%Y-%m-%d") != today)
            verdict = judging.judge(
                days, baseline, today, tests=len(judged), looks=looks,
                before=last.since if last is not None and same and last.state == "drifted" else "",
            )
            found.append(DriftRow(
                pipeline=pipeline, version=version, scanner_id=scanner, figure=figure, state=verdict.state,
                since=verdict.since, looks=looks, baseline=str(baseline or ""), detail=dict(verdict.detail),
                looked_at=now,
            ))
        return found

    def say(
        self, rows: Sequence[DriftRow], scanners: Mapping[int, ScannerRow], current: Mapping[str, str],
        settings: MonitoringSettings,
    ) -> None:
        """One alarm for each pipeline whose version in use has drifted and is not silenced."""
        texts = {}
        for pipeline, version in current.items():
            drifted = [row for row in rows if (row.pipeline, row.version, row.state) == (pipeline, version, "drifted")]
            if drifted and pipeline not in settings.silence:
                texts[pipeline] = alarm_text(pipeline, drifted, scanners)
        for pipeline, text in texts.items():
            self._alarms.set(f"drift:{pipeline}", text)
        for alarm in self._alarms.raised():
            kind, _, pipeline = alarm.name.partition(":")
            if kind == "drift" and pipeline not in texts:
                self._alarms.clear(alarm.name)


def by_figure(days: Iterable[DayFigure]) -> dict[tuple[int, str], list[DayFigure]]:
    """(scanner, figure) -> its days, in their order."""
    found: dict[tuple[int, str], list[DayFigure]] = {}
    for each in days:
        found.setdefault((each.scanner_id, each.figure), []).append(each)
    return found


def scanner_name(row: ScannerRow | None) -> str:
    """What a scanner is called for people: model and station, and who sent its images."""
    if row is None:
        return "?"
    said = " ".join(part for part in (row.manufacturer, row.model, row.station) if part)
    return f"{said} ({row.source})" if said else row.source


def alarm_text(pipeline: str, drifted: Sequence[DriftRow], scanners: Mapping[int, ScannerRow]) -> str:
    """The figures that moved, those first that moved first, and where."""
    rows = sorted(drifted, key=lambda row: (row.since, row.figure))
    said = [f"{row.figure} on {scanner_name(scanners.get(row.scanner_id))} since {row.since}" for row in rows[:3]]
    more = f"; and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"{pipeline} no longer gets or gives what it did: {'; '.join(said)}{more}"
