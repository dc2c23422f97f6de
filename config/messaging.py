"""HL7 v2 and FHIR: who sends orders, who gets results in words; the section `messaging` of a configuration."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from radnode.config.alarms import THIS_MACHINE
from radnode.config.peers import (
    ClientTls,
    Entry,
    Host,
    Network,
    Port,
    Section,
    Size,
    WebPeer,
    empty_or_section,
    shown_certificate,
)
from radnode.config.settings import ListeningPort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from radnode.config.peers import Peer
    from radnode.config.settings import Settings

Where = tuple[str, ...]

AT_START = ("listen", "orders_from", "issuers")
"""Keys of the section that a running node does not take over from a changed file."""

CharacterSet = Literal["ASCII", "8859/1", "8859/2", "8859/5", "8859/9", "8859/15", "UNICODE UTF-8", "GB 18030-2000"]
"""Of HL7 table 0211, those that a message may be in that does not say."""
OrderField = Literal["IPC-1", "OBR-2", "OBR-3", "OBR-18", "OBR-19", "ORC-2", "ORC-3"]
"""Where senders write an Accession Number."""


def _uri(value: str) -> str:
    if not _URI.fullmatch(value):
        raise ValueError("write a URI, for example urn:oid:1.2.3 or https://hospital.example/patients")
    return value


def _name(value: str) -> str:
    """HD of HL7: 1 to 180 printable characters."""
    if not 1 <= len(value.strip()) <= 180 or not value.isprintable():
        raise ValueError("a name has 1 to 180 printable characters")
    return value.strip()


_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,200}")
Uri = Annotated[str, AfterValidator(_uri)]
Name = Annotated[str, AfterValidator(_name)]


class Listen(Section):
    """The port for HL7 v2. tls: with the files of the node's `tls`. max_connections: at a time."""

    host: Host = "127.0.0.1"
    port: ListeningPort = 2575
    tls: bool = False
    max_message: Size = 10**6
    idle_s: Annotated[float, Field(ge=10, le=86_400)] = 3600.0
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 20


class Sender(Entry):
    """Who may send messages. accession: where it writes an Accession Number; the first field that is filled counts."""

    hosts: tuple[Network, ...] = ()
    client_certificate: Annotated[str, AfterValidator(shown_certificate)] | None = None
    character_set: CharacterSet = "ASCII"
    accession: Annotated[tuple[OrderField, ...], Field(min_length=1)] = ("IPC-1", "OBR-18", "OBR-3", "ORC-3")


