"""A route as a form shows it, and back to what stands in the file. Pure.

A form shows tests, and one level of `any`, `all` and `not` with tests in it. What is deeper is kept as it stands
(:data:`KEPT`) and shown as YAML.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from radnode.config.routes import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GROUPS = ("any", "all", "not")
KEPT = "kept"
"""The group of a line that stands for an entry which the form does not show: `value` is its JSON."""
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")
_SCALARS = (str, int, float, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One test as its three fields say it. group: "" for one that must hold by itself, one of GROUPS, or KEPT."""

    group: str = ""
    attribute: str = ""
    operator: str = "is"
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForm:
    """The fields of the form. priors: its own fields, None for none. Other keys of the route are left alone."""

    name: str = ""
    lines: tuple[Line, ...] = (Line(attribute="modality"),)
    run: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()
    priority: str = "routine"
    within: str = ""
    enabled: bool = True
    shadow: bool = False
    priors: Mapping[str, Any] | None = None


def form_of(section: Mapping[str, Any]) -> RouteForm:
    """The form of a route as the file says it, in plain data."""
    when, priors = section.get("when"), section.get("priors")
    return RouteForm(
        name=str(section.get("name", "")),
        lines=tuple(_lines_of(when)) if isinstance(when, dict) else (),
        run=_names(section.get("run")), send=_names(section.get("send")), forward=_names(section.get("forward")),
        priority=str(section.get("priority", "routine")),
        within=str(section.get("within") or ""),
        enabled=section.get("enabled", True) is not False, shadow=section.get("shadow", False) is True,
        priors=dict(priors) if isinstance(priors, dict) else None,
    )


def section_of(form: RouteForm) -> dict[str, Any]:
    """What the file says of this form. Defaults are left out."""
    section: dict[str, Any] = {"name": form.name.strip(), "when": when_of(form.lines)}
    if form.run or form.send or not form.forward:
        section |= {"run": list(form.run), "send": list(form.send)}
    if form.forward:
        section["forward"] = list(form.forward)
    if form.priority != "routine":
        section["priority"] = form.priority
    if form.within.strip():
        section["within"] = form.within.strip()
    if form.priors is not None:
        section["priors"] = dict(form.priors)
    if not form.enabled:
        section["enabled"] = False
    if form.shadow:
        section["shadow"] = True
    return section


def when_of(lines: Iterable[Line]) -> dict[str, Any]:
    """The mapping under `when`. A line without attribute and value is not there yet.

    Two lines with the same attribute and operator are both given, the second under a key that the loader refuses with
    its sentence: nothing is dropped silently.
    """
    tests: dict[str, dict[str, dict[str, Any]]] = {}
    found: dict[str, Any] = {}
    for line in lines:
        if line.group == KEPT:
            found[line.attribute] = json.loads(line.value)
        elif line.attribute.strip() or line.value.strip():
            operand = _operand(line)
            if line.group in ("any", "all"):
                found.setdefault(line.group, []).append({line.attribute.strip(): _short({line.operator: operand})})
            else:
                if line.group == "not":
                    found.setdefault("not", {})
                else:
                    found.setdefault(line.attribute.strip(), None)
                of_attribute = tests.setdefault(line.group, {}).setdefault(line.attribute.strip(), {})
                key = line.operator if line.operator not in of_attribute else f"{line.operator} (twice)"
                of_attribute[key] = operand
    for group, of_group in tests.items():
        target = found if not group else found["not"]
        for attribute, of_attribute in of_group.items():
            target[attribute] = _short(of_attribute)
    return found


def yaml_of(section: Mapping[str, Any]) -> str:
    """As it would stand in the file."""
    out = StringIO()
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"routes": [laid_out(section)]}, out)
    return out.getvalue()


def laid_out(value: Any, depth: int = 0) -> Any:
    """New values as a person would lay them out: mappings a key a line, lists of values and operators in one."""
    if isinstance(value, dict):
        made = CommentedMap({key: laid_out(each, depth + 1) for key, each in value.items()})
        if depth > 1:
            made.fa.set_flow_style()
        return made
    if isinstance(value, (list, tuple)):
        listed = CommentedSeq([laid_out(each, depth + 1) for each in value])
        if all(isinstance(each, _SCALARS) for each in value):
            listed.fa.set_flow_style()
        return listed
    return value


def acted(form_lines: Sequence[Line], act: str) -> tuple[Line, ...]:
    """The lines after a button: `add:GROUP` or `remove:NUMBER`; the same lines for anything else."""
    what, _, which = act.partition(":")
    lines = list(form_lines)
    if what == "add" and which in ("", *GROUPS):
        place = max((number + 1 for number, each in enumerate(lines) if each.group == which), default=len(lines))
        lines.insert(place, Line(group=which))
    elif what == "remove" and which.isdigit() and int(which) < len(lines):
        del lines[int(which)]
    return tuple(lines)


def _lines_of(when: Mapping[str, Any]) -> Iterable[Line]:
    for key, value in when.items():
        shown = _shown(str(key), value)
        yield from shown if shown is not None else [Line(group=KEPT, attribute=str(key), value=json.dumps(value))]


def _shown(key: str, value: Any) -> list[Line] | None:
    """The lines of one entry under `when`; None if the form has no place for it."""
    if key in ("any", "all"):
        if not isinstance(value, list) or not all(isinstance(each, dict) and len(each) == 1 for each in value):
            return None
        members = [_tests(name, test, key) for each in value for name, test in each.items()]
        return [one[0] for one in members if one] if all(one and len(one) == 1 for one in members) else None
    if key == "not":
        if not isinstance(value, dict):
            return None
        tests = [_tests(name, test, key) for name, test in value.items()]
        return [line for one in tests for line in one or ()] if all(tests) else None
    return _tests(key, value, "")


def _tests(attribute: object, value: Any, group: str) -> list[Line] | None:
    if attribute in GROUPS:
        return None
    operators = value if isinstance(value, dict) else {"in" if isinstance(value, list) else "is": value}
    lines = []
    for operator, operand in operators.items():
        text = _text(operand)
        if operator not in OPERATORS or text is None:
            return None
        lines.append(Line(group=group, attribute=str(attribute), operator=str(operator), value=text))
    return lines or None


def _text(operand: Any) -> str | None:
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, (str, int, float)):
        return str(operand)
    if isinstance(operand, list) and all(isinstance(each, _SCALARS) and "," not in str(each) for each in operand):
        return ", ".join(str(each) for each in operand)
    return None


def _operand(line: Line) -> Any:
    text = line.value.strip()
    if line.operator == "in":
        return [_scalar(each.strip()) for each in text.split(",") if each.strip()]
    if line.operator == "exists":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text if line.operator in ("matches", "contains") else _scalar(text)


def _scalar(text: str) -> str | int | float:
    """A number where it is written as one: 0012 is an identifier."""
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return int(text) if "." not in text else (number if math.isfinite(number) else text)


def _short(tests: dict[str, Any]) -> Any:
    """`modality: CT` for `modality: {is: CT}`."""
    operators = list(tests)
    return tests[operators[0]] if operators in (["is"], ["in"]) else tests


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
