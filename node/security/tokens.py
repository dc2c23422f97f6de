"""Secrets of one line in files, and what is shown of them by HTTP (RFC 6750, RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_SECRET = 4096


class SecretUnreadable(Exception):
    """The file is not there, or does not hold one line of printable ASCII. The value is never part of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a client shows of itself. user: empty with a Bearer token, which says all."""

    user: str
    secret: str

    def __repr__(self) -> str:
        return "Shown(…)"


def read_secret(path: Path) -> str:
    """The line. Raises :class:`SecretUnreadable`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET).strip()
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error
    if not content or not content.isascii() or not content.decode("ascii").isprintable():
        raise SecretUnreadable(f"{path} does not hold one line of printable ASCII")
    return content.decode("ascii")


def is_same(secret: str, shown: str) -> bool:
    """In a time that tells nothing of how much of it was right."""
    return hmac.compare_digest(secret.encode(), shown.encode())


def shown_in(authorization: str) -> Shown | None:
    """What an Authorization field holds; None for nothing that is understood."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return Shown(user="", secret=rest.strip())
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return Shown(user=user, secret=secret) if colon and user and secret else None
