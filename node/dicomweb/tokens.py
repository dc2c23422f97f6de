"""What the node shows of itself to a DICOMweb service: Basic (RFC 7617), or a token by client credentials (RFC 6749).

A token is a fact of this process and short-lived: it is kept in memory, and asked for anew when it has ended.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import httpx2

from radnode.node.security.tokens import read_secret

if TYPE_CHECKING:
    from radnode.config.peers import ClientCredentials

EARLIER_S = 30.0
"""A token is not used in its last moments: it has to hold until the request is read."""
OTHERWISE_S = 60.0
"""How long a token is used whose end is not said (RFC 6749 5.1)."""
LARGEST_TOKEN = 16_384
_ERROR = re.compile(r"[a-z_]{1,40}")

_lock = threading.Lock()
_held: dict[ClientCredentials, tuple[str, float]] = {}


class NoToken(Exception):
    """The token service gave none; the sentence says why, without any secret."""


def basic(user: str, secret: str) -> str:
    """The value of Authorization."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


def token(credentials: ClientCredentials, client: httpx2.Client) -> str:
    """One that still holds. Raises :class:`NoToken`, SecretUnreadable."""
    with _lock:
        value, until = _held.get(credentials, ("", 0.0))
        if time.monotonic() >= until:
            value, lasts_s = _ask(credentials, client)
            _held[credentials] = (value, time.monotonic() + lasts_s)
        return value


def forget(credentials: ClientCredentials) -> None:
    """It was refused before its end."""
    with _lock:
        _held.pop(credentials, None)


def _ask(credentials: ClientCredentials, client: httpx2.Client) -> tuple[str, float]:
    """Client credentials grant (RFC 6749 4.4.2); the client names itself by Basic (2.3.1)."""
    shown = basic(quote_plus(credentials.client_id), quote_plus(read_secret(credentials.secret_file)))
    form = {"grant_type": "client_credentials", **({"scope": credentials.scope} if credentials.scope else {})}
    headers = {"Authorization": shown, "Accept": "application/json"}
    where = f"no token from {credentials.token_url}"
    try:
        answer = client.post(credentials.token_url, data=form, headers=headers)
    except httpx2.TransportError as error:
        raise NoToken(f"{where}: it does not answer ({type(error).__name__})") from error
    try:
        said = answer.json()
    except ValueError as error:
        raise NoToken(f"{where}: HTTP {answer.status_code}") from error
    if not isinstance(said, dict) or answer.status_code != 200:
        reason = str(said.get("error", "")) if isinstance(said, dict) else ""
        named = f" ({reason})" if _ERROR.fullmatch(reason) else ""
        raise NoToken(f"{where}: HTTP {answer.status_code}{named}")
    value, kind, lasts = said.get("access_token"), str(said.get("token_type", "")), said.get("expires_in")
    usable = isinstance(value, str) and 0 < len(value) <= LARGEST_TOKEN and value.isascii() and value.isprintable()
    if not usable or kind.lower() != "bearer":
        raise NoToken(f"{where}: it answers with something that is no Bearer token")
    lasts_s = float(lasts) if isinstance(lasts, int | float) else OTHERWISE_S + EARLIER_S
    return str(value), max(lasts_s - EARLIER_S, 1.0)
