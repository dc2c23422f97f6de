"""UPS-RS (PS3.18 11): work items over HTTP, in DICOM JSON. Events go over a WebSocket (`channels.py` there)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from radnode.node.dicomweb import media
from radnode.node.web.access import Permission, needs
from radnode.node.workitems.attributes import Unclear, parse
from radnode.node.workitems.channels import PATH as CHANNELS
from radnode.node.workitems.desk import NoSuchItem, Refused, Taken
from radnode.node.workitems.states import WORDS
from radnode.node.workitems.subscribing import NotGlobal, NotSubscribed, TooMany
from radnode.storage.workitems import Changed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.node.workitems.desk import Desk
    from radnode.node.workitems.subscribing import SubscriptionDesk

ROOT = "/dicom-web/workitems"
LARGEST = 2**20
MOST = 1000
ASKED_OVER_HTTP = "UPS-RS"
"""Who asks over HTTP has a name and no AE title."""


async def _body(request: Request) -> bytes:
    """The body, of a type that is read here, and not too long."""
    said = media.parse(request.headers.get("content-type", ""))
    if said is None or said.name not in (media.JSON, "application/json"):
        raise HTTPException(415, "only application/dicom+json is read")
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST:
            raise HTTPException(413, "a work item has at most 1 MiB")
    return bytes(content)


async def _body_or_none(request: Request) -> bytes:
    """Of a request that need not have one."""
    return await _body(request) if request.headers.get("content-type") else b"{}"


def router(desk: Desk, subscriptions: SubscriptionDesk) -> APIRouter:
    """The routes over a desk."""
    made = APIRouter(prefix=ROOT)
    reads, acts = [needs(Permission.STUDIES)], [needs(Permission.ACT)]

    @made.post("", dependencies=acts)
    def create(request: Request, body: bytes = Depends(_body)) -> Response:
        """Create Workitem (11.4): `?UID`, `?workitem=UID`, or the SOP Instance UID of the body, or a new one."""
        given = request.query_params.get("workitem") or request.url.query.partition("&")[0]
        uid = _answered(lambda: desk.create(parse(body), "" if "=" in given else given))
        return Response(status_code=201, headers={"Content-Location": f"{ROOT}/{uid}", "Location": f"{ROOT}/{uid}"})

    @made.get("/{uid}", dependencies=reads)
    def retrieve(uid: str) -> Response:
        """Retrieve Workitem (11.5). The Transaction UID is in no answer."""
        return _json([_answered(lambda: desk.retrieve(uid))])

    @made.post("/{uid}", dependencies=acts)
    def update(uid: str, request: Request, body: bytes = Depends(_body)) -> Response:
        """Update Workitem (11.6), with `?transaction=UID`, `?UID` or the Transaction UID in the body."""
        given = request.query_params.get("transaction") or request.url.query.partition("&")[0]
        _answered(lambda: desk.update(uid, parse(body), "" if "=" in given else given))
        return Response(status_code=200)

    @made.put("/{uid}/state", dependencies=acts)
    def change_state(uid: str, body: bytes = Depends(_body)) -> Response:
        """Change Workitem State (11.7)."""

        def act() -> int:
            asked = parse(body)
            return desk.change_state(uid, str(asked.get("ProcedureStepState") or ""),
                                     str(asked.get("TransactionUID") or ""))

        status = _answered(act)
        return Response(status_code=200, headers=_warning(WORDS[status]) if status else {})

    @made.post("/{uid}/cancelrequest", dependencies=acts)
    def cancel(uid: str, body: bytes = Depends(_body_or_none)) -> Response:
        """Request Cancellation (11.8): 202, whether it will be honoured or not."""
        _answered(lambda: desk.cancel(uid, parse(body), ASKED_OVER_HTTP))
        return Response(status_code=202)

    @made.get("", dependencies=reads)
    def search(request: Request) -> Response:
        """Search for Workitems (11.9)."""
        query = request.query_params
        limit, offset = _number(query.get("limit"), MOST), _number(query.get("offset"), 0)
        found = _answered(lambda: desk.search(query.multi_items(), min(limit, MOST), offset))
        return _json(found) if found else Response(status_code=204)

    _add_subscribers(made, subscriptions)
    return made


def _add_subscribers(made: APIRouter, subscriptions: SubscriptionDesk) -> None:
    acts = [needs(Permission.ACT)]

    @made.post("/{uid}/subscribers/{ae_title}", dependencies=acts)
    def subscribe(uid: str, ae_title: str, request: Request) -> Response:
        """Subscribe (11.10): 201 says where to listen. The keys of a filtered one are in the query."""
        query = request.query_params.multi_items()
        locked = _truth(dict(query).get("deletionlock", "false"))
        keys = [(name, value) for name, value in _keys(query) if name != "deletionlock"]
        _answered(lambda: subscriptions.subscribe(uid, ae_title, keys))
        secure = request.url.scheme in ("https", "wss")
        where = f"{'wss' if secure else 'ws'}://{request.url.netloc}{CHANNELS}{quote(ae_title.strip())}"
        refused = _warning("Deletion Lock not granted.") if locked else {}
        return Response(status_code=201, headers={"Content-Location": where, **refused})

    @made.delete("/{uid}/subscribers/{ae_title}", dependencies=acts)
    def unsubscribe(uid: str, ae_title: str) -> Response:
        """Unsubscribe (11.11)."""
        _answered(lambda: subscriptions.unsubscribe(uid, ae_title))
        return Response(status_code=200)

    @made.post("/{uid}/subscribers/{ae_title}/suspend", dependencies=acts)
    def suspend(uid: str, ae_title: str) -> Response:
        """Suspend Global Subscription (11.12)."""
        _answered(lambda: subscriptions.suspend(uid, ae_title))
        return Response(status_code=200)


def _answered(act: Callable[[], Any]) -> Any:
    """What it returns; what it raises, as a status and a warning (PS3.18 11.x.3)."""
    try:
        return act()
    except Unclear as error:
        raise HTTPException(400, str(error), headers=_warning(str(error))) from error
    except NoSuchItem as error:
        raise HTTPException(404, "no such work item") from error
    except Taken as error:
        raise HTTPException(409, "there is a work item under this UID") from error
    except Refused as error:
        raise HTTPException(409, str(error), headers=_warning(str(error))) from error
    except NotSubscribed as error:
        raise HTTPException(404, "this AE is not told of this work item") from error
    except NotGlobal as error:
        raise HTTPException(409, "only a global subscription is suspended") from error
    except TooMany as error:
        raise HTTPException(429, "there are too many subscriptions") from error
    except Changed as error:
        raise HTTPException(409, "it was changed at the same moment; ask again") from error


def _keys(query: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of a filtered subscription; also as `filter=key=value,key=value` (PS3.18 11.10.1.2)."""
    found = []
    for name, value in query:
        pairs = [each.partition("=") for each in value.split(",")] if name == "filter" else [(name, "=", value)]
        found += [(key, wanted) for key, _, wanted in pairs]
    return found


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise HTTPException(400, "deletionlock is true or false")
    return text == "true"


def _warning(text: str) -> dict[str, str]:
    return {"Warning": f'299 radnode: "{text}"'}


def _json(document: object) -> Response:
    return JSONResponse(document, media_type=media.JSON)


def _number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HTTPException(400, "limit and offset are numbers")
    return int(text)
