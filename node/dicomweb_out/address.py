"""Where the service is and what is accepted, as a request says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from fastapi import Request

ROOT = "/dicom-web"
_SENTENCE: dict[str, Any] = {"application/json": {}}
_REFUSED = {
    400: "The query or the path cannot be meant so.", 404: "Nothing of this name is held.",
    406: "Nothing that is accepted can be given.", 500: "A file is damaged.", 503: "Too much is asked at once.",
}


def studies_router() -> APIRouter:
    """A router of the service. Each of its routes names the permission itself: routers of routers keep it to
    themselves.
    """
    return APIRouter(
        prefix=ROOT, dependencies=[needs(Permission.STUDIES)], default_response_class=Response,
        responses={status: {"description": why, "content": _SENTENCE} for status, why in _REFUSED.items()},
    )


def base_of(request: Request) -> str:
    """The address of the service as the client calls it: behind a proxy the Host that it passes on."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{ROOT}"


def accept_of(request: Request) -> str:
    """What is accepted: the query parameter goes before the header (PS3.18 8.3.3.1)."""
    return request.query_params.get("accept") or ",".join(request.headers.getlist("accept"))
