"""DICOMweb out, put together: its routes in the application of the node, who may ask from where, what is answered
when something cannot be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from radnode.node.dicomweb_out import rendering, retrieving, searching
from radnode.node.dicomweb_out.accept import NotAcceptable
from radnode.node.dicomweb_out.address import ROOT
from radnode.node.dicomweb_out.holdings import Holdings, NotHeld
from radnode.node.dicomweb_out.image_processes import (
    ImageProcesses,
    ImageRefused,
    ImageUnreadable,
    Overloaded,
    ValueMissing,
)
from radnode.node.dicomweb_out.matching import BadQuery
from radnode.node.dicomweb_out.results_listing import ResultsListing
from radnode.node.scheduler import Activity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI, Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

_STATUSES: dict[type[Exception], int] = {
    BadQuery: 400, NotHeld: 404, ValueMissing: 404, NotAcceptable: 406, ImageRefused: 406, ImageUnreadable: 500,
    Overloaded: 503,
}


class DicomWebOut:
    """Searching and retrieving what a node holds, `holdings`. `activity` lists what is new, `images` open files."""

    def __init__(self, *, database: Database, store: FileStore, alarms: Alarms) -> None:
        self.images = ImageProcesses()
        self.holdings = Holdings(database=database, store=store, images=self.images)
        lister = ResultsListing(database=database, store=store, holdings=self.holdings)
        self.activity = Activity("listing", lister.step, alarms)

    def mount(self, app: FastAPI, origins: Sequence[str]) -> FastAPI:
        """Serve below /dicom-web. origins: of web pages that may ask, as in `https://viewer.hospital.example`."""
        for each in (searching, retrieving, rendering):
            app.include_router(each.routes(self.holdings))
        for error in _STATUSES:
            app.add_exception_handler(error, _said)
        if origins:
            app.add_middleware(_ForViewers, origins=list(origins))
        return app

    def close(self) -> None:
        """End the processes that open images."""
        self.images.close()


def _said(_request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)


class _ForViewers:
    """Cross-origin requests (CORS) of the configured pages, for DICOMweb and nothing else of the node."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app, allow_origins=origins, allow_methods=["GET"], allow_headers=["Accept", "Authorization"],
            expose_headers=["Warning", "Content-Location"], max_age=600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Preflights are answered here; they carry no identity."""
        served = scope["type"] == "http" and scope["path"].startswith(f"{ROOT}/")
        await (self._open if served else self._app)(scope, receive, send)
