"""Evaluation reports: served as files that can do nothing in this site's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse

from radnode.node.installed import evaluations
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""Somebody else's page: no script, no form, no origin (CSP level 3, 6.4)."""


def router(parts: Parts, frame: Frame) -> APIRouter:
    """A report names studies, so it needs the right to see them."""
    pages = APIRouter(dependencies=[needs(Permission.STUDIES)])

    @pages.get("/pipelines/reports/{name}/{file}")
    def report(name: str, file: str) -> Response:
        """One file of a report; but for the page itself as a download."""
        found = evaluations.find(parts.configuration().settings.data, name)
        path = found.path(file) if found else None
        if found is None or path is None:
            raise HTTPException(404, "no such report")
        how = "inline" if file == "report.html" else "attachment"
        return FileResponse(path, media_type=evaluations.FILES[file], filename=f"{found.name}-{file}",
                            content_disposition_type=how, headers={"Content-Security-Policy": POLICY})

    return pages
