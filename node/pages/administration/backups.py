"""Back-ups: which there are, one now, and when the node makes them by itself."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.backing_up.keeping import TOO_OLD, kept
from radnode.node.backing_up.making import BackupFailed
from radnode.node.pages.administration.saying import said
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/backups"


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and its action."""
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.CONFIGURE)])

    def values() -> dict[str, Any]:
        configuration, now = parts.configuration(), parts.now()
        folder = configuration.backup.folder
        found = kept(folder) if folder else []
        return {
            "settings": configuration.backup, "found": [(each, now - each.manifest.made_at) for each in found],
            "too_old": TOO_OLD, "is_sqlite": configuration.settings.effective_database_url.startswith("sqlite"),
            "config": shlex.quote(str(configuration.path or "radnode.yaml")),
        }

    @pages.get("")
    def backups(request: Request) -> Response:
        """The folder's back-ups, the newest first."""
        return frame.page(request, "administration/backups.html", **values())

    @pages.post("")
    def make(request: Request) -> Response:
        """One now."""
        try:
            parts.keeper.make()
        except BackupFailed as error:
            raise HTTPException(409, str(error)) from error
        answer = frame.part(request, "administration/backups_part.html", **values())
        return said(answer, frame.translated(request, N_("The back-up was made")))

    return pages
