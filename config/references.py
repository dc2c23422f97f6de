"""What a configuration names that does not exist here: pipelines, peers, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.config import access, messaging, pulls, security
from radnode.config.alarms import files
from radnode.config.loading import Problem
from radnode.config.routes import SOURCE, nearest, tests_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route


def check_references(configuration: Configuration, pipelines: Collection[str]) -> list[Problem]:
    """Routes that name what does not exist here: pipelines to run, peers to send to, peers that are the source."""
    return [
        problem
        for number, route in enumerate(configuration.routes)
        for problem in (
            *_unknown_pipelines(configuration, number, route, pipelines),
            *_unknown_destinations(configuration, number, route),
            *_unknown_outsides(configuration, number, route),
            *_unknown_sources(configuration, number, route),
        )
    ]


def named_files(configuration: Configuration) -> list[tuple[tuple[str, ...], Path]]:
    """Every file that the configuration names beside the data, and where."""
    of_alarms = [(("alarms", *where), path) for where, path in files(configuration.alarms)]
    of_archives = pulls.files(configuration.retrieving)
    of_access = access.files(configuration.access, configuration.audit)
    of_messaging = [(("messaging", *where), path) for where, path in messaging.files(configuration.messaging)]
    return [*security.files(configuration.settings, configuration.peers), *of_alarms, *of_archives, *of_access,
            *of_messaging]


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
                cure="put it there, readable for the account of the node", where=where,
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
        destinations = configuration.destinations
        peer = destinations.get(name)
        if peer is None:
            cure = _aside(configuration, name) or nearest(name, destinations)
            cure = cure or f"peers are {', '.join(destinations) or 'none'}"
            yield _problem(configuration, number, "send", f'no peer is named "{name}"', cure)
        elif not peer.receives:
            cure = f"set `receives: true` at peers.{name}"
            yield _problem(configuration, number, "send", f'peer "{name}" does not receive', cure)


def _unknown_outsides(configuration: Configuration, number: int, route: Route) -> Iterator[Problem]:
    for name in route.forward:
        peer = configuration.peers.get(name)
        if peer is None or not peer.receives or peer.deidentify is None:
            cure = _aside(configuration, name) or nearest(name, configuration.peers) if peer is None else ""
            yield _problem(configuration, number, "forward", f'forward: no peer "{name}" receives and has `deidentify`',
                           cure or "inside the hospital the archive forwards images itself")


def _unknown_sources(configuration: Configuration, number: int, route: Route) -> Iterator[Problem]:
    """A `source` that no sender can be would make a route that silently never matches."""
    if configuration.settings.accept_unknown_peers:
        return
    senders = [name for name, peer in configuration.peers.items() if peer.sends]
    senders += sorted(configuration.retrieving.sources)
    known = {name.strip().casefold() for name in senders}
    for test in tests_of(route.when):
        if test.attribute == SOURCE and test.operator in ("is", "in"):
            for name in test.operand if isinstance(test.operand, tuple) else (test.operand,):
                if str(name).strip().casefold() not in known:
                    cure = _aside(configuration, str(name)) or nearest(str(name), senders)
                    cure = cure or f"peers that send are {', '.join(senders) or 'none'}"
                    yield _problem(configuration, number, "when", f'source: no peer that sends is named "{name}"', cure)


def _aside(configuration: Configuration, name: str) -> str:
    """What would help where a name is known, and put aside."""
    return "it says `enabled: false`" if any(name == each[-1] for each in configuration.disabled) else ""


def _problem(configuration: Configuration, route: int, key: str, message: str, cure: str) -> Problem:
    line = configuration.lines.get(("routes", route, key), 1)
    return Problem(
        file=configuration.name, line=line, message=f"routes.{configuration.routes[route].name}: {message}", cure=cure,
        where=("routes", route, key),
    )
