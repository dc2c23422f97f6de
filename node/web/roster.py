"""Accounts and tokens over HTTP, for who holds the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from radnode.config.access import Role
from radnode.node.security import roster
from radnode.node.web.access import Permission, needs
from radnode.storage import accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.node.web.gate import Gate
    from radnode.storage.database import Database

Name = Annotated[str, Field(min_length=1, max_length=64)]
NamePath = Annotated[str, Path(min_length=1, max_length=64)]


class NewUser(BaseModel):
    """An account that is to be made."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    role: Role


class NewToken(BaseModel):
    """A token that is to be made."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    role: Role
    days: Annotated[int, Field(ge=1, le=roster.LONGEST_TOKEN_DAYS)] = roster.TOKEN_LASTS_DAYS


def roster_router(database: Database, now: Callable[[], datetime]) -> APIRouter:
    """/api/users and /api/tokens."""
    router = APIRouter(prefix="/api", dependencies=[needs(Permission.ACCOUNTS)],
                       responses={404: {"description": "There is none of this name."},
                                  409: {"description": "There is one of this name."}})

    def done(order: Callable[[Session], str | None], status: int) -> str | None:
        try:
            with database.begin() as session:
                return order(session)
        except roster.Refused as error:
            raise HTTPException(status, str(error)) from error

    @router.get("/users")
    def users() -> list[dict[str, Any]]:
        """All accounts: role, since when, last login, since when disabled, whether there is a password."""
        with database.read() as session:
            return [user_as_data(each) for each in accounts.accounts(session)]

    @router.post("/users", status_code=201)
    def add_user(user: NewUser) -> dict[str, str]:
        """An account; `link` is the path with which its owner sets a password within an hour."""
        return {"link": f"/link/{done(lambda session: roster.add_user(session, user.name, user.role, now()), 409)}"}

    @router.post("/users/{name}/link")
    def link(name: NamePath) -> dict[str, str]:
        """A new one-time link, which replaces the last one."""
        return {"link": f"/link/{done(lambda session: roster.link(session, name, now()), 404)}"}

    @router.delete("/users/{name}", status_code=204)
    def disable(name: NamePath) -> None:
        """End an account's sessions and its password."""
        done(lambda session: roster.disable(session, name, now()), 404)

    @router.get("/tokens")
    def tokens() -> list[dict[str, Any]]:
        """All tokens: role, until when, last use, since when revoked."""
        with database.read() as session:
            return [token_as_data(each) for each in accounts.tokens(session)]

    @router.post("/tokens", status_code=201)
    def add_token(token: NewToken) -> dict[str, str | None]:
        """A token, shown this once."""
        return {"token": done(
            lambda session: roster.add_token(session, token.name, token.role, now(), token.days), 409
        )}

    @router.delete("/tokens/{name}", status_code=204)
    def revoke(name: NamePath) -> None:
        """End a token."""
        done(lambda session: roster.revoke(session, name, now()), 404)

    return router


def self_router(gate: Gate) -> APIRouter:
    """/api/me: who one is here."""
    router = APIRouter(prefix="/api")

    @router.get("/me", dependencies=[needs(Permission.STATE)])
    def me(request: Request) -> dict[str, Any]:
        """Name, roles, permissions; `csrf` is what a session repeats in X-CSRF-Token when it writes."""
        identity = gate.identity(request)
        assert identity is not None  # noqa: S101 - the gate has let somebody in
        return {"name": identity.name, "roles": identity.roles, "permissions": sorted(identity.permissions),
                "csrf": identity.csrf}

    return router


def user_as_data(account: accounts.Account) -> dict[str, Any]:
    """Without what is secret."""
    return {
        "name": account.name, "role": account.role, "has_password": account.password is not None,
        "created_at": _time(account.created_at), "last_login_at": _time(account.last_login_at),
        "disabled_at": _time(account.disabled_at),
    }


def token_as_data(token: accounts.ApiToken) -> dict[str, Any]:
    """Without what is secret."""
    return {
        "name": token.name, "role": token.role, "created_at": _time(token.created_at),
        "expires_at": _time(token.expires_at), "used_at": _time(token.used_at), "revoked_at": _time(token.revoked_at),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
