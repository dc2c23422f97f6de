"""One's own account: who one is, the password, the sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.pages.administration.people import MEANINGS, ROLE_NAMES
from radnode.node.pages.administration.saying import said
from radnode.node.pages.words import N_
from radnode.node.security import passwords, roster
from radnode.node.web.access import Identity, Permission, needs
from radnode.node.web.gate import address_of
from radnode.node.web.identities import cookie_name, is_secure
from radnode.node.web.login import Form  # noqa: TC001 - FastAPI reads it
from radnode.node.web.throttle import LoginThrottle
from radnode.storage import accounts

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/me"
_KIND = "User Security Attributes Changed"


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and its actions."""
    desk = _Desk(parts, frame)
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.STATE)])
    pages.get("")(desk.mine)
    pages.post("/password")(desk.change_password)
    pages.post("/sessions/end")(desk.end_session)
    pages.post("/sessions/end-others")(desk.end_others)
    return pages


class _Desk:
    def __init__(self, parts: Parts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame
        self._throttle = LoginThrottle(time.monotonic)

    def mine(self, request: Request) -> Response:
        """Who one is here, and where one is logged in."""
        return self._frame.page(request, "administration/mine.html", **self._values(request))

    def change_password(self, request: Request, fields: Form) -> Response:
        """A new password for who knows the old one; every other session ends."""
        identity, address = _in_browser(request), address_of(request)
        if identity.how != "password":
            raise HTTPException(409, "your provider keeps your password, not this node")
        if wait := self._throttle.wait_s(identity.name, address):
            raise HTTPException(429, "too many wrong passwords; wait a little", {"Retry-After": str(int(wait) + 1)})
        try:
            with self._parts.database.read() as session:
                kept = roster.change_password(session, identity.name, fields.get("old", ""), fields.get("new", ""),
                                              fields.get("again", ""))
        except roster.WrongPassword as error:
            self._throttle.failed(identity.name, address)
            self._parts.witness.login(identity.name, request, how="password", failed="wrong present password")
            raise HTTPException(403, str(error)) from error
        except roster.Refused as error:
            raise HTTPException(422, str(error)) from error
        except passwords.TooBusy:
            raise HTTPException(503, "too busy; try again in a moment") from None
        self._throttle.succeeded(identity.name, address)
        self._parts.witness.did(identity, request, _KIND, "own password changed")
        with self._parts.database.begin() as session:
            account = accounts.account(session, identity.name)
            if account is not None:
                accounts.set_password(session, account.account_id, kept)
                accounts.end_other_logins(session, identity.name, self._own_key(request), is_local=True)
        return self._renewed(request, N_("Your password was changed; your other sessions have ended"))

    def end_session(self, request: Request, fields: Form) -> Response:
        """End one of one's other sessions."""
        identity = _in_browser(request)
        with self._parts.database.begin() as session:
            ended = accounts.end_login_of(session, identity.name, fields.get("key", ""),
                                          is_local=identity.how == "password")
        if not ended:
            raise HTTPException(404, "this session has ended already")
        self._parts.witness.did(identity, request, _KIND, "own session ended")
        return self._renewed(request, N_("The session has ended"))

    def end_others(self, request: Request) -> Response:
        """End all of one's sessions but this one."""
        identity = _in_browser(request)
        with self._parts.database.begin() as session:
            accounts.end_other_logins(session, identity.name, self._own_key(request),
                                      is_local=identity.how == "password")
        self._parts.witness.did(identity, request, _KIND, "own other sessions ended")
        return self._renewed(request, N_("Your other sessions have ended"))

    def _values(self, request: Request) -> dict[str, Any]:
        identity: Identity = request.app.state.identity(request)
        with self._parts.database.read() as session:
            logins = accounts.logins_of(session, identity.name, is_local=identity.how == "password")
        access = self._parts.configuration().access
        return {"logins": logins if identity.csrf else [], "own": self._own_key(request), "role_names": ROLE_NAMES,
                "meanings": MEANINGS, "shortest": passwords.SHORTEST, "longest": passwords.LONGEST,
                "idle_min": int(access.session_idle.total_seconds() // 60),
                "longest_h": int(access.session_longest.total_seconds() // 3600)}

    def _renewed(self, request: Request, text: str) -> Response:
        shown = self._frame.part(request, "administration/mine_part.html", **self._values(request))
        return said(shown, self._frame.translated(request, text))

    def _own_key(self, request: Request) -> str:
        cookie = cookie_name(secure=is_secure(request, self._parts.configuration().access))
        return accounts.key_of(request.cookies.get(cookie, ""))


def _in_browser(request: Request) -> Identity:
    identity: Identity = request.app.state.identity(request)
    if identity.csrf is None:
        raise HTTPException(409, "a token has no session and no password")
    return identity
