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

from radnode.config import security, workitems
from radnode.config.alarms import AlarmSettings, contradictions, files
from radnode.config.document import LARGEST_TEXT, NotReadable, read_document
from radnode.config.durations import duration
from radnode.config.peers import NO_MATTER_OF_RESULTS, Peer
from radnode.config.routes import PRIORITIES, SOURCE, ConditionReader, Route, nearest, tests_of
from radnode.config.settings import TAKEN_OVER, Settings, overridden

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from pydantic_core import ErrorDetails

SECTIONS = ("node", "peers", "routes", "alarms", "workitems")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. line: 1-based."""

    file: str
    line: int
    message: str
    cure: str

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

    digest: SHA-256 of what it means, not of how it is laid out; the same on another machine and in another folder.
    lines: 1-based, by path.
    """

    settings: Settings
    peers: Mapping[str, Peer]
    routes: tuple[Route, ...]
    digest: str
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    workitems: workitems.WorkItems = field(default_factory=workitems.WorkItems)
    path: Path | None = None
    name: str = ""
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False, compare=False)


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
    return _Reader(text, str(path), path.resolve()).read()


def parse(text: str, name: str) -> Configuration:
    """Read a text that is called `name` in messages. Raises :class:`ConfigError`."""
    return _Reader(text, name, None).read()


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
    return [
        name
        for name in Settings.model_fields
        if name not in TAKEN_OVER and getattr(old.settings, name) != getattr(new.settings, name)
    ]


def check_references(configuration: Configuration, pipelines: Collection[str]) -> list[Problem]:
    """Routes that name what does not exist here: pipelines to run, peers to send to, peers that are the source."""
    return [
        problem
        for number, route in enumerate(configuration.routes)
        for problem in (
            *_unknown_pipelines(configuration, number, route, pipelines),
            *_unknown_destinations(configuration, number, route),
            *_unknown_sources(configuration, number, route),
        )
    ]


def named_files(configuration: Configuration) -> list[tuple[tuple[str, ...], Path]]:
    """Every file that the configuration names beside the data, and where."""
    of_alarms = [(("alarms", *where), path) for where, path in files(configuration.alarms)]
    return [*security.files(configuration.settings, configuration.peers), *of_alarms]


def check_files(configuration: Configuration) -> list[Problem]:
    """Files that the configuration names and that this account cannot read. They may come later: no ground to refuse
    to start, but for the node's own certificate.
    """
    problems = []
    for where, path in named_files(configuration):
        try:
            path.open("rb").close()
        except OSError as error:
            problems.append(Problem(
                file=configuration.name, line=configuration.lines.get(where, 1),
                message=f"{'.'.join(where)}: {path} cannot be read: {error.strerror}",
                cure="put it there, readable for the account of the node",
            ))
    return problems


def _unknown_pipelines(
    configuration: Configuration, number: int, route: Route, pipelines: Collection[str]
) -> Iterator[Problem]:
    for name in route.run:
        if name not in pipelines:
            cure = nearest(name, pipelines) or f"installed are {', '.join(sorted(pipelines)) or 'none'}"
            yield _problem(configuration, number, "run", f'no pipeline "{name}" is installed', cure)


def _unknown_destinations(configuration: Configuration, number: int, route: Route) -> Iterator[Problem]:
    for name in route.send:
        peer = configuration.peers.get(name)
        if peer is None:
            cure = nearest(name, configuration.peers) or f"peers are {', '.join(configuration.peers) or 'none'}"
            yield _problem(configuration, number, "send", f'no peer is named "{name}"', cure)
        elif not peer.receives:
            cure = f"set `receives: true` at peers.{name}"
            yield _problem(configuration, number, "send", f'peer "{name}" does not receive', cure)


def _unknown_sources(configuration: Configuration, number: int, route: Route) -> Iterator[Problem]:
    """A `source` that no sender can be would make a route that silently never matches."""
    if configuration.settings.accept_unknown_peers:
        return
    senders = [name for name, peer in configuration.peers.items() if peer.sends]
    known = {name.strip().casefold() for name in senders}
    for test in tests_of(route.when):
        if test.attribute == SOURCE and test.operator in ("is", "in"):
            for name in test.operand if isinstance(test.operand, tuple) else (test.operand,):
                if str(name).strip().casefold() not in known:
                    cure = nearest(str(name), senders) or f"peers that send are {', '.join(senders) or 'none'}"
                    yield _problem(configuration, number, "when", f'source: no peer that sends is named "{name}"', cure)


