"""The gate before every route: recognises, limits, permits, refuses, and has it audited."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Protocol

from fastapi import HTTPException, Request

from radnode.node.web.access import Identity, Permission
from radnode.node.web.throttle import Buckets, network_of

if TYPE_CHECKING:
    from radnode.node.web.identities import Identities

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe methods (RFC 9110 9.2.1)."""
BURST, EACH_SECOND = 5000.0, 500.0
"""Requests of one identity: a viewer asks for all images of a study at once."""
STRANGERS_BURST, STRANGERS_EACH_SECOND = 100.0, 2.0
"""Requests from one address with no identity, or a wrong one."""
UNKNOWN = object()


class Witness(Protocol):
    """Writes down what somebody did; what cannot be written down is not done (raises DatabaseUnavailable)."""

    def permitted(self, identity: Identity, permission: Permission, request: Request) -> None:
        """It goes on."""

    def refused(self, identity: Identity | None, permission: Permission, request: Request) -> None:
        """It does not."""


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


class Gate:
    """For `app.state`: `permits` and `identity`."""

    def __init__(self, identities: Identities, witness: Witness) -> None:
        self._identities = identities
        self._witness = witness
        self._of_known = Buckets(time.monotonic, burst=BURST, each_second=EACH_SECOND)
        self._of_strangers = Buckets(time.monotonic, burst=STRANGERS_BURST, each_second=STRANGERS_EACH_SECOND)

    def identity(self, request: Request) -> Identity | None:
        """Who asks, looked up once a request."""
        known = getattr(request.state, "identity", UNKNOWN)
        if known is UNKNOWN:
            known = request.state.identity = self._identities.of(request)
        return known if isinstance(known, Identity) else None

    def still(self, request: Request) -> Identity | None:
        """Who asks, looked up anew: for an answer that lasts longer than a session, or a role, may."""
        known = request.state.identity = self._identities.of(request)
        return known

    def permits(self, request: Request, permission: Permission) -> None:
        """Raises HTTPException: 401, 403, 429."""
        identity = self.identity(request)
        if identity is None:
            self._limit(self._of_strangers, network_of(address_of(request)))
            if "authorization" in request.headers:
                self._witness.refused(None, permission, request)
            raise HTTPException(401, "log in, or show a token", headers={"WWW-Authenticate": 'Bearer realm="radnode"'})
        self._limit(self._of_known, f"{identity.how} {identity.name}")
        if permission not in identity.permissions:
            self._witness.refused(identity, permission, request)
            raise HTTPException(403, f"this needs the permission {permission}")
        check_written_by(identity, request)
        self._witness.permitted(identity, permission, request)

    @staticmethod
    def _limit(buckets: Buckets, key: str) -> None:
        if wait := buckets.take(key):
            raise HTTPException(429, "too many requests", headers={"Retry-After": str(int(wait) + 1)})


def check_written_by(identity: Identity, request: Request) -> None:
    """Against a forged request: a session that writes repeats its token, which no other page can read."""
    if identity.csrf is None or request.method in READS:
        return
    if not secrets.compare_digest(request.headers.get("x-csrf-token", "").encode(), identity.csrf.encode()):
        raise HTTPException(403, "a session in a browser writes with its X-CSRF-Token, as /api/me says it")
