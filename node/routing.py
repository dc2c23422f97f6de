"""Which routes a series takes, with every condition explained. Pure.

A route matches when at least one instance meets all its conditions together: a localiser in a series does not hide the
images beside it. A tag that is missing makes a condition unknown, which is no match, also below `not` (Kleene's
three-valued logic).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from radnode.config.routes import SOURCE, Test, attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from radnode.config.routes import Condition, Route

Outcome = Literal["met", "not met", "unknown"]

LONGEST_TEXT = 128
"""Characters of a value that a pattern is tried on, which bounds its time to a tenth of a second; on a longer one the
answer is unknown.

A description has 64 (PS3.5 6.2, LO)."""
AMBIGUOUS = "ambiguous"
"""Names the attributes of an instance that have no clear value; a condition on one is unknown."""
MOST_SEEN = 5
"""Distinct values shown for a condition, and elements of one value."""
LONGEST_SHOWN = 100
"""Characters shown of a value."""

_BY_TRUTH: dict[bool | None, Outcome] = {True: "met", False: "not met", None: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionExplanation:
    """One top-level condition. seen: values of its attributes. matching: instances that meet it."""

    condition: str
    outcome: Outcome
    seen: tuple[str, ...]
    matching: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplanation:
    """Why a route did or did not match. matching: instances that meet all conditions."""

    route: str
    enabled: bool
    matched: bool
    instances: int
    matching: int
    conditions: tuple[ConditionExplanation, ...]


def explain(
    routes: Sequence[Route], instances: Sequence[Mapping[str, Any]], context: Mapping[str, str]
) -> tuple[RouteExplanation, ...]:
    """Judge every route.

    instances: DICOM keyword or private tag -> value, for each instance. context: `source`, the sending peer's name, and
    what the order of the study says.
    """
    known = said(instances, context)
    return tuple(_explain(route, known) for route in routes)


def said(instances: Iterable[Mapping[str, Any]], context: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a route may ask of each instance: its attributes, and the context that :func:`explain` is given."""
    return [{**each, SOURCE: context.get(SOURCE), **context} for each in instances]


def matches(route: Route, instances: Iterable[Mapping[str, Any]]) -> bool:
    """Whether :func:`explain` would say so, of instances as :func:`said` makes them; the reasons take most of the time.
    """
    return route.enabled and any(all(_judge(each, instance) for each in route.when) for instance in instances)


def no_route(reason: str, instances: int) -> RouteExplanation:
    """Of a series that no route is asked about."""
    condition = ConditionExplanation(condition="sent to be read", outcome="not met", seen=(reason,), matching=0)
    return RouteExplanation(route="(any)", enabled=True, matched=False, instances=instances, matching=0,
                            conditions=(condition,))


def asked(routes: Sequence[Route], explanations: Iterable[RouteExplanation]) -> dict[str, list[Route]]:
    """The pipelines that run, each with the matched routes that ask for it, in the order of the routes."""
    names = {each.route for each in explanations if each.matched}
    found: dict[str, list[Route]] = {}
    for route in routes:
        for pipeline in dict.fromkeys(route.run if route.name in names else ()):
            found.setdefault(pipeline, []).append(route)
    return found


def as_json(explanations: Sequence[RouteExplanation]) -> list[dict[str, Any]]:
    """For storing and showing."""
    return [asdict(each) for each in explanations]


def render(explanations: Sequence[Mapping[str, Any]]) -> str:
    """Sentences for a person; takes what :func:`as_json` gives."""
    lines = []
    for route in explanations:
        if not route["enabled"]:
            lines.append(f"  route {route['route']}: disabled")
            continue
        answer = (
            f"matched ({route['matching']} of {route['instances']} instances meet all conditions)"
            if route["matched"]
            else "did not match"
        )
        lines.append(f"  route {route['route']}: {answer}")
        for each in route["conditions"]:
            seen = ", ".join(each["seen"]) or "no value"
            lines.append(f"    {each['outcome']:<8} {each['condition']}   seen: {seen} ({each['matching']} match)")
    return "\n".join(lines) if lines else "  there is no route"


