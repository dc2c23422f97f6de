"""The other sides: who sends images to the node, and whom it sends results to."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from radnode.config.deidentification import Deidentification
from radnode.config.destinations import PROFILES, Profile, ResultForm
from radnode.config.durations import DAYS, Day, Duration, Hours
from radnode.config.sections import Entry, Section, empty_or_section

__all__ = ["Entry", "Section", "empty_or_section"]


def _ae_title(value: str) -> str:
    """PS3.5 6.2, AE: 1 to 16 characters of the default repertoire, no backslash, no control character."""
    stripped = value.strip()
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters without backslash")
    return stripped


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


def _host(value: str) -> str:
    """RFC 1123 2.1, and underscores, which names inside a hospital have."""
    if _HOST_NAME.fullmatch(value):
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("write a host name or an address alone, for example 10.1.2.3") from None


def _bytes(value: object) -> object:
    """A size such as "5 GB" in bytes (decimal units)."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None or match[2].upper() not in _UNITS:
            raise ValueError('a size is written like "500 MB" or "5 GB"')
        return int(float(match[1]) * _UNITS[match[2].upper()])
    return value


def size(number: int) -> str:
    """Bytes as an administrator writes them, in the largest unit that leaves nothing over."""
    unit = max((each for each in _UNITS if len(each) == 2 and number % _UNITS[each] == 0), key=_UNITS.__getitem__,
               default="B")
    return f"{number // _UNITS[unit]} {unit}"


def shown_certificate(value: str) -> str:
    """A name in lower case, or "sha256:" and 64 hexadecimal digits."""
    lowered = value.strip().lower()
    if lowered.startswith("sha256:"):
        digits = lowered.removeprefix("sha256:").replace(":", "")
        if not _FINGERPRINT.fullmatch(digits):
            raise ValueError("a fingerprint is sha256: and 64 hexadecimal digits, as `openssl x509 -fingerprint` says")
        return f"sha256:{digits}"
    if not 1 <= len(lowered) <= 253 or not lowered.isprintable():
        raise ValueError("write the DNS name or common name in its certificate, or sha256: and its fingerprint")
    return lowered


def _web_address(value: str) -> str:
    """http or https, a host, perhaps a port and a path; nothing else (RFC 3986)."""
    parts = urlsplit(value)  # a port that is none is a ValueError, too
    ok = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    if not ok or parts.username or parts.query or parts.fragment or not value.isascii() or not value.isprintable():
        raise ValueError("write an address such as https://pacs.hospital.example/dicom-web, without user or query")
    return value.rstrip("/")


_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?B?)\s*", re.IGNORECASE)
AETitle = Annotated[str, AfterValidator(_ae_title)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Word = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+( [\x21-\x7e]+)*$")]


class ClientTls(Section):
    """TLS towards a peer. certificate, key: what the node shows of itself. name: in the peer's certificate."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    name: Host | None = None


class ClientCredentials(Section):
    """Where a token is asked for, and as whom (OAuth 2.0, RFC 6749 4.4)."""

    token_url: WebAddress
    client_id: Word
    secret_file: Path
    scope: Word | None = None


class WebPeer(Section):
    """The DICOMweb service of a peer (PS3.18), and what the node shows of itself there, at most one of three."""

    url: WebAddress
    token_file: Path | None = None
    user: Word | None = None
    password_file: Path | None = None
    oauth2: Annotated[ClientCredentials | None, BeforeValidator(empty_or_section)] = None


class Expectation(Section):
    """That a source sends at least every so often, in those hours of those days. Hours may go over midnight."""

    every: Duration
    between: Hours | None = None
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS

    @property
    def hours(self) -> tuple[time, time]:
        """From when to when; from midnight to midnight where nothing is said."""
        if self.between is None:
            return time(), time()
        first, last = self.between.split("-")
        return time.fromisoformat(first), time.fromisoformat(last)


class Peer(Entry):
    """A DICOM application that sends to the node (a source), receives from it (a destination), or both."""

    name: str = Field(min_length=1)
    ae_title: AETitle
    host: Host
    port: Port
    sends: bool = False
    receives: bool = False
    hosts: tuple[Network, ...] = ()
    answers_find: bool = False
    commitment: bool = False
    check_patient: bool = False
    largest_result: Size = 10**9
    profile: Profile | None = None
    result_forms: Annotated[tuple[ResultForm, ...], Field(min_length=1)] = ("SEG", "TID1500")
    expect: Expectation | None = None
    tls: Annotated[ClientTls | None, BeforeValidator(empty_or_section)] = None
    client_certificate: Annotated[str, AfterValidator(shown_certificate)] | None = None
    token_file: Path | None = None
    deidentify: Annotated[Deidentification | None, BeforeValidator(empty_or_section)] = None
    dicomweb: Annotated[WebPeer | None, BeforeValidator(empty_or_section)] = None

    @model_validator(mode="before")
    @classmethod
    def _found_by_its_url(cls, value: Any) -> Any:
        """Who is reached by DICOMweb alone has no AE title and no port of DIMSE; it is called by its name."""
        web = value.get("dicomweb") if isinstance(value, dict) else None
        url = web.get("url") if isinstance(web, dict) else getattr(web, "url", None)
        if not isinstance(url, str) or value.get("sends"):
            return value
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return value  # said about the URL itself
        named = {"ae_title": str(value.get("name", ""))[:16], "host": parts.hostname or "", "port": port}
        return {**named, **value}

    @field_validator("result_forms")
    @classmethod
    def _one_or_the_other(cls, value: tuple[ResultForm, ...], info: ValidationInfo) -> tuple[ResultForm, ...]:
        if info.data.get("profile") is not None:
            raise ValueError("a profile names the result forms already; write one of the two")
        return value

    @field_validator("check_patient")
    @classmethod
    def _asks_by_c_find(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("answers_find"):
            raise ValueError("the patient is asked for by C-FIND; write `answers_find: true`, too")
        return value

    @property
    def target(self) -> str:
        """The machine that its name means now, where results go."""
        return self.dicomweb.url if self.dicomweb else f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def forms(self) -> tuple[ResultForm, ...]:
        """The result forms it shows."""
        return self.result_forms if self.profile is None else PROFILES[self.profile]

    @property
    def digest(self) -> str:
        """Changes with any change of the peer's configuration that concerns results."""
        return hashlib.sha256(self.model_dump_json(exclude=NO_MATTER_OF_RESULTS).encode()).hexdigest()


NO_MATTER_OF_RESULTS: dict[str, Any] = {
    **dict.fromkeys(("enabled", "check_patient", "commitment", "expect", "tls", "client_certificate", "token_file"),
                    True),
    "deidentify": {"secret_file": True},
}
"""What is asked before and after sending, who is expected when, how the two sides recognise each other; a file's place.
"""
