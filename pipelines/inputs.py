"""What a pipeline reads that wants several images of one study: named inputs, each with what it must show.

The first input is the reference: the others are brought onto its grid, and results are written over its series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Content(StrEnum):
    """What an image shows, as :mod:`radnode.pipelines.sources.content` recognises it. T1 and NATIVE: before contrast
    medium. HIGH_B: diffusion at 800 s/mm2 or more, LOW_B: at 100 or less. SUV: PET by body weight; ACTIVITY: in Bq/ml.
    """

    ANY = ""
    T1 = "T1"
    T1C = "T1c"
    T2 = "T2"
    FLAIR = "FLAIR"
    PD = "PD"
    ADC = "ADC"
    HIGH_B = "high-b"
    LOW_B = "low-b"
    NATIVE = "native"
    ARTERIAL = "arterial"
    VENOUS = "venous"
    DELAYED = "delayed"
    SUV = "SUV"
    ACTIVITY = "activity"


PLANES = ("axial", "coronal", "sagittal")
MODALITIES = ("CT", "MR", "PT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a header must say: a pattern that is found in a value (case ignored), or bounds of a number.

    keyword: of DICOM. An attribute that is absent or empty does not meet it.
    """

    keyword: str
    matches: str = ""
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One image, by its name. where: conditions that every slice meets. plane: "" for any.

    min_slices: fewer are refused. largest_spacing_mm: between voxel centres along any axis; None: any.
    coverage: the share of the reference's grid that it must cover. optional: the pipeline runs without it, too.
    """

    name: str
    modality: str
    content: Content = Content.ANY
    where: tuple[Condition, ...] = ()
    plane: str = ""
    min_slices: int = 2
    largest_spacing_mm: float | None = None
    coverage: float = 0.8
    optional: bool = False

    @property
    def wanted(self) -> str:
        """In words, as in "MR, T1c, axial"."""
        conditions = [
            f"{each.keyword} like {each.matches}" if each.matches else
            f"{each.keyword} {'from ' + format(each.at_least, 'g') if each.at_least is not None else ''}"
            f"{' to ' + format(each.at_most, 'g') if each.at_most is not None else ''}"
            for each in self.where
        ]
        return ", ".join(part for part in (self.modality, self.content.value, self.plane, *conditions) if part)


def parse(content: object) -> tuple[Input, ...]:
    """The `inputs` of a manifest: a list of names and values. Raises ValueError, saying what would be right."""
    if not isinstance(content, list) or not content:
        raise ValueError("`inputs` is no list of inputs, each with `name` and `modality`")
    found = tuple(_input(each) for each in content)
    names = [each.name for each in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two inputs are named {min(twice)}; a name is one input's")
    if found[0].optional:
        raise ValueError(f"input {names[0]} is the first, on which results lie: it cannot be optional")
    return found


def _input(content: object) -> Input:
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 - a mistake in a file, not in a call
            f"an input is {content!a}, expected `name: …`, `modality: …` and what it shows"
        )
    known = {each.name for each in fields(Input)}
    if unknown := sorted(str(key) for key in content if key not in known):
        raise ValueError(f"an input has the key `{unknown[0]}`; known are {', '.join(sorted(known))}")
    said = dict(content)
    name = _text(said, "name", r"[a-z0-9]+([_-][a-z0-9]+)*", "lower-case words joined by hyphens")
    modality = _text(said, "modality", "|".join(MODALITIES), f"one of {', '.join(MODALITIES)}")
    try:
        wanted = Content(said.get("content", ""))
    except ValueError:
        raise ValueError(f"input {name} has the content {said['content']!a}, expected one of "
                         f"{', '.join(each.value for each in Content if each)}") from None
    where = said.get("where", {})
    if not isinstance(where, dict):
        raise ValueError(  # noqa: TRY004 - as above
            f"input {name} has `where: {where!a}`, expected keywords and what they must say"
        )
    if (plane := said.get("plane", "")) not in ("", *PLANES):
        raise ValueError(f"input {name} has the plane {plane!a}, expected one of {', '.join(PLANES)}")
    if type(optional := said.get("optional", False)) is not bool:
        raise ValueError(f"input {name} has `optional: {optional!a}`, expected true or false")
    largest = said.get("largest_spacing_mm")
    return Input(
        name=name, modality=modality, content=wanted, plane=plane,
        where=tuple(_condition(name, str(keyword), each) for keyword, each in where.items()),
        min_slices=int(_number(said, name, "min_slices", 2, 2)),
        largest_spacing_mm=None if largest is None else _number(said, name, "largest_spacing_mm", 0, 0.01),
        coverage=_number(said, name, "coverage", 0.8, 0, 1), optional=optional,
    )


def _condition(name: str, keyword: str, said: object) -> Condition:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", keyword):
        raise ValueError(f"input {name}: {keyword!a} is no DICOM keyword")
    if isinstance(said, str):
        said = {"matches": said}
    if not isinstance(said, dict) or not said or said.keys() - {"matches", "at_least", "at_most"}:
        raise ValueError(f"input {name}: {keyword} is {said!a}, expected a pattern, `at_least` or `at_most`")
    try:
        re.compile(str(said.get("matches", "")))
    except re.error as error:
        raise ValueError(f"input {name}: {keyword}: {error}") from None
    bounds = {key: _number(said, name, key, 0) for key in ("at_least", "at_most") if key in said}
    return Condition(keyword=keyword, matches=str(said.get("matches", "")), **bounds)


def _text(said: Mapping[str, Any], key: str, pattern: str, expected: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"an input has `{key}: {value!a}`, expected {expected}")
    return value


def _number(
    said: Mapping[str, Any], name: str, key: str, default: float, least: float | None = None, most: float | None = None
) -> float:
    value = said.get(key, default)
    wrong = type(value) not in (int, float) or (least is not None and value < least)
    if wrong or (most is not None and value > most):
        raise ValueError(f"input {name} has `{key}: {value!a}`, expected a number"
                         f"{f' of at least {least:g}' if least is not None else ''}")
    return float(value)
