"""Versions of the configuration: who changed what, when and why; and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.configuring import NoSuchVersion, differences
from radnode.node.pages.routes.asking import Fields, one, ordered
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

A_PAGE = 50
_TONES = {"+": "added", "-": "taken", "@": "place"}


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The list, a version with what it changed, and the way back."""
    pages = APIRouter()

    @pages.get("/routes/versions", dependencies=[needs(Permission.STATE)])
    def listed(request: Request, before: int | None = None) -> Response:
        """The newest first."""
        found = parts.desk.versions(A_PAGE + 1, before)
        return frame.page(request, "routes/versions.html", versions=found[:A_PAGE], more=len(found) > A_PAGE)

    @pages.get("/routes/versions/{number}", dependencies=[needs(Permission.CONFIGURE)])
    def version(request: Request, number: int) -> Response:
        """What a version changed of the one before, and what going back to it would change of the present."""
        try:
            found, text = parts.desk.version(number)
        except NoSuchVersion as error:
            raise HTTPException(404, str(error)) from error
        earlier = parts.desk.versions(1, number)
        before = parts.desk.version(earlier[0].version_id)[1] if earlier else ""
        why = parts.desk.why_read_only()
        present = "" if why else parts.desk.text()
        return frame.page(
            request, "routes/version.html", version=found, is_first=not earlier, read_only=why,
            changed=_coloured(differences(before, text, "before", f"version {number}")),
            back=_coloured(differences(present, text, "present", f"version {number}")) if not why else [],
            seen="" if why else parts.desk.digest,
        )

    @pages.post("/routes/versions/{number}/rollback", dependencies=[needs(Permission.CONFIGURE)])
    def rollback(request: Request, number: int, fields: Fields) -> Response:
        """Make its text the present one, as a new version."""
        author, note = request.app.state.identity(request).name, one(fields, "note").strip()
        if not note:
            raise HTTPException(422, "say why: a note helps whoever looks at this later")
        ordered(lambda: parts.desk.rollback(number, author=author, note=note[:500], seen=one(fields, "seen")))
        return Response(headers={"HX-Redirect": "/routes/versions"})

    return pages


def _coloured(lines: list[str]) -> list[tuple[str, str]]:
    """(class, line); the first two lines of a diff name the texts."""
    return [(_TONES.get(line[:1], ""), line) for line in lines[2:]]
