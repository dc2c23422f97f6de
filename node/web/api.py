"""JSON over HTTP: health, metrics, and the node's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import radnode

if TYPE_CHECKING:
    from radnode.node.answers import Answers
    from radnode.node.observability import Metrics


def create_app(answers: Answers, metrics: Metrics) -> FastAPI:
    """The application over a node's answers. Reads only."""
    app = FastAPI(title="radnode", version=radnode.__version__, docs_url=None, redoc_url=None)

    @app.get("/health")
    def health(response: Response) -> dict[str, Any]:
        """200 while the ledger balances and the database answers; 503 otherwise."""
        state = answers.health()
        response.status_code = 200 if state["healthy"] else 503
        return state

    @app.get("/metrics")
    def prometheus() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, answer in (("status", answers.status), ("ledger", answers.ledger), ("jobs", answers.jobs),
                         ("refused", answers.refused)):
        app.get(f"/api/{path}")(answer)

    @app.get("/api/alarms")
    def alarms(history: bool = False) -> list[dict[str, Any]]:
        """What is wrong now; `history`: also what was."""
        return answers.alarms(history=history)

    @app.get("/api/deliveries")
    def deliveries(failed: bool = False, destination: str | None = None) -> list[dict[str, Any]]:
        """The newest deliveries: state, reason, since when, next attempt; `failed`: what was given up."""
        return answers.deliveries(failed=failed, destination=destination)

    @app.get("/api/studies/{study_instance_uid}")
    def study(study_instance_uid: str) -> dict[str, Any]:
        """What happened to a study: series, grounds, routes, jobs, result objects, deliveries, events."""
        found = answers.study(study_instance_uid)
        if found is None:
            raise HTTPException(404, "no such study was received")
        return found

    return app