def _explain(route: Route, instances: Sequence[Mapping[str, Any]]) -> RouteExplanation:
    table = [[_judge(condition, instance) for condition in route.when] for instance in instances]
    matching = sum(all(row) for row in table)
    return RouteExplanation(
        route=route.name,
        enabled=route.enabled,
        matched=route.enabled and matching > 0,
        instances=len(instances),
        matching=matching,
        conditions=tuple(
            _explain_condition(condition, [row[place] for row in table], instances)
            for place, condition in enumerate(route.when)
        ),
    )


def _explain_condition(
    condition: Condition, truths: Sequence[bool | None], instances: Sequence[Mapping[str, Any]]
) -> ConditionExplanation:
    overall = True if True in truths else (False if False in truths else None)
    seen: dict[str, None] = {}
    for instance in instances:
        for attribute in attributes_of(condition):
            if attribute in instance.get(AMBIGUOUS, ()):
                seen["ambiguous, it is there twice or out of order"] = None
            elif (value := _value(instance, attribute)) is not None:
                seen[_shown(value)] = None
    shown = list(seen)
    if len(shown) > MOST_SEEN:
        shown = [*shown[:MOST_SEEN], f"… {len(shown) - MOST_SEEN} more"]
    return ConditionExplanation(
        condition=_written(condition),
        outcome=_BY_TRUTH[overall],
        seen=tuple(shown),
        matching=sum(truth is True for truth in truths),
    )


def _judge(condition: Condition, instance: Mapping[str, Any]) -> bool | None:
    if isinstance(condition, Test):
        return _judge_test(condition, instance)
    truths = [_judge(member, instance) for member in condition.members]
    if condition.kind == "not":
        return None if truths[0] is None else not truths[0]
    decisive = condition.kind == "any"
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def _judge_test(test: Test, instance: Mapping[str, Any]) -> bool | None:
    if test.attribute in instance.get(AMBIGUOUS, ()):
        return None
    value = _value(instance, test.attribute)
    if test.operator == "exists":
        return (value is not None) == test.operand
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    answers = [_compare(test, each) for each in values]
    if True in answers:
        return True
    return None if None in answers else False


def _compare(test: Test, value: Any) -> bool | None:
    """One value of an attribute; None when it cannot be compared, such as a text with a number."""
    operand = test.operand
    if isinstance(value, dict):
        value = value.get("CodeMeaning", "")
    if test.operator == "is":
        return _same(value, operand)
    if test.operator == "in":
        return any(_same(value, each) for each in operand) if isinstance(operand, tuple) else None
    if test.operator == "contains":
        return _folded(operand) in _folded(value)
    if test.operator == "matches":
        return _found(str(operand), str(value)) if len(str(value)) <= LONGEST_TEXT else None
    number = _number(value)
    if number is None or isinstance(operand, (tuple, str)):
        return None
    return number >= operand if test.operator == "at_least" else number <= operand


@lru_cache(maxsize=1024)
def _found(pattern: str, text: str) -> bool:
    """Remembered, because the images of a series mostly say the same."""
    return re.search(pattern, text) is not None


def _same(value: object, operand: object) -> bool:
    number = _number(value)
    if number is not None and isinstance(operand, (int, float)) and not isinstance(operand, bool):
        return number == operand
    return _folded(value) == _folded(operand)


def _folded(value: object) -> str:
    return str(value).strip().casefold()


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _value(instance: Mapping[str, Any], attribute: str) -> Any:
    """The value, None for an attribute that is absent or empty: neither says anything."""
    value = instance.get(attribute)
    return None if value in ("", []) else value


def _written(condition: Condition) -> str:
    if isinstance(condition, Test):
        return condition.written
    members = [_written(member) for member in condition.members]
    if condition.kind == "not":
        return f"not ({members[0]})"
    if len(members) == 1:
        return members[0]
    return f"({' and '.join(members)})" if condition.kind == "all" else f"({' or '.join(members)})"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "\\".join(_shown(each) for each in value[:MOST_SEEN]) + ("\\…" if len(value) > MOST_SEEN else "")
    if isinstance(value, dict):
        return str(value.get("CodeMeaning") or value.get("CodeValue") or "")
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
