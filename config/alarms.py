"""When alarms are told, and to whom: the section `alarms` of a configuration."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from radnode.config.durations import Duration
from radnode.config.peers import Host, Port
from radnode.config.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def _address(value: str) -> str:
    """RFC 5321 4.1.2 without quoted parts: nothing in it could begin another header or command."""
    if not _ADDRESS.fullmatch(value):
        raise ValueError("write one mail address, for example pacs-admin@hospital.example")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("write a whole address, for example https://alerts.hospital.example/radnode")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("neither a user nor a # belongs into it; a token goes into `token_file`")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("this machine knows no such time zone; write for example Europe/Zurich") from None
    return value


MailAddress = Annotated[str, AfterValidator(_address)]


class Mail(Section):
    """A mail server that takes alarms. `from` is a word of Python, hence the alias."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Host
    port: Port = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    sender: MailAddress = Field(alias="from")
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    user: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    password_file: Path | None = None
    ca_file: Path | None = None


class Webhook(Section):
    """An HTTP address that takes alarms as JSON."""

    url: Annotated[str, AfterValidator(_url)]
    token_file: Path | None = None
    ca_file: Path | None = None


class AlarmSettings(Section):
    """Whom alarms are told to and how long things may last; the section `alarms`."""

    mail: Mail | None = None
    webhook: Webhook | None = None
    destination_away: Duration = timedelta(minutes=5)
    delivery_waits: Duration = timedelta(hours=1)
    job_waits: Duration = timedelta(hours=1)
    series_held: Duration = timedelta(minutes=30)
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None

    @field_validator("mail", "webhook", mode="before")
    @classmethod
    def _a_section(cls, value: object) -> object:
        if value is not None and not isinstance(value, dict):
            raise ValueError("write its keys below it, or null")
        return value

    @property
    def zone(self) -> ZoneInfo | None:
        """None: that of the machine."""
        return ZoneInfo(self.time_zone) if self.time_zone else None


Contradiction = tuple[tuple[str, str], str, str]
"""Where (section and key), what is wrong, and what would be right."""


def contradictions(settings: AlarmSettings) -> Iterator[Contradiction]:
    """What each key alone allows, but not all of them together."""
    if mail := settings.mail:
        if (mail.user is None) != (mail.password_file is None):
            given, absent = ("password_file", "user") if mail.user is None else ("user", "password_file")
            yield ("mail", given), f"without {absent}", f"write `{absent}: …` beside it, or leave both out"
        elif mail.password_file and mail.tls == "none" and mail.host not in THIS_MACHINE:
            yield ("mail", "tls"), "the password would be readable by anybody on the way", "write `tls: starttls`"
        if mail.ca_file and mail.tls == "none":
            yield ("mail", "ca_file"), "nothing is encrypted", "write `tls: starttls`, or leave it out"
    if webhook := settings.webhook:
        parts = urlsplit(webhook.url)
        if parts.scheme == "http":
            if webhook.token_file and parts.hostname not in THIS_MACHINE:
                yield (("webhook", "url"), "the token would be readable by anybody on the way",
                       "write https://…, or leave `token_file` out")
            if webhook.ca_file:
                yield ("webhook", "ca_file"), "nothing is encrypted", "write https://…, or leave it out"


def files(settings: AlarmSettings) -> Iterator[tuple[tuple[str, str], Path]]:
    """The files that the section names, and where."""
    for name in ("mail", "webhook"):
        section: Mail | Webhook | None = getattr(settings, name)
        for key in ("password_file", "token_file", "ca_file"):
            if path := getattr(section, key, None):
                yield (name, key), path

