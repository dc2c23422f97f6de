"""Accounts and tokens as an administrator orders them, by command or over HTTP: names, roles, links, ends."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from radnode.config.access import PEOPLE, ROLES
from radnode.node.security import passwords
from radnode.storage import accounts

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

TOKEN_PREFIX = "radnode_"  # noqa: S105 - says whose token it is, to people and to scanners for lost secrets
LINK_LASTS = timedelta(hours=1)
TOKEN_LASTS_DAYS = 365
LONGEST_TOKEN_DAYS = 1100
FIRST = "admin"
"""The account that the first start makes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Refused(Exception):
    """It was not done; the sentence says why and what would be right."""


class WrongPassword(Refused):
    """It was not shown that one is who one says."""


def add_user(session: Session, name: str, role: str, now: datetime) -> str:
    """An account, and the secret of the link that sets its password. Raises :class:`Refused`."""
    _check(name, role, PEOPLE)
    try:
        accounts.add_account(session, name, role, now)
    except accounts.NameTaken:
        raise Refused(f"there is an account {name}; `radnode users link {name}` lets it set a new password") from None
    return link(session, name, now)


def link(session: Session, name: str, now: datetime) -> str:
    """The secret of a new link for an account, which it enables again. Raises :class:`Refused`."""
    secret = secrets.token_urlsafe(32)
    if not accounts.set_link(session, name, secret, now + LINK_LASTS):
        raise Refused("there is no such account; `radnode users list` has them")
    return secret


def first_link(session: Session, now: datetime) -> str | None:
    """The secret with which the first administrator sets a password; None once somebody has one."""
    if not accounts.is_empty(session):
        return None
    if accounts.account(session, FIRST) is None:
        accounts.add_account(session, FIRST, "admin", now)
    return link(session, FIRST, now)


def disable(session: Session, name: str, now: datetime) -> None:
    """Nobody comes in by it any more, from the next request on. Raises :class:`Refused`."""
    if not accounts.disable(session, name, now):
        raise Refused("there is no such account; `radnode users list` has them")


def change_role(session: Session, name: str, role: str) -> None:
    """Another role, from the next request on. Raises :class:`Refused`."""
    _check(name, role, PEOPLE)
    if role != "admin":
        keep_an_admin(session, name)
    if not accounts.set_role(session, name, role):
        raise Refused("there is no such account; `radnode users list` has them")


def keep_an_admin(session: Session, name: str) -> None:
    """Raises :class:`Refused` where nobody else could log in to undo what is about to be done to this account."""
    found = accounts.account(session, name)
    if found is not None and found.role == "admin" and not accounts.another_admin(session, name):
        raise Refused("this is the only administrator with a password; let another one set his first")


def change_password(session: Session, name: str, old: str, new: str, again: str) -> str:
    """The hash of a new password, for who knows the old one. Raises :class:`Refused`, passwords.TooBusy."""
    account = accounts.account(session, name)
    if account is None or account.password is None:
        raise Refused("your provider keeps your password, not this node")
    if not passwords.is_right(account.password, old):
        raise WrongPassword("the present password is another one")
    if objection := passwords.objection(new, name):
        raise Refused(objection)
    if new != again:
        raise Refused("the two new passwords are not the same")
    if new == old:
        raise Refused("the new password is the old one")
    return passwords.hashed(new)


def add_token(session: Session, name: str, role: str, now: datetime, days: int = TOKEN_LASTS_DAYS) -> str:
    """A token, which is shown this once. Raises :class:`Refused`."""
    _check(name, role, ROLES)
    if not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise Refused(f"a token lasts 1 to {LONGEST_TOKEN_DAYS} days")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    try:
        accounts.add_token(session, name, role, secret, now, now + timedelta(days=days))
    except accounts.NameTaken:
        raise Refused(f"there is a token {name}; revoke it first, or choose another name") from None
    return secret


def revoke(session: Session, name: str, now: datetime) -> None:
    """Nobody comes in by it any more, from the next request on. Raises :class:`Refused`."""
    if not accounts.revoke(session, name, now):
        raise Refused("there is no such token that has not ended; `radnode tokens list` has them")


def _check(name: str, role: str, roles: tuple[str, ...]) -> None:
    if not _NAME.fullmatch(name):
        raise Refused("a name has 1 to 64 letters, digits, dots, hyphens, underscores or @")
    if role not in roles:
        raise Refused(f"a role is one of {', '.join(roles)}")
