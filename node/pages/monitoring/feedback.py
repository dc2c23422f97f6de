"""What radiologists say of results: the form beside a study, the list, the export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.monitoring import giving, reporting
from radnode.node.monitoring.watch import scanner_name
from radnode.node.pages.monitoring import wording
from radnode.node.pages.monitoring.figures import csv_of
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.node.web.login import Form  # noqa: TC001 - read by FastAPI
from radnode.storage import feedback, figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts
    from radnode.storage.monitoring_tables import FeedbackRow, ScannerRow

A_PAGE = 50
MOST_EXPORTED = 20_000
COLUMNS = ("at", "pipeline", "version", "scanner", "how", "verdict", "who", "mean dice", "structures", "measurements",
           "comment", "job")
_UNKNOWN = N_("There is no such study here.")
_THANKS = N_("Noted: %(verdict)s.")


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages."""
    pages = APIRouter(dependencies=[needs(Permission.STUDIES)])

    def results(request: Request, study_id: int, template: str, said: str = "") -> Response:
        with parts.database.read() as session:
            found = giving.results_of(session, study_id)
            if found is None:
                raise HTTPException(404, frame.translated(request, _UNKNOWN))
            page = frame.part(request, template, study_id=study_id, results=found, verdicts=wording.VERDICTS,
                              choices=feedback.VERDICTS, words=wording.WORDS)
        if said:
            page.headers["HX-Trigger"] = giving.as_header({"said": said})
        return page

    @pages.get("/monitoring/feedback")
    def listed(request: Request, pipeline: str = "", page: int = 1) -> Response:
        """What was said, the newest first, and how often results were right."""
        page = min(max(page, 1), 10_000)
        with parts.database.read() as session:
            rows = feedback.listed(session, pipeline=pipeline, limit=A_PAGE + 1, offset=(page - 1) * A_PAGE)
            return frame.page(
                request, "monitoring/feedback.html", rows=rows[:A_PAGE], more=len(rows) > A_PAGE, page=page,
                pipeline=pipeline, scanners=figures.scanners(session), scanner_name=scanner_name,
                verdicts=wording.VERDICTS, tallies=_tallies(session), waiting=feedback.waiting(session),
            )

    @pages.get("/monitoring/feedback.csv")
    def export(pipeline: str = "") -> Response:
        """All of it, the newest first, without patients; comments are what people wrote."""
        with parts.database.read() as session:
            scanners = figures.scanners(session)
            rows = [_row(row, scanners) for row in feedback.listed(session, pipeline=pipeline, limit=MOST_EXPORTED)]
        return csv_of("radnode-feedback.csv", COLUMNS, rows)

    @pages.get("/monitoring/studies/{study_id:int}")
    def of_study(request: Request, study_id: int) -> Response:
        """The results of a study, each with its form."""
        return results(request, study_id, "monitoring/study.html")

    @pages.get("/monitoring/studies/{study_id:int}/results")
    def part_of_study(request: Request, study_id: int) -> Response:
        """The same as a part of another page."""
        return results(request, study_id, "monitoring/results.html")

    @pages.post("/monitoring/studies/{study_id:int}/jobs/{job_id:int}/feedback")
    def give(request: Request, study_id: int, job_id: int, fields: Form) -> Response:
        """Say something of a result."""
        who = request.app.state.identity(request).name
        _give(parts, study_id, job_id, who, fields)
        verdict = frame.translated(request, wording.VERDICTS[fields["verdict"]][0])
        return results(request, study_id, "monitoring/results.html",
                       frame.translated(request, _THANKS, verdict=verdict))

    return pages


def _give(parts: Parts, study_id: int, job_id: int, who: str, fields: Mapping[str, str]) -> None:
    try:
        with parts.database.begin() as session:
            giving.give(session, study_id, job_id, who=who, verdict=fields.get("verdict", ""),
                        comment=fields.get("comment", "").strip(), now=parts.now())
    except LookupError as error:
        raise HTTPException(404, str(error)) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


def _tallies(session: Session) -> list[dict[str, Any]]:
    """Of each version, and of each of its scanners of which anything was said."""
    found = []
    for pipeline, version in feedback.versions(session):
        for scanner in (None, *feedback.scanners_of(session, pipeline, version)):
            tally = feedback.tally(session, pipeline, version, scanner)
            found.append({"pipeline": pipeline, "version": version, "scanner": scanner, "tally": tally,
                          "accepted": reporting.Share(hits=tally.accepted, cases=tally.judged)})
    return found


def _row(row: FeedbackRow, scanners: dict[int, ScannerRow]) -> list[object]:
    dice = [each["dice"] for each in row.structures if each.get("dice") is not None]
    return [
        row.at.isoformat(timespec="seconds"), row.pipeline, row.version,
        scanner_name(scanners.get(row.scanner_id or 0)) if row.scanner_id else "", row.how, row.verdict, row.who,
        round(sum(dice) / len(dice), 4) if dice else "",
        "; ".join(f"{each['name']}={each['dice']:.3f}" for each in row.structures if each.get("dice") is not None),
        "; ".join(f"{each['name']}: {each['found']:g} -> {each['reference']:g} {each['unit']}"
                  for each in row.measurements),
        row.comment, row.job_id,
    ]