def _problem(configuration: Configuration, route: int, key: str, message: str, cure: str) -> Problem:
    line = configuration.lines.get(("routes", route, key), 1)
    return Problem(
        file=configuration.name, line=line, message=f"routes.{configuration.routes[route].name}: {message}", cure=cure
    )


class _Reader:
    """One reading of one text; collects all problems before it gives up."""

    def __init__(self, text: str, name: str, path: Path | None) -> None:
        self._text = text
        self._name = name
        self._path = path
        self._problems: list[Problem] = []
        self._lines: dict[tuple[str | int, ...], int] = {}

    def read(self) -> Configuration:
        try:
            document, self._lines = read_document(self._text)
        except NotReadable as error:
            raise ConfigError(
                [Problem(file=self._name, line=line, message=what, cure=cure) for line, what, cure in error.flaws]
            ) from error
        for key in document:
            if key not in SECTIONS:
                self._report([key], f'unknown section "{key}"', nearest(key, SECTIONS) or f"use {', '.join(SECTIONS)}")
        settings = self._settings(_given(document, "node", {}))
        peers = self._peers(_given(document, "peers", {}))
        routes = self._routes(_given(document, "routes", []))
        alarms = self._alarms(_given(document, "alarms", {}))
        ordered = self._work_items(_given(document, "workitems", {}), routes, peers)
        if settings is not None:
            self._cross_check_settings(settings)
            for where, message, cure in security.contradictions(settings, peers):
                self._report(where, message, cure)
        self._cross_check_peers(peers)
        if self._problems or settings is None or alarms is None:
            raise ConfigError(sorted(self._problems, key=lambda problem: problem.line))
        return Configuration(
            settings=settings,
            peers=peers,
            routes=tuple(routes),
            digest=_digest(settings, peers, routes),
            alarms=alarms,
            workitems=ordered or workitems.WorkItems(),
            path=self._path,
            name=self._name,
            lines=self._lines,
        )

    def _report(self, path: Sequence[str | int], message: str, cure: str) -> None:
        at = tuple(path)
        while at and at not in self._lines:
            at = at[:-1]
        where = ".".join(str(each) for each in path if not isinstance(each, int))
        self._problems.append(
            Problem(file=self._name, line=self._lines.get(at, 1), message=f"{where}: {message}", cure=cure)
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
        return peers

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
        known = ("name", "when", "run", "send", "priority", "within", "enabled")
        for key in section:
            if key not in known:
                self._report([*path, key], f'unknown key "{key}"', nearest(key, known) or f"use {', '.join(known)}")
        name = section.get("name")
        if not isinstance(name, str) or not name.strip():
            self._report(path, "the route has no name", "write `name: chest-ct`")
        priority = section.get("priority", "routine")
        if priority not in PRIORITIES:
            self._report([*path, "priority"], f'unknown priority "{priority}"', f"use {', '.join(PRIORITIES)}")
        within = self._within(section, path)
        enabled = section.get("enabled", True)
        if not isinstance(enabled, bool):
            self._report([*path, "enabled"], "neither true nor false", "write true or false")
        when = ConditionReader(self._report).read(section.get("when"), [*path, "when"])
        run, send = self._names(section, path, "run"), self._names(section, path, "send")
        if len(self._problems) > before:
            return None
        return Route(name=str(name).strip(), when=when, run=run, send=send, priority=priority, within=within,
                     enabled=enabled)

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
            example = "[ct-lung]" if key == "run" else "[PACS1]"
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
            self._report(where, "unknown key", nearest(last, names) or f"use {', '.join(names)}")
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


def _given(document: Mapping[str, Any], section: str, empty: object) -> object:
    value = document.get(section)
    return empty if value is None else value


def _digest(settings: Settings, peers: Mapping[str, Peer], routes: Sequence[Route]) -> str:
    meaning = {
        # Where is not what; and a URL may hold a password.
        "node": settings.model_dump(mode="json", exclude={"data", "models", "database_url", "tls", "dicomweb"}),
        "peers": {
            name: peer.model_dump(mode="json", exclude=set(NO_MATTER_OF_RESULTS)) for name, peer in peers.items()
        },
        "routes": [asdict(route) for route in routes],
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()
