"""Changes of one route in the document, for the configuration desk. Each leaves everything else alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from radnode.node.drafting.form import laid_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


_USUAL = {"enabled": True, "shadow": False, "priority": "routine", "within": None, "priors": None}
"""What the form leaves out because it is usual may stand in the file all the same."""


class NoSuchRoute(Exception):
    """There is no route of this name any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no route {name} any more; somebody renamed or deleted it; "
                         "go back to the version that has it, or write it as a new route")


def put(name: str | None, section: Mapping[str, Any]) -> Callable[[CommentedMap], None]:
    """Make the route of this name say this; None: a new one, the last."""

    def edit(document: CommentedMap) -> None:
        if name is None:
            routes = document.get("routes")
            if not isinstance(routes, CommentedSeq):
                routes = document["routes"] = CommentedSeq(routes or [])
            routes.append(laid_out(section))
        else:
            routes, place = _found(document, name)
            _assign(routes[place], section)

    return edit


def put_plain(name: str | None, section: Mapping[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What :func:`put` means, of plain data, which stays as it was."""

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        routes = list(document.get("routes") or [])
        if name is None:
            routes.append(section)
        else:
            routes[place_of(routes, name)] = section
        return {**document, "routes": routes}

    return edit


def switch(name: str, key: str, value: bool, usual: bool) -> Callable[[CommentedMap], None]:
    """Set `enabled` or `shadow` of a route. usual: what it is where nothing is said."""

    def edit(document: CommentedMap) -> None:
        routes, place = _found(document, name)
        if key in routes[place] or value != usual:
            _set(routes[place], key, value)

    return edit


def _found(document: CommentedMap, name: str) -> tuple[CommentedSeq, int]:
    routes = document.get("routes") or CommentedSeq()
    return routes, place_of(routes, name)


def place_of(routes: Sequence[Any], name: str) -> int:
    """Where the route of this name stands, counted from 0. Raises :class:`NoSuchRoute`."""
    for place, each in enumerate(routes):
        if isinstance(each, dict) and str(each.get("name", "")).strip() == name:
            return place
    raise NoSuchRoute(name)


def _assign(target: CommentedMap, wanted: Mapping[str, Any]) -> None:
    """Only what differs is written: comments and layout of the rest stay."""
    for key in [each for each in target if each not in wanted]:
        if key not in _USUAL:
            del target[key]
        elif target[key] != _USUAL[key]:
            target[key] = _USUAL[key]
    for key, value in wanted.items():
        if key in target and _same(target[key], value):
            continue
        if isinstance(value, dict) and isinstance(target.get(key), CommentedMap):
            _assign(target[key], value)
        else:
            _set(target, key, laid_out(value, 1))


def _set(target: CommentedMap, key: str, value: Any) -> None:
    """A new key comes before the last one: to that ruamel ties the comments above what follows."""
    if key in target:
        target[key] = value
    else:
        target.insert(max(len(target) - 1, 0), key, value)


def _same(present: Any, wanted: Any) -> bool:
    if isinstance(present, dict) and isinstance(wanted, dict):
        return list(present) == list(wanted) and all(_same(present[key], wanted[key]) for key in wanted)
    if isinstance(present, list) and isinstance(wanted, list):
        return len(present) == len(wanted) and all(map(_same, present, wanted))
    if isinstance(present, list) != isinstance(wanted, list):
        one, other = (each if isinstance(each, list) else [each] for each in (present, wanted))
        return len(one) == len(other) == 1 and _same(one[0], other[0])
    if isinstance(present, bool) or isinstance(wanted, bool):
        return present is wanted
    return str(present) == str(wanted)
