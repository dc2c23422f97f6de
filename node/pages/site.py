"""Puts the pages together: the only module that knows all areas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from radnode.node.pages import administration, alarms, overview, pictures, studies
from radnode.node.pages.connections import area as connections
from radnode.node.pages.frame import Frame
from radnode.node.pages.monitoring import area as monitoring
from radnode.node.pages.pipelines import area as pipelines
from radnode.node.pages.routes import listing as routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fastapi import APIRouter, FastAPI

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.answers import Answers
    from radnode.node.backing_up.keeping import BackupKeeper
    from radnode.node.configuring import ConfigurationDesk
    from radnode.node.delivery.outages import Outage
    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.node.execution.base import WorkerNow
    from radnode.node.intake.callers import Caller
    from radnode.node.monitoring.composing import Monitoring
    from radnode.node.observability import Metrics
    from radnode.node.pages.frame import Area
    from radnode.node.studies.ordering import OrderDesk
    from radnode.node.web.witness import WebWitness
    from radnode.pipelines.registry import Registry
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pages ask and order."""

    database: Database
    store: FileStore
    holdings: Holdings
    answers: Answers
    alarms: Alarms
    metrics: Metrics
    configuration: Callable[[], Configuration]
    installed: Callable[[], Registry]
    renew: Callable[[], object]
    """Takes over what was added or removed beside the configuration."""
    now: Callable[[], datetime]
    turned_away: Callable[[], list[Caller]]
    strangers: Callable[[], Mapping[str, int]]
    witness: WebWitness
    dicom_port: Callable[[], int]
    keeper: BackupKeeper
    desk: ConfigurationDesk
    running: Callable[[], list[dict[str, Any]]]
    workers: Callable[[], list[WorkerNow]]
    outages: Callable[[], list[Outage]]
    before_stop: list[Callable[[], None]] = field(default_factory=list)
    """What ends streams that pages keep open."""
    monitoring: Monitoring
    orders: OrderDesk


AREAS: tuple[tuple[Area, Callable[[Parts, Frame], APIRouter]], ...] = (
    (overview.AREA, overview.router),
    (studies.AREA, studies.router),
    (routes.AREA, routes.router),
    (pipelines.AREA, pipelines.router),
    (connections.AREA, connections.router),
    (monitoring.AREA, monitoring.router),
    (alarms.AREA, alarms.router),
    (administration.AREA, administration.router),
)
"""In the order of the navigation."""
BESIDE: tuple[Callable[[Parts, Frame], APIRouter], ...] = (pictures.router,)
"""Pages that others lead to."""


def mount(app: FastAPI, parts: Parts) -> FastAPI:
    """The same application with pages."""
    frame = Frame(parts.configuration)
    frame.begin([area for area, _ in AREAS])
    app.include_router(frame.router())
    for router in (*(router for _, router in AREAS), *BESIDE):
        app.include_router(router(parts, frame), include_in_schema=False)
    app.state.error_page = frame.error
    app.state.said = frame.said
    app.state.before_stop = parts.before_stop
    app.state.first_page = lambda role: administration.first_page(parts, role)
    return app