class Issuers(Section):
    """Whose numbers those of the images are, where the images do not say it."""

    patient_authority: Name | None = None
    patient_system: Uri | None = None
    accession_system: Uri | None = None

    def stated(self) -> dict[str, str]:
        """Those that are configured."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Destination(Entry):
    """What destinations of messages have in common, and with a DICOM peer that receives."""

    name: Name
    not_processed: bool = True
    largest_result: Size = 10**7

    @property
    def receives(self) -> bool:
        """Always; a peer of DICOM may only send."""
        return True

    @property
    def digest(self) -> str:
        """Changes with the configuration."""
        return hashlib.sha256(self.model_dump_json(exclude={"enabled"}).encode()).hexdigest()


class Hl7Destination(Destination):
    """Gets ORU^R01 by MLLP. application, facility: MSH-5 and MSH-6."""

    host: Host
    port: Port = 2575
    application: Name | None = None
    facility: Name | None = None
    tls: Annotated[ClientTls | None, BeforeValidator(empty_or_section)] = None

    @property
    def forms(self) -> tuple[str, ...]:
        """What it gets."""
        return ("ORU", "ORU-NOT-PROCESSED") if self.not_processed else ("ORU",)

    @property
    def target(self) -> str:
        """The machine meant."""
        return f"mllp://{self.host}:{self.port}"


class FhirServer(WebPeer):
    """A FHIR R4 server, and what the node shows of itself there, at most one of three."""

    tls: Annotated[ClientTls | None, BeforeValidator(empty_or_section)] = None


class FhirDestination(Destination, FhirServer):
    """Gets a transaction Bundle."""

    @property
    def forms(self) -> tuple[str, ...]:
        """What it gets."""
        return ("FHIR", "FHIR-NOT-PROCESSED") if self.not_processed else ("FHIR",)

    @property
    def target(self) -> str:
        """The machine meant."""
        return self.url


class MessagingSettings(Section):
    """The section `messaging`."""

    listen: Annotated[Listen | None, BeforeValidator(empty_or_section)] = None
    senders: dict[Name, Sender] = Field(default_factory=dict)
    hl7: dict[Name, Hl7Destination] = Field(default_factory=dict)
    fhir: dict[Name, FhirDestination] = Field(default_factory=dict)
    orders_from: Annotated[FhirServer | None, BeforeValidator(empty_or_section)] = None
    issuers: Issuers = Issuers()

    @property
    def destinations(self) -> Mapping[str, Hl7Destination | FhirDestination]:
        """Both kinds, by name."""
        return {**self.hl7, **self.fhir}


def named(section: Mapping[str, object]) -> dict[str, object]:
    """The section as written, with each destination told what it is called."""
    changed = dict(section)
    for kind in ("hl7", "fhir"):
        if isinstance(written := section.get(kind), dict):
            changed[kind] = {name: {**each, "name": name} if isinstance(each, dict) else each
                             for name, each in written.items()}
    return {key: value for key, value in changed.items() if value is not None}


def beside(settings: MessagingSettings, folder: Path) -> MessagingSettings:
    """With the files that it names relative to a folder, without what is put aside."""
    located = {kind: {name: each.beside(folder) for name, each in getattr(settings, kind).items() if each.enabled}
               for kind in ("senders", "hl7", "fhir")}
    return settings.beside(folder).model_copy(update=located)


def contradictions(
    messaging: MessagingSettings, settings: Settings, peers: Mapping[str, Peer]
) -> Iterator[tuple[Where, str, str]]:
    """Where, what each key alone allows but not all of them together, and what would be right."""
    if listen := messaging.listen:
        yield from _of_listener(listen, messaging, settings)
    elif messaging.senders:
        yield ("senders",), "nobody listens", "write `listen:` with a port, too"
    for name in messaging.destinations:
        kind = "hl7" if name in messaging.hl7 else "fhir"
        if name in peers or (name in messaging.hl7 and name in messaging.fhir):
            yield (kind, name), "another destination has this name", "give each its own: routes send by name"
    for where, tls in (*((("hl7", name), each.tls) for name, each in messaging.hl7.items()),
                       *((("fhir", name), each.tls) for name, each in messaging.fhir.items())):
        if tls and (tls.certificate is None) != (tls.key is None):
            yield (*where, "tls"), "a certificate without its key, or the reverse", "write both, or neither"
    for name, server in messaging.fhir.items():
        yield from _of_server(("fhir", name), server)
    if messaging.orders_from:
        yield from _of_server(("orders_from",), messaging.orders_from)


def files(messaging: MessagingSettings) -> Iterator[tuple[Where, Path]]:
    """The files that the section names, and where."""
    for name, each in messaging.hl7.items():
        yield from _of_tls(("hl7", name), each.tls)
    servers: list[tuple[Where, FhirServer]] = [(("fhir", name), server) for name, server in messaging.fhir.items()]
    if messaging.orders_from:
        servers.append((("orders_from",), messaging.orders_from))
    for where, server in servers:
        yield from _of_tls(where, server.tls)
        for key in ("token_file", "password_file"):
            if path := getattr(server, key):
                yield (*where, key), path
        if server.oauth2:
            yield (*where, "oauth2", "secret_file"), server.oauth2.secret_file


def _of_tls(where: Where, tls: ClientTls | None) -> Iterator[tuple[Where, Path]]:
    for key in ("certificate", "key", "ca"):
        if path := getattr(tls, key, None):
            yield (*where, "tls", key), path


def _of_listener(
    listen: Listen, messaging: MessagingSettings, settings: Settings
) -> Iterator[tuple[Where, str, str]]:
    if listen.tls and not settings.tls:
        yield ("listen", "tls"), "the node has no certificate", "give the node a `tls`"
    taken = {settings.dicom_port, settings.http_port, settings.tls.port if settings.tls else 0,
             settings.dicomweb.port if settings.dicomweb else 0} - {0}
    if listen.port in taken:
        yield ("listen", "port"), "another port of the node is the same", f"write for example {max(taken) + 1}"
    for name, sender in messaging.senders.items():
        if not sender.hosts and not sender.client_certificate:
            yield (("senders", name), "anybody could send in its name",
                   "write `hosts: [10.1.2.3]`, or `client_certificate` with `tls: true` at `listen`")
        if sender.client_certificate and not (listen.tls and settings.tls and settings.tls.ca):
            yield (("senders", name, "client_certificate"), "nothing asks for a certificate",
                   "write `tls: true` at `listen`, and give the node a `tls` with a `ca`")


def _of_server(where: Where, server: FhirServer) -> Iterator[tuple[Where, str, str]]:
    shown = [key for key in ("token_file", "user", "oauth2") if getattr(server, key)]
    if len(shown) > 1:
        yield (*where, shown[1]), f"there is `{shown[0]}`, too", "write one of the two"
    if (server.user is None) != (server.password_file is None):
        yield where, "a user without password_file, or the reverse", "write both, or neither"
    urls = [("url", server.url)] + ([("oauth2", server.oauth2.token_url)] if server.oauth2 else [])
    for key, url in urls:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
            yield (*where, key), "patients and tokens would be readable by anybody on the way", "write https://…"
