"""Puts the gate before an application: the only place that constructs what stands there."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from radnode.node.audit.following import Follower
from radnode.node.audit.forwarding import Forwarder
from radnode.node.audit.trail import Trail, auditor
from radnode.node.scheduler import Activity
from radnode.node.security import roster
from radnode.node.security.tls import ServerContexts
from radnode.node.web.access import undeclared
from radnode.node.web.audit import audit_router
from radnode.node.web.gate import READS, Gate
from radnode.node.web.headers import SecurityHeaders
from radnode.node.web.identities import Identities
from radnode.node.web.login import Desk
from radnode.node.web.oidc import Providers
from radnode.node.web.own_address import own_address
from radnode.node.web.roster import roster_router, self_router
from radnode.node.web.server import HttpServer
from radnode.node.web.witness import WebWitness
from radnode.storage import accounts
from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fastapi import FastAPI, Request

    from radnode.config.access import AccessSettings
    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.intake.associations import Associations
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)


class NotGuarded(Exception):
    """A route names no permission; the application is not served."""


class WebAccess:
    """Who may come in over HTTP, for one node."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], alarms: Alarms,
        associations: Associations, strangers: Callable[[], Mapping[str, int]], now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._alarms = alarms
        self._now = now
        self.trail = Trail(database, on_written=lambda: self._sending.pulse())
        self.auditor = auditor(configuration().settings)
        self.witness = WebWitness(trail=self.trail, auditor=self.auditor, database=database, now=now)
        self._forwarder = Forwarder(
            database=database, settings=lambda: configuration().audit, alarms=alarms, now=now
        )
        follower = Follower(
            database=database, auditor=self.auditor, configuration=configuration, is_open=associations.is_open,
            strangers=strangers, now=now, on_written=lambda: self._sending.pulse(),
        )
        self._sending = Activity("audit sending", self._forwarder.step, alarms)
        self.activities = (
            Activity("sessions", self._forget_ended, alarms), Activity("auditing", follower.step, alarms),
            self._sending,
        )

    def protect(self, app: FastAPI) -> FastAPI:
        """The same application with a login, and nothing in it that anybody may have. Raises :class:`NotGuarded`."""
        providers = Providers(self._settings)
        gate = Gate(
            Identities(database=self._database, settings=self._settings, providers=providers, now=self._now),
            self.witness,
        )
        desk = Desk(database=self._database, settings=self._settings, providers=providers, gate=gate,
                    witness=self.witness, now=self._now)
        app.state.site = lambda: urlsplit(self._settings().url or "").netloc or None
        app.state.permits = gate.permits
        app.state.identity = gate.identity
        app.state.still = gate.still
        for router in (desk.router(), self_router(gate), roster_router(self._database, self._now),
                       audit_router(self._database)):
            app.include_router(router)
        app.add_exception_handler(HTTPException, _to_login)
        app.add_exception_handler(DatabaseUnavailable, _later)
        app.add_middleware(SecurityHeaders, is_tls=lambda: (self._settings().url or "").startswith("https://"))
        if open_to_all := undeclared(app):
            raise NotGuarded(f"no permission is named for {', '.join(open_to_all)}")
        return app

    def server(self, app: FastAPI) -> HttpServer:
        """Serves the application behind the gate. Raises OSError, TlsUnusable, :class:`NotGuarded`."""
        settings = self._configuration().settings
        tls = None
        if settings.http_tls and settings.tls is not None:
            files = settings.tls.model_copy(update={"ca": None, "crl": None})
            tls = ServerContexts(files, asks=ssl.CERT_NONE, on_unusable=self._tls_unusable)
        return HttpServer(self.protect(app), host=settings.http_host, port=settings.http_port, tls=tls,
                          behind_proxy=self._settings().url is not None)

    def begin(self, http_port: int) -> None:
        """The tables are there: note the start, and let the first administrator in if nobody could come."""
        now, settings = self._now(), self._configuration().settings
        self.trail.write(self.auditor.activity(now, "Application Start"))
        if self._settings().oidc is not None:
            return
        with self._database.begin() as session:
            secret = roster.first_link(session, now)
        if secret is not None:
            scheme = "https" if settings.http_tls else "http"
            here = f"{scheme}://{own_address(settings.http_host)}:{http_port}"
            url = f"{self._settings().url or here}/link/{secret}"
            log.warning("access.nobody_has_a_password", account=roster.FIRST, set_it_at=url,
                        within_min=int(roster.LINK_LASTS.total_seconds() // 60))

    def end(self) -> None:
        """The node stops."""
        self.trail.write(self.auditor.activity(self._now(), "Application Stop"))
        self._forwarder.close()

    def _forget_ended(self) -> bool:
        settings = self._settings()
        with self._database.begin() as session:
            accounts.forget_logins(session, self._now(), settings.session_idle, settings.session_longest)
        return False

    def _settings(self) -> AccessSettings:
        return self._configuration().access

    def _tls_unusable(self, why: str) -> None:
        if why:
            self._alarms.set("tls", f"the last good certificate is in force: {why}")
        else:
            self._alarms.clear("tls")


async def _to_login(request: Request, error: Exception) -> Response:
    """A person in a browser is led to the login; everybody else reads why not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    wants_page = "text/html" in request.headers.get("accept", "") and request.method in READS
    in_browser = "authorization" not in request.headers
    if error.status_code == 401 and in_browser and "hx-request" in request.headers:
        then = urlsplit(request.headers.get("hx-current-url", "")).path
        return Response(status_code=401, headers={"HX-Redirect": f"/login?{urlencode({'then': then})}"})
    if error.status_code == 401 and wants_page and in_browser:
        return RedirectResponse(f"/login?{urlencode({'then': request.url.path})}", 303)
    if wants_page and in_browser and (page := getattr(request.app.state, "error_page", None)) is not None:
        shown: Response = page(request, error.status_code, str(error.detail))
        return shown
    detail = error.detail
    if "hx-request" in request.headers and (said := getattr(request.app.state, "said", None)) is not None:
        detail = said(request, str(detail))
    return JSONResponse({"detail": detail}, error.status_code, dict(error.headers or {}))


async def _later(_request: Request, error: Exception) -> Response:
    log.error("web.database_unavailable", reason=str(error))
    return JSONResponse({"detail": "the database does not answer; try again"}, 503, {"Retry-After": "5"})
