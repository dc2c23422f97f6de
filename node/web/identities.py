"""Who asks: a session in a browser, a token of the node, or an access token of the configured OpenID provider."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.security.roster import TOKEN_PREFIX
from radnode.node.security.tokens import SecretUnreadable, is_same, read_secret
from radnode.node.web.access import Identity, Permission
from radnode.storage import accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fastapi import Request

    from radnode.config.access import AccessSettings
    from radnode.node.web.oidc import Providers
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

SEEN_EVERY = timedelta(minutes=1)
"""A use is written down at most so often: reading stays reading."""

EVENTS = "text/event-stream"
"""What a page asks for by itself, and again when it was cut off (HTML Living Standard 9.2): no use of a session."""


def cookie_name(*, secure: bool) -> str:
    """RFC 6265bis 4.1.3.2: a browser takes __Host- only with Secure, for this host alone and every path."""
    return "__Host-radnode" if secure else "radnode"


def is_secure(request: Request, settings: AccessSettings) -> bool:
    """Whether browsers come by TLS."""
    return request.url.scheme == "https" or (settings.url or "").startswith("https://")


class Identities:
    """Recognises who asks. Raises DatabaseUnavailable."""

    def __init__(
        self, *, database: Database, settings: Callable[[], AccessSettings], providers: Providers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._settings = settings
        self._providers = providers
        self._now = now

    def of(self, request: Request) -> Identity | None:
        """None: nobody that is known. Who shows a token is never taken for the session of a cookie beside it."""
        authorization = request.headers.get("authorization")
        if authorization is not None:
            scheme, _, shown = authorization.partition(" ")
            return self._of_token(shown.strip()) if scheme.lower() == "bearer" else None
        secret = request.cookies.get(cookie_name(secure=is_secure(request, self._settings())))
        is_use = request.headers.get("accept") != EVENTS
        return self._of_session(secret, is_use=is_use) if secret else None

    def _of_session(self, secret: str, *, is_use: bool) -> Identity | None:
        settings, now = self._settings(), self._now()
        with self._database.read() as session:
            login = accounts.login(session, secret)
        if login is None:
            return None
        if now - login.seen_at > settings.session_idle or now - login.began_at > settings.session_longest:
            with self._database.begin() as session:
                accounts.end_login(session, secret)
            return None
        if is_use and now - login.seen_at > min(SEEN_EVERY, settings.session_idle / 2):
            with self._database.begin() as session:
                accounts.see_login(session, secret, now)
        return Identity(name=login.name, roles=login.roles, how="password" if login.is_local else "provider",
                        csrf=login.csrf)

    def _of_token(self, shown: str) -> Identity | None:
        if shown.startswith(TOKEN_PREFIX):
            return self._of_own_token(shown)
        if self._opens_metrics(shown):
            return Identity(name="metrics", roles=(), how="metrics token", only=frozenset({Permission.METRICS}))
        return self._providers.of_access_token(shown) if shown.count(".") == 2 else None

    def _of_own_token(self, shown: str) -> Identity | None:
        now = self._now()
        with self._database.read() as session:
            token = accounts.token(session, shown, now)
        if token is None:
            return None
        if token.used_at is None or now - token.used_at > SEEN_EVERY:
            with self._database.begin() as session:
                accounts.use_token(session, token.token_id, now)
        return Identity(name=token.name, roles=(token.role,), how="token")

    def _opens_metrics(self, shown: str) -> bool:
        path = self._settings().metrics_token_file
        if path is None or not shown:
            return False
        try:
            return is_same(read_secret(path), shown)
        except SecretUnreadable as error:
            log.error("access.metrics_token_unreadable", reason=str(error))
            return False
