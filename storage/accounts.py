"""Local accounts, sessions in browsers and tokens of machines. What is secret is kept as a hash only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from radnode.storage.access_tables import AccountRow, ApiTokenRow, LoginRow
from radnode.storage.catalog import affected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session


class NameTaken(Exception):
    """There is one of this name already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A local account; password: its hash."""

    account_id: int
    name: str
    role: str
    password: str | None
    created_at: datetime
    last_login_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A session in a browser, as it holds now: the roles of a local account are those it has now.

    is_local: it began with a password; else a provider vouched for it.
    """

    name: str
    is_local: bool
    roles: tuple[str, ...]
    csrf: str
    began_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token of a machine, without what is secret."""

    token_id: int
    name: str
    role: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLogin:
    """A session in a browser as its owner sees it. key: SHA-256 of its cookie; knowing it opens nothing."""

    key: str
    began_at: datetime
    seen_at: datetime


def key_of(secret: str) -> str:
    """What is kept of a random secret: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add_account(session: Session, name: str, role: str, now: datetime) -> None:
    """An account without a password. Raises :class:`NameTaken`."""
    if session.scalar(select(AccountRow.id).where(AccountRow.name == name)) is not None:
        raise NameTaken(name)
    session.execute(insert(AccountRow).values(name=name, role=role, created_at=now))


def accounts(session: Session) -> list[Account]:
    """All, by name."""
    return [_account(row) for row in session.scalars(select(AccountRow).order_by(AccountRow.name))]


def account(session: Session, name: str) -> Account | None:
    """The one of this name."""
    row = session.scalar(select(AccountRow).where(AccountRow.name == name))
    return None if row is None else _account(row)


def is_empty(session: Session) -> bool:
    """Whether nobody could log in yet: no account has a password."""
    return not session.scalar(select(func.count()).where(AccountRow.password.is_not(None)))


def set_role(session: Session, name: str, role: str) -> bool:
    """From the next request on; whether there is such an account."""
    return affected(session, update(AccountRow).where(AccountRow.name == name).values(role=role)) == 1


def disable(session: Session, name: str, now: datetime) -> bool:
    """End its sessions, its password and its link; whether there is such an account."""
    found = session.scalar(select(AccountRow.id).where(AccountRow.name == name))
    if found is None:
        return False
    session.execute(update(AccountRow).where(AccountRow.id == found).values(
        disabled_at=now, password=None, link=None, link_until=None
    ))
    session.execute(delete(LoginRow).where(LoginRow.account_id == found))
    return True


def set_link(session: Session, name: str, secret: str, until: datetime) -> bool:
    """A one-time link in place of any other, which also enables the account again; whether there is one."""
    return affected(session, update(AccountRow).where(AccountRow.name == name).values(
        link=key_of(secret), link_until=until, disabled_at=None
    )) == 1


def linked(session: Session, secret: str, now: datetime) -> str | None:
    """Whose link this is, None once it was used, replaced or has ended."""
    return session.scalar(
        select(AccountRow.name).where(AccountRow.link == key_of(secret), AccountRow.link_until > now)
    )


def use_link(session: Session, secret: str, password: str, now: datetime) -> str | None:
    """Set the password (its hash) that a link allows, once, and end every session; the account's name."""
    found = session.execute(
        update(AccountRow).where(AccountRow.link == key_of(secret), AccountRow.link_until > now)
        .values(password=password, link=None, link_until=None).returning(AccountRow.id, AccountRow.name)
    ).one_or_none()
    if found is None:
        return None
    session.execute(delete(LoginRow).where(LoginRow.account_id == found.id))
    return str(found.name)


def set_password(session: Session, account_id: int, password: str) -> None:
    """The same password under a stronger hash."""
    session.execute(update(AccountRow).where(AccountRow.id == account_id).values(password=password))


def begin_login(
    session: Session, secret: str, csrf: str, now: datetime, *, name: str, roles: Sequence[str], account_id: int | None
) -> None:
    """A session in a browser."""
    session.execute(insert(LoginRow).values(
        key=key_of(secret), account_id=account_id, name=name, roles=list(roles), csrf=csrf, began_at=now, seen_at=now
    ))
    if account_id is not None:
        session.execute(update(AccountRow).where(AccountRow.id == account_id).values(last_login_at=now))


def login(session: Session, secret: str) -> Login | None:
    """The session of a cookie."""
    found = session.execute(
        select(LoginRow, AccountRow.role).outerjoin(AccountRow, AccountRow.id == LoginRow.account_id)
        .where(LoginRow.key == key_of(secret), AccountRow.disabled_at.is_(None))
    ).one_or_none()
    if found is None:
        return None
    row, role = found
    is_local = row.account_id is not None
    return Login(name=row.name, is_local=is_local, roles=(role,) if is_local else tuple(row.roles), csrf=row.csrf,
                 began_at=row.began_at, seen_at=row.seen_at)


