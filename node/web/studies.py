"""What is ordered of studies, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from radnode.node.studies.ordering import LONGEST_REASON, Action, Order, OrderDesk
from radnode.node.web.access import Permission, needs
from radnode.storage import study_search
from radnode.storage.by_hand import NotPossible

if TYPE_CHECKING:
    from radnode.storage.database import Database

Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
MOST_DELIVERIES = 500


class Asked(BaseModel):
    """What an order needs beside its kind: a reason, and whichever it is about."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""
    series_instance_uid: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")] | None = None
    job: Number | None = None
    route: Annotated[str, Field(max_length=128)] = ""
    deliveries: Annotated[list[Number], Field(max_length=MOST_DELIVERIES)] = []


def studies_router(database: Database, desk: OrderDesk) -> APIRouter:
    """POST /api/studies/{uid}/{action}."""
    router = APIRouter(prefix="/api", dependencies=[needs(Permission.ACT)])

    @router.post("/studies/{study_instance_uid}/{action}", responses={
        404: {"description": "No such study was received."}, 409: {"description": "Not with the study as it is."}})
    def order(request: Request, study_instance_uid: Uid, action: Action, asked: Asked) -> dict[str, Any]:
        """Hold a study, let it go, run it again, run a route on a series, process or discard an incomplete series,
        discard a job, send results again. `number`: how many series, jobs or results it concerns.
        """
        with database.read() as session:
            study_id = study_search.row_of(session, study_instance_uid)
        if study_id is None:
            raise HTTPException(404, "no such study was received")
        ordered = Order(action=action, by=name_of(request), reason=asked.reason, series=asked.series_instance_uid,
                        job=asked.job, route=asked.route, deliveries=tuple(asked.deliveries))
        try:
            return {"number": desk.take(study_id, ordered)}
        except NotPossible as error:
            raise HTTPException(409, str(error)) from error

    return router


def name_of(request: Request) -> str:
    """Who asks, as it is written into a timeline."""
    identity = getattr(request.app.state, "identity", lambda _: None)(request)
    return identity.name if identity is not None else "nobody"
