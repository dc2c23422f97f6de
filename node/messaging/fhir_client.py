"""Requests to a FHIR server: JSON only, no redirect is followed, sizes and times have an end.

Who the node is to it: a token of a file, or one that an OAuth 2 server gives for client credentials (RFC 6749 4.4).
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from radnode.node.security.tokens import LARGEST_SECRET, SecretUnreadable, read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from radnode.config.messaging import FhirServer, OAuth

TIMEOUT_S = 30.0
LARGEST_ANSWER = 20_000_000
FHIR_JSON = "application/fhir+json"


class FhirUnreachable(Exception):
    """The server, or the one that gives tokens, does not answer as it should; the sentence quotes nothing of it."""


class FhirClient:
    """A server for a few requests; it shows the same token with each."""

    def __init__(self, server: FhirServer) -> None:
        """Raises :class:`FhirUnreachable` where there is no token."""
        self._server = server
        self._headers = {"Accept": FHIR_JSON, "User-Agent": "radnode"}
        try:
            if server.token_file:
                self._headers["Authorization"] = f"Bearer {read_secret(server.token_file)}"
            elif server.oauth:
                self._headers["Authorization"] = f"Bearer {_token(server.oauth, server.ca_file)}"
        except SecretUnreadable as error:
            raise FhirUnreachable(str(error)) from error

    def post(self, bundle: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer to a bundle, None if it has none. Raises :class:`FhirUnreachable`."""
        headers = {**self._headers, "Content-Type": FHIR_JSON}
        return _request("POST", self._server.url, self._server.ca_file, headers, bundle)

    def read(self, reference: str) -> tuple[int, Any]:
        """The same for one resource, as in Patient/1."""
        return _request("GET", f"{self._server.url}/{quote(reference)}", self._server.ca_file, self._headers, None)

    def search(self, resource: str, **parameters: str) -> tuple[int, Any]:
        """The same for a search."""
        url = f"{self._server.url}/{quote(resource)}?{urlencode(parameters)}"
        return _request("GET", url, self._server.ca_file, self._headers, None)


def _token(oauth: OAuth, ca_file: Path | None) -> str:
    """The access token; the client shows itself by HTTP Basic (RFC 6749 2.3.1)."""
    form = {"grant_type": "client_credentials", **({"scope": oauth.scope} if oauth.scope else {})}
    credentials = f"{quote(oauth.client_id, safe='')}:{quote(read_secret(oauth.client_secret_file), safe='')}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}", "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "radnode",
    }
    status, answer = _request("POST", oauth.token_url, ca_file, headers, urlencode(form).encode())
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if status != 200 or not isinstance(token, str) or not 0 < len(token) <= LARGEST_SECRET or not _is_token(token):
        raise FhirUnreachable(f"no token from {urlsplit(oauth.token_url).hostname}: it answered {status}")
    return token


def _is_token(text: str) -> bool:
    """RFC 6750 2.1, so that it is one word of a header."""
    return text.isascii() and all(each.isalnum() or each in "-._~+/=" for each in text)


def _request(
    method: str, url: str, ca_file: Path | None, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, Any]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        connection = (
            http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=_context(ca_file))
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
        )
    except (OSError, ValueError) as error:
        raise FhirUnreachable(f"{host}: {type(error).__name__}") from error
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        content = response.read(LARGEST_ANSWER + 1)
    except ssl.SSLError as error:
        raise FhirUnreachable(f"{host}: no TLS with it: {error.reason or 'refused'}") from error
    except (http.client.HTTPException, OSError) as error:
        raise FhirUnreachable(f"{host} does not answer") from error
    finally:
        connection.close()
    if len(content) > LARGEST_ANSWER:
        raise FhirUnreachable(f"{host} answers with more than {LARGEST_ANSWER} bytes")
    try:
        return response.status, json.loads(content)
    except ValueError:
        return response.status, None


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
