"""JSON over HTTP: health, metrics, and the node's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import radnode
from radnode.node.web.access import Permission, declared, may, needs

if TYPE_CHECKING:
    from radnode.node.answers import Answers
    from radnode.node.observability import Metrics

LARGEST_BODY = 1 << 20
"""Bytes: it is read before anybody is asked who he is."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not to be understood."}, 401: {"description": "Nobody is known."},
    403: {"description": "Not with these roles."}, 429: {"description": "Too many requests."},
}


def create_app(answers: Answers, metrics: Metrics) -> FastAPI:
    """The application over a node's answers. Reads only; each route names what it needs (`node/web/access.py`)."""
    app = FastAPI(title="radnode", version=radnode.__version__, docs_url=None, redoc_url=None, openapi_url=None,
                  dependencies=[Depends(declared)], responses=REFUSALS, max_body_size=LARGEST_BODY)
    state, studies = [needs(Permission.STATE)], [needs(Permission.STUDIES)]

    @app.get("/health", responses={503: {"description": "It is not well."}})
    def health(request: Request, response: Response) -> dict[str, Any]:
        """200 while the ledger balances and the database answers; 503 otherwise. Why, for who may see the state."""
        found = answers.health()
        response.status_code = 200 if found["healthy"] else 503
        return found if may(request, Permission.STATE) else {"healthy": found["healthy"]}

    @app.get("/api/openapi.json", dependencies=state, include_in_schema=False)
    def openapi() -> dict[str, Any]:
        """What there is, as OpenAPI."""
        return app.openapi()

    @app.get("/metrics", dependencies=[needs(Permission.METRICS)], response_class=PlainTextResponse)
    def prometheus() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, answer in (("status", answers.status), ("ledger", answers.ledger), ("jobs", answers.jobs),
                         ("refused", answers.refused)):
        app.get(f"/api/{path}", dependencies=state)(answer)

    @app.get("/api/alarms", dependencies=state)
    def alarms(history: bool = False) -> list[dict[str, Any]]:
        """What is wrong now; `history`: also what was."""
        return answers.alarms(history=history)

    @app.get("/api/deliveries", dependencies=state)
    def deliveries(failed: bool = False, destination: str | None = None) -> list[dict[str, Any]]:
        """The newest deliveries: state, reason, since when, next attempt; `failed`: what was given up."""
        return answers.deliveries(failed=failed, destination=destination)

    @app.get("/api/studies/{study_instance_uid}", dependencies=studies, responses={404: {"description": "Unknown."}})
    def study(study_instance_uid: str) -> dict[str, Any]:
        """What happened to a study: series, grounds, routes, jobs, result objects, deliveries, events."""
        found = answers.study(study_instance_uid)
        if found is None:
            raise HTTPException(404, "no such study was received")
        return found

    return app
