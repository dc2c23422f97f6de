"""From a YAML file to a configuration, or to every mistake in it with line and cure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from radnode.config import access, backup, deidentification, messaging, pulls, security, workitems
from radnode.config.access import AccessSettings, AuditSettings
from radnode.config.alarms import AlarmSettings, contradictions
from radnode.config.document import LARGEST_TEXT, NotReadable, read_document
from radnode.config.durations import duration
from radnode.config.messaging import MessagingSettings
from radnode.config.monitoring import MonitoringSettings
from radnode.config.peers import NO_MATTER_OF_RESULTS, Peer, Section
from radnode.config.routes import PRIORITIES, ConditionReader, Route, nearest
from radnode.config.settings import TAKEN_OVER, Settings, overridden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from pydantic_core import ErrorDetails

    from radnode.config.messaging import FhirDestination, Hl7Destination

SECTIONS = ("node", "peers", "routes", "alarms", "access", "audit", "messaging", "workitems", "backup", "monitoring",
            *pulls.SECTIONS)

Model = TypeVar("Model", bound=BaseModel)
PlainSection = TypeVar("PlainSection", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. line: 1-based. where: the keys of what is wrong, where it is one."""

    file: str
    line: int
    message: str
    cure: str
    where: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" + (f"; {self.cure}" if self.cure else "")


