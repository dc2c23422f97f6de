"""What `radnode doctor` says, and an archive for somebody elsewhere."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.diagnostics import archive
from radnode.node.doctor.examination import examine
from radnode.node.observability import recent_events
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.doctor.finding import Finding
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/diagnosis"
TONES = {N_("ok"): "good", N_("warning"): "warning", N_("wrong"): "bad", N_("not checked"): "idle"}


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and its parts."""
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.CONFIGURE)])
    looking = threading.Lock()

    def examined() -> list[Finding]:
        path = parts.configuration().path
        if path is None:
            raise HTTPException(409, "this node was started without a configuration file")
        if not looking.acquire(blocking=False):
            raise HTTPException(409, "somebody looks already; try again in a minute")
        try:
            return list(examine(path))
        finally:
            looking.release()

    @pages.get("")
    def diagnosis(request: Request) -> Response:
        """The page, which then asks for the findings."""
        return frame.page(request, "administration/diagnosis.html")

    @pages.get("/findings")
    def findings(request: Request) -> Response:
        """Every check of the doctor: seconds, or longer where a peer does not answer."""
        order: dict[Any, int] = {"wrong": 0, "warning": 1, "ok": 2, "not checked": 3}
        found = sorted(examined(), key=lambda each: order[each.state])
        return frame.part(request, "administration/findings.html", findings=found, tones=TONES)

    @pages.get("/archive.zip")
    def as_archive(request: Request) -> Response:
        """A zip archive without patients."""
        now = parts.now()
        parts.witness.did(request.app.state.identity(request), request, "Software Configuration", "diagnostics taken")
        content = archive(
            configuration=parts.configuration(), database=parts.database, answers=parts.answers, now=now,
            registry=parts.installed(), findings=examined, metrics=parts.metrics, events=recent_events(),
        )
        name = f"radnode-diagnostics-{now:%Y%m%d-%H%M%S}.zip"
        return Response(content, media_type="application/zip",
                        headers={"Content-Disposition": f'attachment; filename="{name}"'})

    return pages
