"""Who may do what over HTTP: each route names the permission that it needs, each role holds some.

A route that names none is not served: :func:`declared` stands before every route of the application, and
:func:`undeclared` names those that it could not stand before, at which the node does not start.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.config.access import Role


class Permission(StrEnum):
    """What a role may hold."""

    METRICS = "metrics"
    """The figures of /metrics."""
    STATE = "state"
    """Queues, alarms, figures: nothing of a patient."""
    STUDIES = "studies"
    """Studies, images and results, with their patients."""
    ACT = "act"
    """Run again, send again, hold, discard, fetch."""
    CONFIGURE = "configure"
    """Routes, sources, destinations, settings, models."""
    ACCOUNTS = "accounts"
    """Users, roles and tokens."""
    AUDIT = "audit"
    """The audit trail."""


_WATCHING = frozenset({Permission.METRICS, Permission.STATE})

HOLDS: Mapping[Role, frozenset[Permission]] = {
    "admin": frozenset(Permission),
    "operator": _WATCHING | {Permission.STUDIES, Permission.ACT},
    "radiologist": _WATCHING | {Permission.STUDIES},
    "auditor": _WATCHING | {Permission.AUDIT},
    "service": _WATCHING | {Permission.STUDIES, Permission.ACT},
}
"""Role -> what it may. Nothing is inherited, nothing is configured."""

PUBLIC = frozenset({"/health", "/login", "/login/oidc", "/login/oidc/done", "/link/{secret}", "/logout",
                    "/language/{code}", "/static/{digest}/{name}"})
"""What anybody may ask. Each says in its own module what it gives away."""


MOST_FIELDS = 50
"""Of a search in a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks. csrf: what a session in a browser has to repeat when it writes; None for who shows a token each time.

    only: what a token is good for that stands for no role.
    """

    name: str
    roles: tuple[str, ...]
    how: Literal["password", "provider", "token", "access token", "metrics token"]
    csrf: str | None = None
    only: frozenset[Permission] = frozenset()

    @property
    def permissions(self) -> frozenset[Permission]:
        """What all its roles hold together; a role that is unknown holds nothing."""
        return self.only.union(*(held for role, held in HOLDS.items() if role in self.roles))


def needs(permission: Permission, *, reads: bool = False) -> Any:
    """A dependency of a route: 401 without an identity, 403 without the permission.

    reads: a POST that changes nothing, because what is searched for is of a patient and has no place in an address. Its
    form is what was asked (:func:`asked_of`).
    """

    def check(request: Request) -> None:
        permits = getattr(request.app.state, "permits", None)
        if permits is None:
            raise HTTPException(401, "nobody is known here")
        permits(request, permission)

    async def check_form(request: Request) -> None:
        body = (await request.body()).decode("utf-8", "replace")
        try:
            request.state.asked = urlencode(parse_qsl(body, max_num_fields=MOST_FIELDS))
        except ValueError:
            raise HTTPException(400, "too many fields") from None
        await run_in_threadpool(check, request)

    chosen: Any = check_form if reads else check
    chosen.permission = permission
    return Depends(chosen)


def asked_of(request: Request) -> str | None:
    """What a search in a form asks for, as a query; None for what is no such search."""
    return getattr(request.state, "asked", None)


def may(request: Request, permission: Permission) -> bool:
    """For a public route that tells more to who holds a permission."""
    identity = getattr(request.app.state, "identity", lambda _: None)(request)
    return identity is not None and permission in identity.permissions


def declared(request: Request) -> None:
    """A dependency of the application: whatever route comes, it is public or names what it needs, itself or by the
    router that it belongs to.
    """
    endpoint, app = request.scope.get("endpoint"), request.app
    if endpoint not in getattr(app.state, "served", {}):
        app.state.served = _served(app)  # also what was added since
    if not app.state.served.get(endpoint, False):
        raise HTTPException(403, "this is served to nobody")


def _served(app: FastAPI) -> dict[object, bool]:
    """Endpoint -> whether every route to it is public or needs a permission."""
    found: dict[object, bool] = {}
    for route in iter_route_contexts(app.routes):
        is_declared = route.path_format in PUBLIC or permission_of(route) is not None
        found[route.endpoint] = found.get(route.endpoint, True) and is_declared
    return found


def permission_of(route: object) -> Permission | None:
    """What a route needs."""
    dependant = getattr(route, "dependant", None)
    for each in dependant.dependencies if dependant is not None else ():
        if (permission := getattr(each.call, "permission", None)) is not None:
            return Permission(permission)
    return None


def endpoints(app: FastAPI) -> Iterator[tuple[str, str, Permission | None]]:
    """Method, path and permission of all that an application serves; a mount has the method "*"."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or {"*"}):
            yield method, str(route.path_format or route.path), permission_of(route)


def undeclared(app: FastAPI) -> list[str]:
    """What is neither public nor needs a permission; empty, or the application is not to be served."""
    return [f"{method} {path}" for method, path, needed in endpoints(app) if needed is None and path not in PUBLIC]
