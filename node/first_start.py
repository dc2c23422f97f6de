"""The guided first start: which steps there are, which are done, and what each writes into the configuration. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from ruamel.yaml.comments import CommentedMap, CommentedSeq

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from radnode.config.loading import Configuration


class Step(StrEnum):
    """In their order."""

    NAME = "name"
    SOURCE = "source"
    DESTINATION = "destination"
    ROUTE = "route"
    TEST = "test"


def done(configuration: Configuration, noted: Collection[str]) -> frozenset[Step]:
    """What need not be done any more: what the configuration has already, and what somebody has confirmed."""
    peers = configuration.peers.values()
    has = {
        Step.SOURCE: any(peer.sends for peer in peers),
        Step.DESTINATION: any(peer.receives for peer in peers),
        Step.ROUTE: any(route.enabled and route.run for route in configuration.routes),
    }
    return frozenset(step for step in Step if has.get(step, step in noted))


def next_step(finished: Collection[Step]) -> Step:
    """Where to go on; the last one where all are done."""
    return next((step for step in Step if step not in finished), Step.TEST)


def named(ae_title: str) -> Callable[[CommentedMap], None]:
    """The node's own AE title."""

    def edit(document: CommentedMap) -> None:
        _section(document, "node")["ae_title"] = ae_title

    return edit


def with_peer(name: str, entry: Mapping[str, object]) -> Callable[[CommentedMap], None]:
    """A peer, or these keys of one that is there."""

    def edit(document: CommentedMap) -> None:
        peers = _section(document, "peers")
        if not isinstance(peers.get(name), dict):
            peers[name] = CommentedMap()
        peers[name].update(entry)

    return edit


def with_route(
    name: str, when: Mapping[str, object], pipeline: str, destination: str
) -> Callable[[CommentedMap], None]:
    """A route at the end of the list."""

    def edit(document: CommentedMap) -> None:
        if not isinstance(document.get("routes"), list):
            document["routes"] = CommentedSeq()
        document["routes"].append(CommentedMap({
            "name": name, "when": CommentedMap(when), "run": [pipeline], "send": [destination],
        }))

    return edit


def _section(document: CommentedMap, name: str) -> CommentedMap:
    if not isinstance(document.get(name), dict):
        document[name] = CommentedMap()
    section: CommentedMap = document[name]
    return section


Outcome = Literal["under way", "arrived", "nothing ran", "not read", "failed"]


def outcome(study: Mapping[str, Any] | None) -> Outcome:
    """What became of the test study, from what the node knows of it (:meth:`Answers.study`)."""
    if not study or not study["series"] or any(each["state"] == "OPEN" for each in study["series"]):
        return "under way"
    jobs, deliveries = study["jobs"], study["deliveries"]
    if not jobs:
        return "nothing ran"
    if any(job["state"] in ("WAITING", "RUNNING") for job in jobs):
        return "under way"
    if any(job["state"] == "FAILED" for job in jobs) or any(each["state"] == "DEAD" for each in deliveries):
        return "failed"
    if any(job["state"] == "NOT_PROCESSED" for job in jobs):
        return "not read"
    if not deliveries or any(each["state"] in ("WAITING", "SENDING") for each in deliveries):
        return "under way"
    return "arrived"
