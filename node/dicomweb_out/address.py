"""Where the service is and what is accepted, as a request says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import Request

ROOT = "/dicom-web"


def base_of(request: Request) -> str:
    """The address of the service as the client calls it: behind a proxy the Host that it passes on."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{ROOT}"


def accept_of(request: Request) -> str:
    """What is accepted: the query parameter goes before the header (PS3.18 8.3.3.1)."""
    return request.query_params.get("accept") or ",".join(request.headers.getlist("accept"))
