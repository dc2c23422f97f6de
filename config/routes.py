"""Routes: when → run → send. Conditions are data; nothing of them is ever evaluated as code.

    modality: CT                        is (ignores case and surrounding blanks)
    body_part_examined: [CHEST, LUNG]   in
    slice_thickness: {at_most: 3.0}     also at_least, is, in, contains, matches, exists; several must all hold
    any: [...]   all: [...]   not: {...}
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

from pydicom.datadict import keyword_dict, tag_for_keyword

from radnode.config.patterns import wrong_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from radnode.config.pulls import Priors

Scalar = str | int | float | bool
Operator = Literal["is", "in", "matches", "contains", "at_least", "at_most", "exists"]
Priority = Literal["urgent", "routine", "low"]
OPERATORS: tuple[Operator, ...] = ("is", "in", "matches", "contains", "at_least", "at_most", "exists")
PRIORITIES: tuple[Priority, ...] = ("urgent", "routine", "low")
SOURCE = "source"
ORDER = ("order_priority", "order_reason", "order_procedure", "order_patient_class")
"""What the order of the study says (:mod:`radnode.config.messaging`)."""

_PRIVATE = re.compile(
    r"\(([0-9a-f]{3}[13579bdf]),\s*([0-9a-f]{4}|xx[0-9a-f]{2}|[0-9a-f]{2}xx)(?:,\s*([^)]*[^)\s])\s*)?\)", re.IGNORECASE
)
_SHORT_NAMES = {"body_part": "BodyPartExamined", "manufacturer_model": "ManufacturerModelName"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One attribute against one operand. `attribute`: a DICOM keyword, a private tag, `source`, or one of ORDER."""

    attribute: str
    operator: Operator
    operand: Scalar | tuple[Scalar, ...]
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """all, any: of the members. not: of the one member."""

    kind: Literal["all", "any", "not"]
    members: tuple[Condition, ...]


Condition = Test | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A named rule. `when`: its top-level conditions, which must all hold.

    within: the time after which a result is late, counted from when its images were whole. priors: the earlier studies
    that its pipelines compare with. forward: who gets the images themselves. shadow: it runs, and its results are kept
    and go to nobody.
    """

    name: str
    when: tuple[Condition, ...]
    run: tuple[str, ...]
    send: tuple[str, ...]
    priority: Priority = "routine"
    within: timedelta | None = None
    enabled: bool = True
    priors: Priors | None = None
    forward: tuple[str, ...] = ()
    shadow: bool = False


def asks_for_order(route: Route) -> bool:
    """Whether what an order says decides about a route."""
    return any(attribute in ORDER for condition in route.when for attribute in attributes_of(condition))


def attributes_of(condition: Condition) -> list[str]:
    """What a condition asks for."""
    if isinstance(condition, Test):
        return [condition.attribute]
    return [attribute for member in condition.members for attribute in attributes_of(member)]


def snake_case(keyword: str) -> str:
    """SliceThickness -> slice_thickness; runs of capitals stay together (KVP -> kvp)."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", keyword).lower()


_KEYWORDS = {snake_case(keyword): keyword for keyword in keyword_dict if keyword} | _SHORT_NAMES


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the word that was probably meant, or nothing."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


@lru_cache(maxsize=256)
def _nearest_attribute(key: str) -> str:
    """Of five thousand, which takes milliseconds; a page that is typed into asks again and again."""
    return nearest(key, [*_KEYWORDS, SOURCE, *ORDER, "any", "all", "not"])


def tests_of(conditions: Iterable[Condition]) -> Iterator[Test]:
    """Every test at any depth."""
    for condition in conditions:
        if isinstance(condition, Test):
            yield condition
        else:
            yield from tests_of(condition.members)


