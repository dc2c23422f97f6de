"""Routes are tried on one file that somebody drops: only its beginning comes, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.config.routes import SOURCE
from radnode.node import routing
from radnode.node.drafting.form import section_of
from radnode.node.indexing import Header, HeaderReader
from radnode.node.own_results import is_own_result
from radnode.node.pages.routes.asking import LARGEST, fields_in, form_in, one
from radnode.node.pages.routes.drafts import examined
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.routes import Route
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

LARGEST_HEADER = 900 * 1024
"""Bytes; the page sends no more of a file, and no pixel is needed."""


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The test of a file."""
    pages = APIRouter()
    reading = threading.Lock()

    @pages.post("/routes/try", dependencies=[needs(Permission.STUDIES)])
    async def try_file(request: Request) -> Response:
        """Every route and the draft on one file, of which only the beginning is sent, and nothing is kept.

        The body is the form (X-Form-Bytes long), then the file.
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_HEADER + LARGEST:
                raise HTTPException(413, "too large; the page sends only the beginning of a file")
        length = request.headers.get("x-form-bytes", "")
        if not length.isdigit() or int(length) > len(body):
            raise HTTPException(400, "no form before the file")
        fields, content = fields_in(bytes(body[:int(length)])), bytes(body[int(length):])
        return await asyncio.to_thread(tried, request, fields, content)

    def tried(request: Request, fields: dict[str, list[str]], content: bytes) -> Response:
        routes: Sequence[Route] = parts.configuration().routes
        if "name" in fields:
            form = form_in(fields)
            _, _, route = examined(parts, section_of(form), one(fields, "original"))
            routes = [*([route] if route is not None else []), *routes]
        attributes, why = _header(content, reading)
        source = one(fields, "source")
        explained = routing.explain(routes, [attributes], {SOURCE: source} if source else {}) if attributes else ()
        is_draft = len(routes) > len(parts.configuration().routes)
        return frame.part(
            request, "routes/tried.html", why=why, explained=explained, is_draft=is_draft,
            own=bool(attributes) and is_own_result(attributes),
            senders=[name for name, each in parts.configuration().peers.items() if each.sends], source=source,
        )

    return pages


def _header(content: bytes, reading: threading.Lock) -> tuple[dict[str, Any], str]:
    """The attributes of a file, read by a confined process of its own; or why there are none."""
    with reading, tempfile.TemporaryDirectory(prefix="radnode-try-") as folder:
        path = Path(folder) / "dropped"
        path.write_bytes(content)
        reader = HeaderReader()
        try:
            answer = next(iter(list(reader.read([(1, path)]))))
        finally:
            reader.close()
    return (answer.attributes, "") if isinstance(answer, Header) else ({}, answer.reason)
