"""Style sheets and scripts, read once at the start: a request chooses among them and never names a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
"""An address carries the digest of what it gives."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of `static/`."""

    content: bytes
    media_type: str
    address: str


def assets() -> dict[str, Asset]:
    """Name under `static/` -> the file."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES:
            content, name = path.read_bytes(), path.relative_to(FOLDER).as_posix()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found[name] = Asset(content, TYPES[path.suffix], f"/static/{digest}/{name}")
    return found


def static_router(known: dict[str, Asset]) -> APIRouter:
    """Public: there is nothing of a hospital in them."""
    router = APIRouter(include_in_schema=False)
    by_address = {each.address: each for each in known.values()}

    @router.get("/static/{digest}/{name:path}")
    def asset(digest: str, name: str) -> Response:
        """A file, for ever the same under its address."""
        found = by_address.get(f"/static/{digest}/{name}")
        if found is None:
            raise HTTPException(404, "no such file")
        return Response(found.content, media_type=found.media_type, headers={"Cache-Control": FOR_EVER})

    return router