class ConditionReader:
    """Turns the mapping under `when` into conditions; `report` is told (path, what is wrong, what would be right)."""

    def __init__(self, report: Callable[[Sequence[str | int], str, str], None]) -> None:
        self._report = report

    def read(self, when: object, path: Sequence[str | int]) -> tuple[Condition, ...]:
        """The conditions of one mapping, which must all hold."""
        if not isinstance(when, dict) or not when:
            self._report(path, "conditions are missing", "write for example `modality: CT`")
            return ()
        found: list[Condition] = []
        for key, value in when.items():
            found += self._entry(str(key), value, [*path, key])
        return tuple(found)

    def _entry(self, key: str, value: object, path: Sequence[str | int]) -> list[Condition]:
        if key in ("any", "all"):
            return self._group(cast("Literal['any', 'all']", key), value, path)
        if key == "not":
            inner = self.read(value, path)
            return [Group(kind="not", members=(Group(kind="all", members=inner),))] if inner else []
        attribute = self._attribute(key, path)
        if attribute is None:
            return []
        if isinstance(value, dict):
            if not value:
                self._report(path, "no operator is given", f"write for example `{key}: {{exists: true}}`")
            if _empty_range(value):
                self._report(path, "at_least is above at_most, so nothing can match", "exchange them")
            return [
                test
                for operator, operand in value.items()
                if (test := self._test(attribute, key, str(operator), operand, [*path, operator])) is not None
            ]
        operator = "in" if isinstance(value, list) else "is"
        test = self._test(attribute, key, operator, value, path)
        return [] if test is None else [test]

    def _group(self, kind: Literal["any", "all"], value: object, path: Sequence[str | int]) -> list[Condition]:
        if not isinstance(value, list) or not value:
            self._report(path, f"`{kind}` needs a list of conditions", f"write `{kind}: [{{modality: CT}}, …]`")
            return []
        members = [
            Group(kind="all", members=inner)
            for number, member in enumerate(value)
            if (inner := self.read(member, [*path, number]))
        ]
        return [Group(kind=kind, members=tuple(members))]

    def _attribute(self, key: str, path: Sequence[str | int]) -> str | None:
        if key in (SOURCE, *ORDER):
            return key
        if match := _PRIVATE.fullmatch(key.strip()):
            return self._private(key, match, path)
        if key in _KEYWORDS:
            return _KEYWORDS[key]
        if tag_for_keyword(key) is not None:
            self._report(path, f'unknown attribute "{key}"', f'write "{snake_case(key)}"')
            return None
        self._report(
            path,
            f'unknown attribute "{key}"',
            _nearest_attribute(key)
            or "use a DICOM keyword such as `slice_thickness`, a private tag such as `(0019,100c)`, or `source`",
        )
        return None

    def _private(self, key: str, match: re.Match[str], path: Sequence[str | int]) -> str | None:
        """With a creator the block is the sender's choice, and only the last two digits count (PS3.5 7.8.1)."""
        group, element, creator = match.groups()
        wildcard = element[:2].lower() == "xx"
        if element[2:].lower() == "xx" or (wildcard and not creator):
            self._report(
                path,
                f'"{key}" does not name one element',
                f"write ({group},1008), or with the private creator ({group},xx08,CREATOR)",
            )
            return None
        if creator:
            return f"({group},xx{element[2:]}".lower() + f",{creator.strip()})"
        return f"({group},{element})".lower()

    def _test(
        self, attribute: str, key: str, operator: str, operand: object, path: Sequence[str | int]
    ) -> Test | None:
        if operator not in OPERATORS:
            self._report(
                path,
                f'unknown operator "{operator}"',
                nearest(operator, OPERATORS) or f"use one of {', '.join(OPERATORS)}",
            )
            return None
        known = operator
        wrong = _wrong_operand(known, operand)
        if wrong:
            self._report(path, f"`{key}: {{{operator}: …}}`: {wrong[0]}", wrong[1])
            return None
        value = tuple(operand) if isinstance(operand, list) else cast("Scalar", operand)
        return Test(attribute=attribute, operator=known, operand=value, written=_written(key, known, value))


def _empty_range(tests: Mapping[str, object]) -> bool:
    least, most = tests.get("at_least"), tests.get("at_most")
    return isinstance(least, int | float) and isinstance(most, int | float) and least > most


def _wrong_operand(operator: Operator, operand: object) -> tuple[str, str] | None:
    """(what is wrong, what would be right), None if nothing is."""
    if operator == "in":
        good = isinstance(operand, list) and bool(operand) and all(isinstance(each, Scalar) for each in operand)
        return None if good else ("needs a list of values", "write for example [CHEST, LUNG]")
    if isinstance(operand, date):
        return "needs one value", f"write a date as DICOM does, {operand:%Y%m%d}"
    if not isinstance(operand, Scalar):
        return "needs one value", "write a text or a number"
    if operator in ("at_least", "at_most"):
        number = isinstance(operand, (int, float)) and not isinstance(operand, bool) and math.isfinite(operand)
        return None if number else ("needs a number", "write for example 3.0")
    if operator == "exists":
        return None if isinstance(operand, bool) else ("needs true or false", "write true or false")
    return wrong_pattern(str(operand)) if operator == "matches" else None


def _written(key: str, operator: Operator, operand: Scalar | tuple[Scalar, ...]) -> str:
    if operator == "exists":
        return f"{key} {'exists' if operand else 'does not exist'}"
    words = f"[{', '.join(str(each) for each in operand)}]" if isinstance(operand, tuple) else str(operand)
    return f"{key} {operator.replace('_', ' ')} {words}"
