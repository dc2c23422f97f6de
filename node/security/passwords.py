"""Passwords: argon2id (RFC 9106) by argon2-cffi, a policy of length (NIST SP 800-63B 3.1.1.2), and a limit on work."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 12
LONGEST = 128
AT_ONCE = 2
"""Hashes that are computed at a time: each takes 64 MiB and a tenth of a second, and strangers can ask for them."""
WAIT_S = 5.0

_hasher = PasswordHasher()  # argon2id, 3 rounds, 64 MiB, 4 lanes: the second choice of RFC 9106 4
_places = threading.BoundedSemaphore(AT_ONCE)
_of_nobody = (
    f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}${'A' * 22}${'A' * 43}"
)
"""No password's hash, so that an unknown name takes as long as a wrong password; 16 and 32 octets of zero."""


class TooBusy(Exception):
    """Too many passwords are being looked at; try again."""


def objection(password: str, name: str) -> str:
    """What speaks against a password, empty if nothing does."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"a password has {SHORTEST} to {LONGEST} characters"
    if len(set(password)) < 5:
        return "a password of so few different characters is soon guessed"
    if name.casefold() in password.casefold() or "radnode" in password.casefold():
        return "a password does not contain the name of the account or of the node"
    return ""


def hashed(password: str) -> str:
    """What is kept of it. Raises :class:`TooBusy`."""
    with _place():
        return _hasher.hash(password)


def is_right(kept: str | None, password: str) -> bool:
    """Whether it is the password of the hash; takes as long without one. Raises :class:`TooBusy`."""
    with _place():
        try:
            _hasher.verify(kept or _of_nobody, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(kept)


@contextlib.contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=WAIT_S):
        raise TooBusy
    try:
        yield
    finally:
        _places.release()
