"""Which finding a reference is about: by coded concept and side, else by name. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.evaluation.truth import words
from radnode.pipelines.results.structure_names import structure_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.evaluation.truth import Structure
    from radnode.pipelines.findings import Code, Composite, Detection, Findings, Segment

_PRIVATE = "99"
_COUNTED = re.compile(r"[\s_-]+#?\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One structure, as found and as drawn. name: as the reference spells it, in order of its words.

    found: None where the findings have no such segment.
    """

    name: str
    label: str
    found: NDArray[np.bool_] | None
    reference: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    label: str
    names: frozenset[str]
    concept: tuple[str, str, str] | None
    parts: tuple[Segment | Structure, ...]

    @property
    def mask(self) -> NDArray[np.bool_]:
        return np.asarray(np.logical_or.reduce([each.mask for each in self.parts]))


def pairs(structures: Sequence[Structure], segments: Sequence[Segment]) -> Iterator[Pair]:
    """Each structure of the reference beside the segment that says the same.

    A number behind a name counts ("nodule 1", "nodule 2"): which is which nobody says, so they are compared together.
    Of several segments with the same code, the one with the same name is meant; else the reference covers them all.
    """
    found = _groups((_names(each), each) for each in segments)
    for drawn in _groups(({words(plain(each.label))}, each) for each in structures):
        yield _pair(drawn, found)


def plain(label: str) -> str:
    """Without the number behind it."""
    return _COUNTED.sub("", label.strip()) or label


def names_of(findings: Findings, key: str) -> frozenset[str]:
    """All that the finding of that key may be called."""
    for segment in findings.segments:
        if segment.key == key:
            return frozenset(_names(segment))
    others: list[Detection | Composite] = [*findings.detections, *findings.composites]
    for each in others:
        if each.key == key:
            return frozenset({words(each.key), words(each.label), words(each.type.meaning)})
    return frozenset({words(key)})


def _pair(drawn: _Group, found: Sequence[_Group]) -> Pair:
    same = [each for each in found if drawn.concept is not None and each.concept == drawn.concept]
    named = [each for each in found if each.names & drawn.names]
    chosen = [each for each in same if each in named] or same or [
        each for each in named if not _contradict(each.concept, drawn.concept)]
    mask = np.logical_or.reduce([each.mask for each in chosen]) if chosen else None
    return Pair(name=words(plain(drawn.label)), label=plain(drawn.label), found=mask, reference=drawn.mask)


def _contradict(one: tuple[str, str, str] | None, two: tuple[str, str, str] | None) -> bool:
    """Whether both name a side, and not the same."""
    return one is not None and two is not None and bool(one[2]) and bool(two[2]) and one[2] != two[2]


def _groups(
    parts: Iterable[tuple[set[str], Segment | Structure]]
) -> list[_Group]:
    groups: dict[tuple[str, object], _Group] = {}
    for names, part in parts:
        concept = _concept(part.type, part.laterality)
        key = words(plain(part.label)), concept
        before = groups.get(key)
        groups[key] = _Group(
            label=part.label if before is None else before.label, concept=concept,
            names=frozenset(names) | (before.names if before else frozenset()),
            parts=(part,) if before is None else (*before.parts, part),
        )
    return list(groups.values())


def _names(segment: Segment) -> set[str]:
    side = f" {segment.laterality.meaning}" if segment.laterality else ""
    said = (segment.label, segment.key, structure_names([segment])[0], f"{segment.type.meaning}{side}")
    return {words(plain(each)) for each in said}


def _concept(kind: Code | None, side: Code | None) -> tuple[str, str, str] | None:
    """None for what has no code, or a private one that nobody else knows."""
    if kind is None or kind.scheme.startswith(_PRIVATE):
        return None
    return kind.value, kind.scheme, side.value if side else ""
