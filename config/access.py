"""Who may come in over HTTP, and where what they did is told: the sections `access` and `audit` of a configuration."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from radnode.config.alarms import THIS_MACHINE
from radnode.config.durations import Duration
from radnode.config.peers import Host, Port, Section, empty_or_section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.settings import Settings

Role = Literal["admin", "operator", "radiologist", "auditor", "service"]
"""What somebody is to the node; node/web/access.py says what each may."""
ROLES: tuple[Role, ...] = get_args(Role)
PEOPLE: tuple[Role, ...] = tuple(role for role in ROLES if role != "service")
"""Roles that log in with a password; `service` has tokens only."""

Where = tuple[str, ...]


def _origin(value: str) -> str:
    """RFC 6454: scheme, host and port. Plain HTTP only on the machine itself."""
    parts = urlsplit(value.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or "@" in parts.netloc:
        raise ValueError("write how browsers call the node, for example https://radnode.hospital.example")
    if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
        raise ValueError("passwords would be readable by anybody on the way; write https://…")
    return value.rstrip("/")


def _issuer(value: str) -> str:
    """OpenID Connect Discovery 1.0, 3: https, no query, no fragment."""
    parts = urlsplit(value)
    sound = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if not sound or parts.query or parts.fragment:
        raise ValueError("write the issuer as the provider calls itself, for example https://login.hospital.example")
    if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
        raise ValueError("whoever is on the way could be anybody; write https://…")
    return value


Word = Annotated[str, Field(min_length=1, max_length=255)]


class Oidc(Section):
    """An OpenID provider. roles: what it says in `roles_claim` -> a role of the node.

    audience: what its access tokens for the node carry as `aud`; None: none are taken.
    """

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Word
    client_secret_file: Path | None = None
    scope: Word = "openid profile"
    name_claim: Word = "preferred_username"
    roles_claim: Word = "roles"
    roles: Annotated[dict[Word, Role], Field(min_length=1)]
    audience: Word | None = None
    ca_file: Path | None = None


class AccessSettings(Section):
    """The section `access`. url: how browsers call the node where something stands before it."""

    url: Annotated[str, AfterValidator(_origin)] | None = None
    metrics_token_file: Path | None = None
    session_idle: Duration = timedelta(minutes=30)
    session_longest: Duration = timedelta(hours=10)
    oidc: Annotated[Oidc | None, BeforeValidator(empty_or_section)] = None


class Syslog(Section):
    """Where audit messages go (PS3.15 A.6, A.7)."""

    host: Host
    port: Port = 6514
    transport: Literal["tls", "udp"] = "tls"
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class AuditSettings(Section):
    """The section `audit`."""

    keep: Duration = timedelta(days=366)
    syslog: Annotated[Syslog | None, BeforeValidator(empty_or_section)] = None


def files(access: AccessSettings, audit: AuditSettings) -> Iterator[tuple[Where, Path]]:
    """The files that both sections name, and where."""
    for where, section, keys in (
        (("access",), access, ("metrics_token_file",)),
        (("access", "oidc"), access.oidc, ("client_secret_file", "ca_file")),
        (("audit", "syslog"), audit.syslog, ("ca_file", "certificate", "key")),
    ):
        for key in keys:
            if path := getattr(section, key, None):
                yield (*where, key), path


def contradictions(
    access: AccessSettings, audit: AuditSettings, settings: Settings
) -> Iterator[tuple[Where, str, str]]:
    """Where, what each key alone allows but not all of them together, and what would be right."""
    if settings.http_tls and not settings.tls:
        yield ("node", "http_tls"), "the node has no certificate", "give the node a `tls`"
    if not settings.http_tls and settings.http_host not in THIS_MACHINE:
        yield (("node", "http_host"), "passwords and images would be readable by anybody on the way",
               "write `http_tls: true`, or 127.0.0.1 behind a proxy that speaks TLS")
    if access.session_longest < access.session_idle:
        yield ("access", "session_longest"), "shorter than session_idle", "write the longer of both here"
    if access.oidc and access.oidc.audience == access.oidc.client_id:
        yield (("access", "oidc", "audience"), "the same as client_id, so that an ID token would do as an access token",
               "have the provider give access tokens an audience of their own")
    yield from _of_syslog(audit.syslog)


def _of_syslog(syslog: Syslog | None) -> Iterator[tuple[Where, str, str]]:
    if syslog is None:
        return
    if (syslog.certificate is None) != (syslog.key is None):
        given, absent = ("key", "certificate") if syslog.certificate is None else ("certificate", "key")
        yield ("audit", "syslog", given), f"without {absent}", f"write `{absent}: …` beside it"
    if syslog.transport == "udp" and (syslog.ca_file or syslog.certificate):
        key = "ca_file" if syslog.ca_file else "certificate"
        yield ("audit", "syslog", key), "UDP has no TLS", "write `transport: tls`, or leave it out"