def see_login(session: Session, secret: str, now: datetime) -> None:
    """Something was asked in this session."""
    session.execute(update(LoginRow).where(LoginRow.key == key_of(secret)).values(seen_at=now))


def end_login(session: Session, secret: str) -> None:
    """It is over."""
    session.execute(delete(LoginRow).where(LoginRow.key == key_of(secret)))


def logins_of(session: Session, name: str, *, is_local: bool) -> list[OpenLogin]:
    """The sessions of one person, the last used first; a local account and a provider's of one name are two."""
    rows = session.scalars(
        select(LoginRow).where(*_of_person(name, is_local=is_local)).order_by(LoginRow.seen_at.desc())
    )
    return [OpenLogin(key=row.key, began_at=row.began_at, seen_at=row.seen_at) for row in rows]


def end_other_logins(session: Session, name: str, kept: str, *, is_local: bool) -> int:
    """End all sessions of a person but the one with the key `kept`; how many there were."""
    return affected(session, delete(LoginRow).where(*_of_person(name, is_local=is_local), LoginRow.key != kept))


def end_login_of(session: Session, name: str, key: str, *, is_local: bool) -> bool:
    """End one session of a person; whether it was his."""
    return affected(session, delete(LoginRow).where(*_of_person(name, is_local=is_local), LoginRow.key == key)) == 1


def another_admin(session: Session, name: str) -> bool:
    """Whether somebody else can log in as administrator with a password."""
    return session.scalar(select(AccountRow.id).where(
        AccountRow.role == "admin", AccountRow.name != name, AccountRow.password.is_not(None),
        AccountRow.disabled_at.is_(None),
    ).limit(1)) is not None


def forget_logins(session: Session, now: datetime, idle: timedelta, longest: timedelta) -> int:
    """Delete what has ended by itself."""
    return affected(
        session, delete(LoginRow).where((LoginRow.seen_at < now - idle) | (LoginRow.began_at < now - longest))
    )


def add_token(session: Session, name: str, role: str, secret: str, now: datetime, expires_at: datetime) -> None:
    """A token of a machine; a revoked or ended one gives its name away. Raises :class:`NameTaken`."""
    found = session.scalar(select(ApiTokenRow).where(ApiTokenRow.name == name))
    if found is not None and found.revoked_at is None and found.expires_at > now:
        raise NameTaken(name)
    if found is not None:
        session.delete(found)
        session.flush()
    session.execute(insert(ApiTokenRow).values(
        name=name, role=role, key=key_of(secret), created_at=now, expires_at=expires_at
    ))


def tokens(session: Session) -> list[ApiToken]:
    """All, by name, also those that have ended."""
    return [_token(row) for row in session.scalars(select(ApiTokenRow).order_by(ApiTokenRow.name))]


def token(session: Session, secret: str, now: datetime) -> ApiToken | None:
    """The token that was shown, unless it has ended."""
    row = session.scalar(select(ApiTokenRow).where(
        ApiTokenRow.key == key_of(secret), ApiTokenRow.revoked_at.is_(None), ApiTokenRow.expires_at > now
    ))
    return None if row is None else _token(row)


def use_token(session: Session, token_id: int, now: datetime) -> None:
    """It was used."""
    session.execute(update(ApiTokenRow).where(ApiTokenRow.id == token_id).values(used_at=now))


def revoke(session: Session, name: str, now: datetime) -> bool:
    """End a token; whether there was one that had not ended."""
    return affected(session, update(ApiTokenRow).where(
        ApiTokenRow.name == name, ApiTokenRow.revoked_at.is_(None)
    ).values(revoked_at=now)) == 1


def _of_person(name: str, *, is_local: bool) -> tuple[ColumnElement[bool], ...]:
    account = LoginRow.account_id
    return LoginRow.name == name, account.is_not(None) if is_local else account.is_(None)


def _account(row: AccountRow) -> Account:
    return Account(account_id=row.id, name=row.name, role=row.role, password=row.password, created_at=row.created_at,
                   last_login_at=row.last_login_at, disabled_at=row.disabled_at)


def _token(row: ApiTokenRow) -> ApiToken:
    return ApiToken(token_id=row.id, name=row.name, role=row.role, created_at=row.created_at,
                    expires_at=row.expires_at, used_at=row.used_at, revoked_at=row.revoked_at)
