"""A draft is examined: what is wrong with it and at which field, and what it would have made of the last days."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_description, keyword_dict

from radnode.config.loading import ConfigError, Problem, parse
from radnode.config.routes import ORDER, SOURCE, snake_case
from radnode.node.drafting import edits, history
from radnode.node.drafting.form import GROUPS, RouteForm, yaml_of
from radnode.storage import route_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.routes import Route
    from radnode.node.drafting.history import Past
    from radnode.node.pages.site import Parts

COMMON = ("modality", "body_part", "series_description", "study_description", "slice_thickness", "image_type",
          "protocol_name", "source", "manufacturer", "convolution_kernel", "magnetic_field_strength", "patient_age",
          "rows", "contrast_bolus_agent", "view_position", "order_priority")
MOST_SUGGESTED = 30
REMEMBERED_S = 60.0
"""So long the past is not read again: whoever writes a condition changes it letter by letter."""
FIELDS = ("route", "name", "when", "run", "send", "forward", "priority", "within", "priors", "shadow", "enabled")

MEANINGS = {
    "body_part": "Body Part Examined", SOURCE: "the peer that sent it", **dict.fromkeys(ORDER, "of the order"),
    **{snake_case(keyword): dictionary_description(tag) for keyword, tag in keyword_dict.items() if keyword},
}
"""Attribute as a route calls it -> what it is."""


def suggestions(asked: str) -> list[tuple[str, str]]:
    """Names of attributes with what they mean: those that begin so, then those that contain it; common ones first."""
    word = asked.strip().lower().replace(" ", "_")
    known = MEANINGS if word else {name: MEANINGS[name] for name in COMMON}
    first = [name for name in known if name.startswith(word)]
    return [(name, known[name]) for name in sorted(first, key=lambda name: (name not in COMMON, len(name)))
            + [name for name in known if word in name[1:] and name not in first]][:MOST_SUGGESTED]


class Memory:
    """The last days, read once a minute."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._known: dict[int, tuple[float, Past]] = {}

    def past(self, days: int) -> Past:
        """The series of so many days."""
        with self._lock:
            at, found = self._known.get(days, (0.0, None))
            if found is None or time.monotonic() - at > REMEMBERED_S:
                with self._parts.database.read() as session:
                    found = history.past(session, self._parts.now(), days)
                self._known = {days: (time.monotonic(), found)}  # one span at a time: two would be twice the memory
            return found


def examined(parts: Parts, section: dict[str, Any], original: str) -> tuple[list[Problem], list[Route], Route | None]:
    """What is wrong with a draft, the routes with it in its place, and the draft as it would be judged."""
    routes: list[Route] = []
    route = None
    try:
        routes, route = _in_place(parts, section, original)
        parts.desk.check_data(edits.put_plain(original or None, section))
    except ConfigError as error:
        return list(error.problems), routes, route
    except edits.NoSuchRoute as error:
        return [Problem(file="draft", line=1, message=f"routes: {error}", cure="")], [], None
    return [], routes, route


def in_place(parts: Parts, section: dict[str, Any], original: str) -> tuple[list[Route], Route | None]:
    """The routes with a draft in its place, and the draft; None where it is no route yet, or its place is gone."""
    try:
        return _in_place(parts, section, original)
    except (ConfigError, edits.NoSuchRoute):
        return [], None


def _in_place(parts: Parts, section: dict[str, Any], original: str) -> tuple[list[Route], Route]:
    route, = parse(yaml_of(section), "draft").routes
    present = parts.configuration().routes
    if not original:
        return [*present, route], route
    if all(each.name != original for each in present):
        raise edits.NoSuchRoute(original)
    return [route if each.name == original else each for each in present], route


def changes(parts: Parts, routes: Sequence[Route], past: Past) -> list[history.Change]:
    """What would run otherwise with these routes."""
    present = parts.configuration().routes
    manifests = parts.installed().manifests
    names = {name for route in (*present, *routes) for name in route.run}
    with parts.database.read() as session:
        seconds = {name: route_history.median_seconds(session, name) for name in names}
    of_study = {name for name in names if name in manifests and manifests[name].of_study}
    return history.changes(present, routes, past, seconds, of_study)


def by_field(problems: Sequence[Problem], form: RouteForm) -> dict[str, list[str]]:
    """Field -> sentences. A problem says first where it is (`routes.when.modality: …`)."""
    wrong: dict[str, list[str]] = {}
    for each in problems:
        where, _, what = each.message.partition(": ")
        said = f"{what or where}; {each.cure}" if each.cure else what or where
        wrong.setdefault(_field(where.split("."), form), []).append(said)
    return wrong


def _field(where: Sequence[str], form: RouteForm) -> str:
    """`route` for what belongs to no field of its own, `line-N` for the N-th condition."""
    keys = list(where[1:]) if where[:1] == ["routes"] else []
    if not keys or keys[0] not in FIELDS:
        return "route"
    if keys[0] != "when" or len(keys) == 1:
        return keys[0]
    group = keys[1] if keys[1] in GROUPS else ""
    rest = keys[2:] if group else keys[1:]
    of_group = [(n, each) for n, each in enumerate(form.lines) if each.group == group]
    named = [(n, each) for n, each in of_group if rest and each.attribute.strip() == rest[0]]
    exact = [n for n, each in named if len(rest) > 1 and each.operator == rest[1].removesuffix(" (twice)")]
    found = exact or [n for n, _ in named] or [n for n, _ in of_group]
    return f"line-{found[-1]}" if found else "when"


