"""Who may come in: accounts, roles, tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response

from radnode.config.access import PEOPLE, ROLES
from radnode.node.pages.administration.saying import said
from radnode.node.pages.words import N_
from radnode.node.security import roster
from radnode.node.web.access import HOLDS, Permission, needs
from radnode.node.web.login import Form  # noqa: TC001 - FastAPI reads it
from radnode.storage import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import Session

    from radnode.config.access import Role
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/people"
MOST_SHOWN = 500
TOKEN_ENDS_SOON = timedelta(days=30)
MEANINGS: Mapping[Permission, str] = {
    Permission.METRICS: N_("Read the figures (/metrics)"),
    Permission.STATE: N_("See queues, alarms and figures: nothing of a patient"),
    Permission.STUDIES: N_("See studies, images and results, with their patients"),
    Permission.ACT: N_("Run again, send again, hold, discard, fetch"),
    Permission.CONFIGURE: N_("Change routes, sources, destinations, settings, models"),
    Permission.ACCOUNTS: N_("Manage users, roles and tokens"),
    Permission.AUDIT: N_("Read the audit trail"),
}
ROLE_NAMES: Mapping[Role, str] = {
    "admin": N_("Administrator"), "operator": N_("Operator"), "radiologist": N_("Radiologist"),
    "auditor": N_("Auditor"), "service": N_("Service (tokens only)"),
}
Name = Annotated[str, Path(min_length=1, max_length=64)]


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and its actions."""
    desk = _Desk(parts, frame)
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.ACCOUNTS)])
    pages.get("")(desk.people)
    pages.post("")(desk.add)
    pages.post("/tokens/new")(desk.add_token)
    pages.post("/tokens/{name}/revoke")(desk.revoke)
    pages.post("/{name}/link")(desk.link)
    pages.post("/{name}/role")(desk.change_role)
    pages.post("/{name}/disable")(desk.disable)
    return pages


class _Desk:
    def __init__(self, parts: Parts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    def people(self, request: Request) -> Response:
        """All accounts and tokens, and what each role may do."""
        return self._frame.page(request, "administration/people.html", **self._values())

    def add(self, request: Request, fields: Form) -> Response:
        """A new account; its one-time link is shown once."""
        name, role = fields.get("name", "").strip(), fields.get("role", "")
        secret = self._ordered(lambda session: roster.add_user(session, name, role, self._parts.now()))
        return self._renewed(request, N_("%(name)s was added"), name, link=self._link(request, secret))

    def link(self, request: Request, name: Name) -> Response:
        """A new one-time link in place of the last one."""
        secret = self._ordered(lambda session: roster.link(session, name, self._parts.now()))
        return self._renewed(request, N_("A new link for %(name)s"), name, link=self._link(request, secret))

    def change_role(self, request: Request, name: Name, fields: Form) -> Response:
        """Another role, from the next request on."""
        self._ordered(lambda session: roster.change_role(session, name, fields.get("role", "")))
        return self._renewed(request, N_("%(name)s has another role from now on"), name)

    def disable(self, request: Request, name: Name) -> Response:
        """End an account: its sessions, its password, its link."""

        def order(session: Session) -> None:
            roster.keep_an_admin(session, name)
            roster.disable(session, name, self._parts.now())

        self._ordered(order)
        return self._renewed(request, N_("%(name)s comes in no more"), name)

    def add_token(self, request: Request, fields: Form) -> Response:
        """A token for a machine, shown once."""
        name, days = fields.get("name", "").strip(), fields.get("days", "")
        if not days.isdecimal() or len(days) > 5:
            raise HTTPException(422, f"a token lasts 1 to {roster.LONGEST_TOKEN_DAYS} days")
        secret = self._ordered(lambda session: roster.add_token(
            session, name, fields.get("role", ""), self._parts.now(), int(days)
        ))
        return self._renewed(request, N_("%(name)s was added"), name, token=secret)

    def revoke(self, request: Request, name: Name) -> Response:
        """End a token."""
        self._ordered(lambda session: roster.revoke(session, name, self._parts.now()))
        return self._renewed(request, N_("%(name)s comes in no more"), name)

    def _ordered(self, order: Callable[[Session], str | None]) -> str:
        try:
            with self._parts.database.begin() as session:
                return order(session) or ""
        except roster.Refused as error:
            raise HTTPException(409, str(error)) from error

    def _renewed(self, request: Request, text: str, name: str, *, link: str = "", token: str = "") -> Response:
        once = {"name": name, "link": link, "token": token} if link or token else None
        shown = self._frame.part(request, "administration/people_part.html", **self._values(), once=once)
        return said(shown, self._frame.translated(request, text, name=name))

    def _values(self) -> dict[str, Any]:
        with self._parts.database.read() as session:
            people, tokens = accounts.accounts(session), accounts.tokens(session)
        now = self._parts.now()
        return {
            "people": people[:MOST_SHOWN], "tokens": tokens[:MOST_SHOWN], "roles": ROLES, "person_roles": PEOPLE,
            "role_names": ROLE_NAMES, "meanings": MEANINGS, "holds": HOLDS, "now": now, "soon": now + TOKEN_ENDS_SOON,
            "longest_days": roster.LONGEST_TOKEN_DAYS, "usual_days": roster.TOKEN_LASTS_DAYS,
        }

    def _link(self, request: Request, secret: str) -> str:
        base = self._parts.configuration().access.url or str(request.base_url).rstrip("/")
        return f"{base}/link/{secret}"
