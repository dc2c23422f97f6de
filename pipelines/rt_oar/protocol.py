"""What a treatment protocol wants drawn: structures by TG-263 name, and which of a model's segments each one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ruamel.yaml import YAML

from radnode.pipelines.findings import Code, Failure
from radnode.pipelines.models.terms import Term, term

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from radnode.pipelines.findings import Segment

_KEYS = {"name", "called", "parts", "colour", "required"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One structure. called: terms of which any is it; parts: terms of which all together are it."""

    name: str
    called: tuple[Term, ...]
    parts: tuple[Term, ...]
    rgb: tuple[int, int, int]
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A treatment protocol. title: for sentences."""

    title: str
    structures: tuple[Structure, ...]


def read(path: Path) -> Protocol:
    """A protocol from its file. Raises ValueError, naming the structure that is wrong."""
    content: Any = YAML(typ="safe", pure=True).load(path)
    structures = tuple(_structure(each) for each in content["structures"])
    names = [each.name for each in structures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path.name} has a structure twice: {', '.join(twice)}")
    return Protocol(title=str(content["title"]), structures=structures)


def drawn(protocol: Protocol, segments: Sequence[Segment]) -> tuple[list[Segment], list[str]]:
    """The protocol's structures among the segments, under their names, and the labels of what it does not want."""
    by_term = {_identity(each): each for each in segments}
    found, used = [], set[str]()
    for structure in protocol.structures:
        any_of = [by_term[_identity(each)] for each in structure.called if _identity(each) in by_term][:1]
        all_of = [by_term[_identity(each)] for each in structure.parts if _identity(each) in by_term]
        if any_of or (all_of and len(all_of) == len(structure.parts)):
            parts = any_of or all_of
            found.append(_named(structure, parts))
            used |= {each.key for each in parts}
    return found, [each.label for each in segments if each.key not in used]


def missing(protocol: Protocol, segments: Iterable[Segment]) -> tuple[Failure, ...]:
    """One for each structure that the protocol requires and that is not there, by name."""
    there = {each.label for each in segments}
    return tuple(
        Failure(what=each.called[0].type,
                reason=f"{each.name} is required by the protocol {protocol.title} and is missing.")
        for each in protocol.structures if each.required and each.name not in there
    )


def _structure(said: Any) -> Structure:
    if unknown := set(said) - _KEYS:
        raise ValueError(f"structure {said.get('name')!a}: unknown key {sorted(unknown)}; there are {sorted(_KEYS)}")
    if not said.get("name") or not said.get("called") or len(said.get("colour", ())) != 3:
        raise ValueError(f"structure {said.get('name')!a} wants `name`, `called` (a list) and `colour` (three numbers)")
    red, green, blue = said["colour"]
    return Structure(
        name=said["name"], called=tuple(map(term, said["called"])), parts=tuple(map(term, said.get("parts", ()))),
        rgb=(red, green, blue), required=bool(said.get("required", False)),
    )


def _identity(each: Segment | Term) -> tuple[Code, Code | None, Code | None]:
    return each.type, each.site, each.laterality


def _named(structure: Structure, parts: Sequence[Segment]) -> Segment:
    """One segment of the parts, with the protocol's name and colour."""
    whole, meant = parts[0], structure.called[0]
    if len(parts) > 1:
        mask = np.logical_or.reduce([each.mask for each in parts])
        whole = replace(whole, type=meant.type, laterality=meant.laterality, voxels=mask, value=1)
    return replace(whole, key=structure.name.lower().replace("_", "-"), label=structure.name, rgb=structure.rgb)