class ConfigError(Exception):
    """The configuration cannot be used; every problem says what would be right."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What an administrator wrote, checked.

    disabled: the keys of each peer, archive, folder, sender and destination that is written and put aside.
    digest: SHA-256 of what it means, not of how it is laid out; the same on another machine and in another folder.
    lines: 1-based, by path.
    """

    settings: Settings
    peers: Mapping[str, Peer]
    routes: tuple[Route, ...]
    digest: str
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    retrieving: pulls.Retrieving = field(default_factory=pulls.Retrieving)
    access: AccessSettings = field(default_factory=AccessSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    messaging: MessagingSettings = field(default_factory=MessagingSettings)
    monitoring: MonitoringSettings = field(default_factory=MonitoringSettings)
    workitems: workitems.WorkItems = field(default_factory=workitems.WorkItems)
    backup: backup.BackupSettings = field(default_factory=backup.BackupSettings)
    path: Path | None = None
    name: str = ""
    disabled: tuple[tuple[str, ...], ...] = ()
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def destinations(self) -> Mapping[str, Peer | Hl7Destination | FhirDestination]:
        """Whom routes may send to, by name: peers, and who gets messages."""
        return {**self.peers, **self.messaging.destinations}


def load(path: Path) -> Configuration:
    """Read a file. Raises :class:`ConfigError`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        cure = "give the file with --config, or start from the commented defaults/radnode.yaml"
        raise ConfigError([Problem(file=str(path), line=1, message="there is no such file", cure=cure)]) from error
    except OSError as error:
        message = error.strerror or str(error)
        cure = "give a file that this account may read"
        raise ConfigError([Problem(file=str(path), line=1, message=message, cure=cure)]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(file=str(path), line=line, message="not UTF-8", cure="save it as UTF-8")]) from error
    return parse(text, str(path), path.resolve())


def parse(text: str, name: str, path: Path | None = None) -> Configuration:
    """Read a text that is called `name` in messages, as if it stood at `path`. Raises :class:`ConfigError`."""
    try:
        document, lines = read_document(text)
    except NotReadable as error:
        raise not_readable(error, name) from error
    return understood(document, lines, name, path)


def understood(
    document: Mapping[str, Any], lines: Mapping[tuple[str | int, ...], int], name: str, path: Path | None = None
) -> Configuration:
    """What :func:`~radnode.config.document.read_document` gave, as a configuration. Raises :class:`ConfigError`."""
    return _Reader(lines, name, path).read(document)


def not_readable(error: NotReadable, name: str) -> ConfigError:
    """The same said of a configuration that is called `name`."""
    return ConfigError([Problem(file=name, line=line, message=what, cure=cure) for line, what, cure in error.flaws])


def stamp(path: Path | None) -> tuple[int, int, int] | None:
    """Changes whenever the file does; None when there is no file (an editor may be replacing it)."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def needs_restart(old: Configuration, new: Configuration) -> list[str]:
    """Names of changed settings that a running node does not take over."""
    changed = [
        name
        for name in Settings.model_fields
        if name not in TAKEN_OVER and getattr(old.settings, name) != getattr(new.settings, name)
    ]
    return [*changed, *(
        f"messaging.{name}" for name in messaging.AT_START
        if getattr(old.messaging, name) != getattr(new.messaging, name)
    )]


class _Reader:
    """One reading of one document; collects all problems before it gives up."""

    def __init__(self, lines: Mapping[tuple[str | int, ...], int], name: str, path: Path | None) -> None:
        self._lines = lines
        self._name = name
        self._path = path
        self._problems: list[Problem] = []

    def read(self, document: Mapping[str, Any]) -> Configuration:
        for key in document:
            if key not in SECTIONS:
                self._report([key], f'unknown section "{key}"',
                             nearest(key, SECTIONS) or f"use one of {', '.join(SECTIONS)}")
        settings = self._settings(_given(document, "node", {}))
        peers = self._peers(_given(document, "peers", {}))
        routes = self._routes(_given(document, "routes", []))
        beside = self._beside_the_node(document, settings, peers)
        ordered = self._work_items(_given(document, "workitems", {}), routes, peers)
        retrieving = pulls.read(document, pulls.Reading(self._report, self._model), self._base)
        if settings is not None:
            self._cross_check_settings(settings)
            for where, message, cure in (
                *security.contradictions(settings, peers),
                *deidentification.contradictions(settings.data, peers, retrieving.archives),
            ):
                self._report(where, message, cure)
        self._cross_check_peers(peers)
        for at, message, cure in pulls.contradictions(retrieving, peers, routes):
            self._report(at, message, cure)
        if self._problems or settings is None:
            raise ConfigError(sorted(self._problems, key=lambda problem: problem.line))
        return Configuration(
            settings=settings,
            peers=peers,
            routes=tuple(routes),
            digest=_digest(settings, peers, routes),
            retrieving=retrieving,
            workitems=ordered or workitems.WorkItems(),
            path=self._path,
            name=self._name,
            disabled=tuple(_disabled(document)),
            lines=self._lines,
            **beside,
        )

    def _beside_the_node(
        self, document: Mapping[str, Any], settings: Settings | None, peers: Mapping[str, Peer]
    ) -> dict[str, Any]:
        """The sections beside `node` that need no routes, by their names; None for one with a problem."""
        alarms = self._alarms(_given(document, "alarms", {}))
        who = self._plain(AccessSettings, document, "access")
        audit = self._plain(AuditSettings, document, "audit")
        watched = self._plain(MonitoringSettings, document, "monitoring")
        if settings is not None and who is not None and audit is not None:
            for where, message, cure in access.contradictions(who, audit, settings):
                self._report(where, message, cure)
        messages = self._messaging(_given(document, "messaging", {}))
        if settings is not None and messages is not None:
            for where, message, cure in messaging.contradictions(messages, settings, peers):
                self._report(["messaging", *where], message, cure)
        kept = self._plain(backup.BackupSettings, document, "backup")
        if settings is not None and kept is not None:
            for where, message, cure in backup.contradictions(kept, settings):
                self._report(where, message, cure)
        return {"alarms": alarms, "access": who, "audit": audit, "messaging": messages, "backup": kept,
                "monitoring": watched}

    def _report(self, path: Sequence[str | int], message: str, cure: str) -> None:
        at = tuple(path)
        while at and at not in self._lines:
            at = at[:-1]
        where = ".".join(str(each) for each in path if not isinstance(each, int))
        self._problems.append(
            Problem(file=self._name, line=self._lines.get(at, 1), message=f"{where}: {message}", cure=cure,
                    where=tuple(path))
        )

    def _settings(self, section: object) -> Settings | None:
        if not isinstance(section, dict):
            self._report(["node"], "not a mapping", "write for example `ae_title: RADNODE` below it")
            return None
        settings = self._model(Settings, overridden(section), ["node"])
        if settings is None:
            return None
        return settings.beside(self._base)

    def _alarms(self, section: object) -> AlarmSettings | None:
        if not isinstance(section, dict):
            self._report(["alarms"], "not a mapping", "write for example `mail:` below it")
            return None
        settings = self._model(AlarmSettings, section, ["alarms"])
        if settings is None:
            return None
        for where, message, cure in contradictions(settings):
            self._report(["alarms", *where], message, cure)
        return settings.beside(self._base)

    def _plain(self, model: type[PlainSection], document: Mapping[str, Any], name: str) -> PlainSection | None:
        """A section of single values, its files relative to the configuration."""
        section = _given(document, name, {})
        if not isinstance(section, dict):
            self._report([name], "not a mapping", "write its keys below it")
            return None
        settings = self._model(model, section, [name])
        return None if settings is None else settings.beside(self._base)

    def _messaging(self, section: object) -> MessagingSettings | None:
        if not isinstance(section, dict):
            self._report(["messaging"], "not a mapping", "write for example `listen:` below it")
            return None
        settings = self._model(MessagingSettings, messaging.named(section), ["messaging"])
        return None if settings is None else messaging.beside(settings, self._base)

    def _work_items(
        self, section: object, routes: Sequence[Route], peers: Mapping[str, Peer]
    ) -> workitems.WorkItems | None:
        if not isinstance(section, dict):
            self._report(["workitems"], "not a mapping", "write for example `codes:` below it")
            return None
        found = self._model(workitems.WorkItems, section, ["workitems"])
        for where, message, cure in workitems.contradictions(found, routes, peers) if found else ():
            self._report(where, message, cure)
        return found

    @property
    def _base(self) -> Path:
        """What files that the configuration names are relative to."""
        return self._path.parent if self._path else Path.cwd()

    def _peers(self, section: object) -> dict[str, Peer]:
        if not isinstance(section, dict):
            self._report(["peers"], "not a mapping", "write a name, and below it ae_title, host, port")
            return {}
        peers = {}
        for name, fields in section.items():
            if not isinstance(fields, dict):
                self._report(["peers", name], "not a mapping", "write ae_title, host and port below the name")
            elif "name" in fields:
                self._report(["peers", name, "name"], "unknown key", "a peer is called by the key above it")
            elif (peer := self._model(Peer, {**fields, "name": str(name)}, ["peers", name])) is not None:
                peers[str(name)] = peer.beside(self._base)
        return {name: peer for name, peer in peers.items() if peer.enabled}

    def _routes(self, section: object) -> list[Route]:
        if not isinstance(section, list):
            self._report(["routes"], "not a list", "begin each route with `- name: …`")
            return []
        routes = []
        seen: set[str] = set()
        for number, each in enumerate(section):
            name = each.get("name") if isinstance(each, dict) else None
            if isinstance(name, str):
                if name.strip() in seen:
                    message = f'a second route is named "{name.strip()}"'
                    self._report(["routes", number, "name"], message, "give it its own name")
                seen.add(name.strip())
            if (route := self._route(number, each)) is not None:
                routes.append(route)
        return routes

    def _route(self, number: int, section: object) -> Route | None:
        path: list[str | int] = ["routes", number]
        if not isinstance(section, dict):
            self._report(path, "not a mapping", "write name, when, run and send")
            return None
        before = len(self._problems)
        known = ("name", "when", "run", "send", "forward", "priority", "within", "enabled", "shadow", "priors")
        for key in section:
            if key not in known:
                self._report([*path, key], f'unknown key "{key}"',
                             nearest(key, known) or f"use one of {', '.join(known)}")
        name = section.get("name")
        if not isinstance(name, str) or not name.strip():
            self._report(path, "the route has no name", "write `name: chest-ct`")
        priority = section.get("priority", "routine")
        if priority not in PRIORITIES:
            self._report([*path, "priority"], f'unknown priority "{priority}"', f"use one of {', '.join(PRIORITIES)}")
        within = self._within(section, path)
        enabled, shadow = section.get("enabled", True), section.get("shadow", False)
        for key, value in (("enabled", enabled), ("shadow", shadow)):
            if not isinstance(value, bool):
                self._report([*path, key], "neither true nor false", "write true or false")
        if shadow is True and "forward" in section:
            self._report([*path, "shadow"], "a route in shadow sends nothing, and this one forwards images",
                         "take out `forward`, or write a route of its own for it")
        when = ConditionReader(self._report).read(section.get("when"), [*path, "when"])
        forward = self._names(section, path, "forward") if "forward" in section else ()
        images_only = "forward" in section and not section.keys() & {"run", "send"}
        run, send = ((), ()) if images_only else (self._names(section, path, key) for key in ("run", "send"))
        priors = pulls.priors(section.get("priors"), pulls.Reading(self._report, self._model), [*path, "priors"])
        if len(self._problems) > before:
            return None
        return Route(name=str(name).strip(), when=when, run=run, send=send, priority=priority, within=within,
                     enabled=enabled, priors=priors, forward=forward, shadow=shadow)

    def _within(self, section: Mapping[str, object], path: list[str | int]) -> timedelta | None:
        if section.get("within") is None:
            return None
        try:
            return cast("timedelta", duration(section["within"]))
        except ValueError as error:
            self._report([*path, "within"], "not a time", str(error))
            return None

    def _names(self, section: Mapping[str, object], path: list[str | int], key: str) -> tuple[str, ...]:
        value = section.get(key)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            example = {"run": "[ct-lung]", "send": "[PACS1]"}.get(key, "[RESEARCH]")
            self._report([*path, key], f"`{key}` needs a list of names", f"write for example `{key}: {example}`")
            return ()
        return tuple(value)

    def _model(self, model: type[Model], fields: dict[str, Any], path: Sequence[str | int]) -> Model | None:
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                self._report_invalid(each, model, path)
            return None

    def _report_invalid(self, each: ErrorDetails, model: type[BaseModel], path: Sequence[str | int]) -> None:
        where, last = [*path, *each["loc"]], str(each["loc"][-1]) if each["loc"] else ""
        if each["type"] == "extra_forbidden":
            known = _section_at(model, each["loc"]).model_fields.items()
            names = [info.alias or name for name, info in known if name != "name"]
            self._report(where, "unknown key", nearest(last, names) or f"use one of {', '.join(names)}")
        elif each["type"] == "missing":
            self._report(where, "missing", f"write `{last}: …`")
        elif each["type"] == "too_short":
            self._report(where, "empty", "give at least one")
        elif last == "database_url":  # it may hold a password
            self._report(where, "not a database that is supported", each["msg"].removeprefix("Value error, "))
        else:
            given = shorten(repr(each["input"]), 80)
            self._report(where, f"{given} is wrong", each["msg"].removeprefix("Value error, "))

    def _cross_check_settings(self, settings: Settings) -> None:
        if settings.settle_time_s > settings.quiet_time_s:
            self._report(
                ["node", "settle_time_s"],
                f"longer than quiet_time_s ({settings.quiet_time_s:g})",
                "proof is believed after less silence than silence alone",
            )
        stated = ("node", "max_associations_per_host") in self._lines
        if stated and settings.max_associations_per_host > settings.max_associations:
            self._report(
                ["node", "max_associations_per_host"],
                f"more than max_associations ({settings.max_associations})",
                f"use at most {settings.max_associations}",
            )

    def _cross_check_peers(self, peers: Mapping[str, Peer]) -> None:
        """Two senders under one AE title must differ in address, or the ledger could not tell them apart."""
        for peer in peers.values():
            if peer.expect is not None and not peer.sends:
                self._report(["peers", peer.name, "expect"], "nothing comes from it", "write `sends: true`, too")
        senders = [peer for peer in peers.values() if peer.sends]
        for place, one in enumerate(senders):
            for other in senders[place + 1 :]:
                if one.ae_title == other.ae_title and _overlap(one.hosts, other.hosts):
                    self._report(
                        ["peers", other.name, "ae_title"],
                        f'peer "{one.name}" sends under the same AE title from the same addresses',
                        "give either its own `hosts`, or make them one peer",
                    )


def _overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    first, second = [[ipaddress.ip_network(each) for each in networks] for networks in (one, other)]
    if not first or not second:
        return True
    return any(a.version == b.version and a.overlaps(b) for a in first for b in second)


def _section_at(model: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel]:
    """The model of the section in which the last key of a path stands."""
    for key in where[:-1]:
        for name, info in model.model_fields.items():
            if key == (info.alias or name):
                model = next(_models_in(info.annotation), model)
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)


_MAPPINGS = (("peers",), ("archives",), ("messaging", "senders"), ("messaging", "hl7"), ("messaging", "fhir"))


def _disabled(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Of a sound document: what says `enabled: false` of itself. Pulls and routes do so and stay what they are."""
    for where in _MAPPINGS:
        found: Any = document
        for key in where:
            found = found.get(key) or {}
        yield from ((*where, str(name)) for name, each in found.items() if each and each.get("enabled") is False)
    yield from (("folders", each["name"]) for each in document.get("folders") or [] if each.get("enabled") is False)


def _given(document: Mapping[str, Any], section: str, empty: object) -> object:
    value = document.get(section)
    return empty if value is None else value


def _digest(settings: Settings, peers: Mapping[str, Peer], routes: Sequence[Route]) -> str:
    meaning = {
        # Where is not what; and a URL may hold a password.
        "node": settings.model_dump(mode="json", exclude={"data", "models", "database_url", "tls", "dicomweb"}),
        "peers": {
            name: peer.model_dump(mode="json", exclude=NO_MATTER_OF_RESULTS) for name, peer in peers.items()
        },
        "routes": [asdict(route) for route in routes],
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()
