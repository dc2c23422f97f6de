"""Login by an OpenID provider: authorization code (OpenID Connect Core 3.1) with PKCE (RFC 7636), by Authlib.

Only the configured issuer is asked, over TLS, without redirects; only keys that it publishes now count, only
asymmetric algorithms, and never "none".
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from radnode.config.alarms import THIS_MACHINE
from radnode.node.security.tokens import SecretUnreadable, read_secret
from radnode.node.web.access import HOLDS, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from radnode.config.access import AccessSettings, Oidc

log = structlog.get_logger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
TIMEOUT_S = 10.0
LEEWAY_S = 60
"""What clocks may differ by."""
KNOWN_FOR_S = 3600.0
ASK_AGAIN_AFTER_S = 60.0
"""A token with an unknown key has the keys fetched again, at most so often: strangers choose tokens."""
LOGIN_WITHIN_S = 600.0
MOST_LOGINS = 1000
LARGEST_ANSWER = 1 << 20

_NOT_OURS = (httpx2.HTTPError, OAuthError, JoseError, SecretUnreadable, OSError, ssl.SSLError, ValueError, KeyError,
             TypeError)
"""What a provider, its answer or a token can make of a login."""


class OidcFailed(Exception):
    """Nobody is logged in; the sentence is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Whom the provider vouches for. then: where he wanted to go."""

    name: str
    roles: tuple[str, ...]
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    binding: str
    nonce: str
    verifier: str
    then: str
    until_s: float


class _Provider:
    """What one configured provider publishes, looked up when it is needed."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: tuple[float, KeySet | None] = (0.0, None)

    def client(self, redirect_uri: str | None = None) -> OAuth2Client:
        """For a few requests."""
        oidc = self.oidc
        context = ssl.create_default_context(cafile=oidc.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return OAuth2Client(
            client_id=oidc.client_id, scope=oidc.scope, redirect_uri=redirect_uri, code_challenge_method="S256",
            client_secret=read_secret(oidc.client_secret_file) if oidc.client_secret_file else None,
            verify=context, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False,
        )

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, 4; the issuer in it is the configured one (4.3)."""
        with self._lock:
            at, known = self._metadata
            if not known or time.monotonic() - at > KNOWN_FOR_S:
                known = self._fetched(f"{self.oidc.issuer.rstrip('/')}/.well-known/openid-configuration")
                if known.get("issuer") != self.oidc.issuer:
                    raise OidcFailed("the provider calls itself another issuer than the configured one")
                self._metadata = (time.monotonic(), known)
            return known

    def endpoint(self, name: str) -> str:
        """An address that the provider names, which must be as safe as the issuer."""
        url = str(self.metadata()[name])
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in THIS_MACHINE:
            raise OidcFailed(f"the provider's {name} has no TLS")
        return url

    def claims(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Claims and header of a token that the provider has signed."""
        try:
            found = jwt.decode(token, self._published(), algorithms=ALGORITHMS)
        except (InvalidKeyIdError, ValueError):
            found = jwt.decode(token, self._published(renewed=True), algorithms=ALGORITHMS)
        return dict(found.claims), dict(found.header)

    def _published(self, *, renewed: bool = False) -> KeySet:
        url = self.endpoint("jwks_uri")
        with self._lock:
            at, known = self._keys
            age = time.monotonic() - at
            if known is None or age > KNOWN_FOR_S or (renewed and age > ASK_AGAIN_AFTER_S):
                known = KeySet.import_key_set(self._fetched(url))  # type: ignore[arg-type]
                self._keys = (time.monotonic(), known)
            return known

    def _fetched(self, url: str) -> dict[str, Any]:
        with self.client() as client:
            answer = client.request("GET", url, withhold_token=True)
            answer.raise_for_status()
            if len(answer.content) > LARGEST_ANSWER:
                raise OidcFailed("the provider says too much")
            return dict(answer.json())


class Providers:
    """The provider that is configured now."""

    def __init__(self, settings: Callable[[], AccessSettings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._provider: _Provider | None = None
        self._begun: OrderedDict[str, _Begun] = OrderedDict()

    def begin(self, redirect_uri: str, then: str) -> tuple[str, str]:
        """Where to send a browser, and what a cookie of it is to hold. Raises :class:`OidcFailed`."""
        provider = self._current()
        begun = _Begun(binding=secrets.token_urlsafe(32), nonce=generate_token(32), verifier=generate_token(64),
                       then=then, until_s=time.monotonic() + LOGIN_WITHIN_S)
        try:
            with provider.client(redirect_uri) as client:
                url, state = client.create_authorization_url(
                    provider.endpoint("authorization_endpoint"), code_verifier=begun.verifier, nonce=begun.nonce
                )
        except _NOT_OURS as error:
            raise OidcFailed(_said(error)) from error
        with self._lock:
            self._begun[state] = begun
            while len(self._begun) > MOST_LOGINS:
                self._begun.popitem(last=False)
        return str(url), begun.binding

    def finish(self, answer: Mapping[str, str], binding: str, redirect_uri: str) -> Vouched:
        """Whom the provider has sent back, once for each `begin`. Raises :class:`OidcFailed`."""
        provider = self._current()
        with self._lock:
            begun = self._begun.pop(answer.get("state", ""), None)
        if begun is None or begun.until_s < time.monotonic():
            raise OidcFailed("nobody began this login, or too long ago")
        if not secrets.compare_digest(begun.binding.encode(), binding.encode()):
            raise OidcFailed("another browser began this login")
        if "error" in answer:
            raise OidcFailed(f"the provider says {answer['error'][:100]}")
        if answer.get("iss", provider.oidc.issuer) != provider.oidc.issuer:
            raise OidcFailed("another provider answers (RFC 9207)")
        try:
            claims = _exchanged(provider, answer["code"], begun, redirect_uri)
        except _NOT_OURS as error:
            raise OidcFailed(_said(error)) from error
        roles = roles_in(claims, provider.oidc)
        if not roles:
            raise OidcFailed(f"the claim {provider.oidc.roles_claim} gives no role of this node")
        return Vouched(name=_name(claims, provider.oidc), roles=roles, then=begun.then)

    def of_access_token(self, token: str) -> Identity | None:
        """Whose access token (RFC 9068) this is; None for one that is not good here."""
        oidc = self._settings().oidc
        if oidc is None or oidc.audience is None:
            return None
        try:
            claims, _header = self._current().claims(token)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S, iss={"essential": True, "value": oidc.issuer}, exp={"essential": True},
                aud={"essential": True, "value": oidc.audience}, sub={"essential": True},
            ).validate(claims)
        except (*_NOT_OURS, OidcFailed) as error:
            log.info("access.token_refused", reason=_said(error))
            return None
        return Identity(name=_name(claims, oidc), roles=roles_in(claims, oidc), how="access token")

    def _current(self) -> _Provider:
        oidc = self._settings().oidc
        if oidc is None:
            raise OidcFailed("no provider is configured")
        with self._lock:
            if self._provider is None or self._provider.oidc != oidc:
                self._provider = _Provider(oidc)
            return self._provider


def roles_in(claims: Mapping[str, Any], oidc: Oidc) -> tuple[str, ...]:
    """The roles that the configured claim stands for; none, if it says nothing that is configured."""
    found: Any = claims
    for step in [oidc.roles_claim] if oidc.roles_claim in claims else oidc.roles_claim.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    said = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    roles = {oidc.roles[each] for each in said if isinstance(each, str) and each in oidc.roles}
    return tuple(role for role in HOLDS if role in roles)


def _exchanged(provider: _Provider, code: str, begun: _Begun, redirect_uri: str) -> dict[str, Any]:
    """Code for tokens; then what the ID token says (OpenID Connect Core 3.1.3.7) and, where it leaves the roles out,
    what the provider says of the same person (5.3.2).
    """
    oidc = provider.oidc
    with provider.client(redirect_uri) as client:
        token = client.fetch_token(provider.endpoint("token_endpoint"), code=code, code_verifier=begun.verifier,
                                   grant_type="authorization_code")
        said, header = provider.claims(token["id_token"])
        claims = CodeIDToken(
            said, header,
            {"iss": {"essential": True, "value": oidc.issuer}, "aud": {"essential": True, "value": oidc.client_id}},
            {"nonce": begun.nonce, "client_id": oidc.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(leeway=LEEWAY_S)
        if roles_in(claims, oidc) or "userinfo_endpoint" not in provider.metadata():
            return dict(claims)
        answer = client.get(provider.endpoint("userinfo_endpoint"))
        answer.raise_for_status()
        more = dict(answer.json())
    if more.get("sub") != claims["sub"]:
        raise OidcFailed("the provider speaks of somebody else")
    return {**more, **claims}


def _name(claims: Mapping[str, Any], oidc: Oidc) -> str:
    for key in (oidc.name_claim, "azp", "client_id", "sub"):
        found = claims.get(key)
        if isinstance(found, str) and found.strip():
            return found.strip()[:64]
    return "unnamed"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
