"""From a YAML file to a configuration, or to every mistake in it with line and cure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.tokens import TagToken

from radnode.config.peers import Peer
from radnode.config.routes import PRIORITIES, ConditionReader, Route, nearest
from radnode.config.settings import Settings, overridden

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

LARGEST_FILE = 1_000_000
SECTIONS = ("node", "peers", "routes")

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
    """What an administrator wrote, checked. digest: SHA-256 of what it means, not of how it is laid out."""

    settings: Settings
    peers: Mapping[str, Peer]
    routes: tuple[Route, ...]
    digest: str
    path: Path | None = None
    name: str = ""
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False, compare=False)


def load(path: Path) -> Configuration:
    """Read a file. Raises :class:`ConfigError`."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError([Problem(file=str(path), line=1, message="the file is too large", cure="below 1 MB")])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        cure = "give the file with --config, or start from the commented defaults/radnode.yaml"
        raise ConfigError([Problem(file=str(path), line=1, message="there is no such file", cure=cure)]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(file=str(path), line=1, message=str(error), cure="save it as UTF-8")]) from error
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
    """Names of changed settings; only peers and routes are taken over by a running node."""
    return [name for name in Settings.model_fields if getattr(old.settings, name) != getattr(new.settings, name)]


def check_references(configuration: Configuration, pipelines: Collection[str]) -> list[Problem]:
    """Routes that run or send what does not exist here."""
    problems = []
    for number, route in enumerate(configuration.routes):
        for name in route.run:
            if name not in pipelines:
                cure = nearest(name, pipelines) or f"installed are {', '.join(sorted(pipelines)) or 'none'}"
                problems.append(_problem(configuration, number, "run", f'no pipeline "{name}" is installed', cure))
        for name in route.send:
            peer = configuration.peers.get(name)
            if peer is None:
                cure = nearest(name, configuration.peers) or f"peers are {', '.join(configuration.peers) or 'none'}"
                problems.append(_problem(configuration, number, "send", f'no peer is named "{name}"', cure))
            elif not peer.receives:
                cure = f"set `receives: true` at peers.{name}"
                problems.append(_problem(configuration, number, "send", f'peer "{name}" does not receive', cure))
    return problems


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
        document = self._document()
        for key in document:
            if key not in SECTIONS:
                self._report([key], f'unknown section "{key}"', nearest(key, SECTIONS) or f"use {', '.join(SECTIONS)}")
        settings = self._settings(document.get("node") or {})
        peers = self._peers(document.get("peers") or {})
        routes = self._routes(document.get("routes") or [])
        self._cross_check(peers)
        if self._problems or settings is None:
            raise ConfigError(sorted(self._problems, key=lambda problem: problem.line))
        return Configuration(
            settings=settings,
            peers=peers,
            routes=tuple(routes),
            digest=_digest(document),
            path=self._path,
            name=self._name,
            lines=self._lines,
        )

    def _document(self) -> dict[str, Any]:
        self._refuse_tags_and_aliases()
        try:
            document = YAML(typ="rt").load(self._text)
        except DuplicateKeyError as error:
            raise self._broken(error, "a key stands twice", "keep one of them") from error
        except MarkedYAMLError as error:
            raise self._broken(error, error.problem or "not YAML", "check indentation and colons") from error
        if document is None:
            document = CommentedMap()
        if not isinstance(document, CommentedMap):
            raise ConfigError(
                [Problem(file=self._name, line=1, message="not a mapping", cure=f"use {', '.join(SECTIONS)}")]
            )
        self._note_lines(document, ())
        return _plain(document)  # type: ignore[no-any-return]

    def _refuse_tags_and_aliases(self) -> None:
        """Neither is needed here; the first can name code, the second can grow without bound (YAML 1.2, 3.2.2)."""
        yaml = YAML(typ="rt")
        try:
            problems = [
                (token.start_mark.line, "a YAML tag", "write the plain value")
                for token in yaml.scan(self._text)
                if isinstance(token, TagToken)
            ] + [
                (event.start_mark.line, "a YAML alias", "write the value again")
                for event in YAML(typ="rt").parse(self._text)
                if isinstance(event, AliasEvent)
            ]
        except MarkedYAMLError as error:
            raise self._broken(error, error.problem or "not YAML", "check indentation and colons") from error
        if problems:
            raise ConfigError(
                [
                    Problem(file=self._name, line=line + 1, message=f"{what} is not used here", cure=cure)
                    for line, what, cure in problems
                ]
            )

    def _broken(self, error: MarkedYAMLError, message: str, cure: str) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        message = " ".join(message.split()) if len(message) < 200 else message.split("\n", 1)[0]
        return ConfigError([Problem(file=self._name, line=line, message=message, cure=cure)])

    def _note_lines(self, node: object, path: tuple[str | int, ...]) -> None:
        if isinstance(node, CommentedMap):
            for key, value in node.items():
                self._lines[*path, key] = node.lc.key(key)[0] + 1
                self._note_lines(value, (*path, key))
        elif isinstance(node, CommentedSeq):
            for number, value in enumerate(node):
                self._lines[*path, number] = node.lc.item(number)[0] + 1
                self._note_lines(value, (*path, number))

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
        if settings is None or settings.data.is_absolute():
            return settings
        base = self._path.parent if self._path else Path.cwd()
        return settings.model_copy(update={"data": base / settings.data})

    def _peers(self, section: object) -> dict[str, Peer]:
        if not isinstance(section, dict):
            self._report(["peers"], "not a mapping", "write a name, and below it ae_title, host, port")
            return {}
        peers = {}
        for name, fields in section.items():
            if not isinstance(fields, dict):
                self._report(["peers", name], "not a mapping", "write ae_title, host and port below the name")
            elif (peer := self._model(Peer, {**fields, "name": str(name)}, ["peers", name])) is not None:
                peers[str(name)] = peer
        return peers

    def _routes(self, section: object) -> list[Route]:
        if not isinstance(section, list):
            self._report(["routes"], "not a list", "begin each route with `- name: …`")
            return []
        routes = [route for number, each in enumerate(section) if (route := self._route(number, each)) is not None]
        seen: set[str] = set()
        for number, route in enumerate(routes):
            if route.name in seen:
                self._report(["routes", number], f'a second route is named "{route.name}"', "give it its own name")
            seen.add(route.name)
        return routes

    def _route(self, number: int, section: object) -> Route | None:
        path: list[str | int] = ["routes", number]
        if not isinstance(section, dict):
            self._report(path, "not a mapping", "write name, when, run and send")
            return None
        before = len(self._problems)
        known = ("name", "when", "run", "send", "priority", "enabled")
        for key in section:
            if key not in known:
                self._report([*path, key], f'unknown key "{key}"', nearest(key, known) or f"use {', '.join(known)}")
        name = section.get("name")
        if not isinstance(name, str) or not name.strip():
            self._report(path, "the route has no name", "write `name: chest-ct`")
        priority = section.get("priority", "routine")
        if priority not in PRIORITIES:
            self._report([*path, "priority"], f'unknown priority "{priority}"', f"use {', '.join(PRIORITIES)}")
        enabled = section.get("enabled", True)
        if not isinstance(enabled, bool):
            self._report([*path, "enabled"], "neither true nor false", "write true or false")
        when = ConditionReader(self._report).read(section.get("when"), [*path, "when"])
        run, send = self._names(section, path, "run"), self._names(section, path, "send")
        if len(self._problems) > before:
            return None
        return Route(name=str(name).strip(), when=when, run=run, send=send, priority=priority, enabled=enabled)

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
            for each in error.errors():
                where = [*path, *each["loc"]]
                if each["type"] == "extra_forbidden":
                    names = [name for name in model.model_fields if name != "name"]
                    cure = nearest(str(each["loc"][-1]), names) or f"use {', '.join(names)}"
                    self._report(where, "unknown key", cure)
                elif each["type"] == "missing":
                    self._report(where, "missing", f"write `{each['loc'][-1]}: …`")
                else:
                    self._report(where, f"{each['input']!r} is wrong", each["msg"].removeprefix("Value error, "))
            return None

    def _cross_check(self, peers: Mapping[str, Peer]) -> None:
        """Two senders under one AE title must differ in address, or the ledger could not tell them apart."""
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


def _plain(node: object) -> Any:
    """Plain dictionaries, lists and scalars of what the round-trip loader made."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(each) for each in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
