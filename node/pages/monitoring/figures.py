"""Overview, one pipeline, the scanners: what the figures say, without any patient."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.monitoring import reporting
from radnode.node.monitoring.figures import POSITIVE
from radnode.node.monitoring.watch import LIVELY, scanner_name
from radnode.node.pages.monitoring import wording
from radnode.node.web.access import Permission, needs
from radnode.storage import alarms as kept_alarms
from radnode.storage import feedback, figures, symptoms

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

SPANS = (14, 60, 180, 731)
"""Days that a chart may show."""
LARGEST = 2**31 - 1
SILENCE = "silence:"


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages."""
    pages, state = APIRouter(), [needs(Permission.STATE)]

    def told(request: Request, **more: Any) -> dict[str, Any]:
        return {
            "figure_name": lambda figure: wording.figure_name(figure, lambda text: frame.translated(request, text)),
            "states": wording.STATES, "groups": wording.GROUPS, "words": wording.WORDS, "scanner_name": scanner_name,
            **more,
        }

    @pages.get("/monitoring", dependencies=state)
    def overview(request: Request) -> Response:
        """Each pipeline with its light and why."""
        now, configuration = parts.now(), parts.configuration()
        with parts.database.read() as session:
            return frame.page(
                request, "monitoring/overview.html",
                **told(request, pipelines=reporting.pipelines_now(session, now), scanners=figures.scanners(session),
                       silence=_silence(session, parts), silenced=configuration.monitoring.silence,
                       waiting=feedback.waiting(session)),
            )

    @pages.get("/monitoring/scanners", dependencies=state)
    def scanners(request: Request) -> Response:
        """Every scanner that was seen."""
        with parts.database.read() as session:
            found = reporting.scanners_now(session, parts.now())
            return frame.page(request, "monitoring/scanners.html", **told(request, found=found))

    @pages.get("/monitoring/pipelines/{name}", dependencies=state)
    def pipeline(
        request: Request, name: str, version: str = "", figure: str = POSITIVE, scanner: int = 0, days: int = 60
    ) -> Response:
        """All figures of a version, one of them day by day."""
        now, days = parts.now(), days if days in SPANS else 60
        scanner = scanner if 0 < scanner <= LARGEST else 0
        with parts.database.read() as session:
            versions = _versions(session, name, now)
            if not versions:
                raise HTTPException(404, "no pipeline of this name has ended a job lately")
            version = version if version in versions else versions[0]
            since = (now - timedelta(days=days)).strftime("%Y-%m-%d")
            known = reporting.figures_now(session, name, version, now)
            return frame.page(
                request, "monitoring/pipeline.html",
                **told(request, name=name, version=version, versions=versions, figure=figure, scanner=scanner,
                       days=days, spans=SPANS, known=known, scanners=figures.scanners(session),
                       points=reporting.course(session, name, version, figure, scanner, since),
                       drift=next((each.drift for each in known
                                   if (each.figure, each.scanner_id) == (figure, scanner)), None),
                       tally=feedback.tally(session, name, version)),
            )

    @pages.get("/monitoring/figures.csv", dependencies=state)
    def export(name: str = "", days: int = 731) -> Response:
        """For a registry: each figure of each day, nothing of a patient."""
        since = (parts.now() - timedelta(days=min(max(days, 1), 731))).strftime("%Y-%m-%d")
        with parts.database.read() as session:
            known = [name] if name else sorted({each for each, _ in figures.pipelines(session, since)})
            rows = [row for each in known for row in reporting.exported(session, each, since)]
        return csv_of("radnode-figures.csv", reporting.EXPORTED, rows)

    @pages.post("/monitoring/look", dependencies=[needs(Permission.ACT)])
    def look(request: Request) -> Response:
        """Look at all figures now."""
        parts.monitoring.watch.look()
        return Response(status_code=204, headers={"HX-Refresh": "true"})

    return pages


def csv_of(name: str, columns: tuple[str, ...], rows: list[list[object]]) -> Response:
    """A table to be saved, UTF-8 with a mark, as spreadsheets want it; nothing in it begins a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_plain(each) for each in row] for row in rows)
    return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8",
                    headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})


def _plain(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _versions(session: Session, name: str, now: datetime) -> list[str]:
    """Of a pipeline, the newest first."""
    since = (now - max(LIVELY, timedelta(days=731))).strftime("%Y-%m-%d")
    return [version for pipeline, version in figures.pipelines(session, since) if pipeline == name]


def _silence(session: Session, parts: Parts) -> list[dict[str, Any]]:
    """The sources that are expected to send, when they last did, and whether their alarm stands."""
    expected = {name: peer.expect for name, peer in parts.configuration().peers.items() if peer.expect is not None}
    heard = symptoms.heard(session, list(expected))
    silent = {each.name.removeprefix(SILENCE): each.since for each in kept_alarms.standing(session)
              if each.name.startswith(SILENCE)}
    return [{"source": name, "expect": expect, "heard": heard.get(name), "silent": silent.get(name)}
            for name, expect in sorted(expected.items())]
