"""Which work items a search means (PS3.18 11.9, PS3.4 CC.2.8): single values, wild cards and ranges of times. Pure."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword

from radnode.node.workitems.attributes import Unclear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTROL = frozenset({"limit", "offset", "includefield", "fuzzymatching"})
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE = frozenset({"DT", "DA", "TM"})


def criteria(query: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, ...], str]]:
    """(tags down to the attribute, what it is to be) for each key of a query. Raises :class:`Unclear`."""
    return [(_path(name), value) for name, value in query if name not in CONTROL]


def matches(content: Mapping[str, Any], wanted: Sequence[tuple[tuple[str, ...], str]]) -> bool:
    """Whether an item in the DICOM JSON model meets all. An empty value matches everything."""
    return all(not value or _meets(content, path, value) for path, value in wanted)


def _path(name: str) -> tuple[str, ...]:
    tags = []
    for part in name.split("."):
        tag = int(part, 16) if _TAG.fullmatch(part) else tag_for_keyword(part)
        if tag is None:
            raise Unclear("a key of the query is no DICOM keyword or tag")
        tags.append(f"{tag:08X}")
    return tuple(tags)


def _meets(content: Mapping[str, Any], path: tuple[str, ...], value: str) -> bool:
    element = content.get(path[0])
    values = element.get("Value", []) if isinstance(element, dict) else []
    if len(path) > 1:
        return any(isinstance(item, dict) and _meets(item, path[1:], value) for item in values)
    kind = element.get("vr", "") if isinstance(element, dict) else ""
    return any(_is(_text(each), value, kind) for each in values)


def _is(text: str, value: str, kind: str) -> bool:
    if kind in _RANGE and "-" in value:
        first, _, last = value.partition("-")
        return (not first or text >= first) and (not last or text[: len(last)] <= last)
    if kind == "UI":
        return text in value.replace("\\", ",").split(",")
    if "*" in value or "?" in value:
        return fnmatch.fnmatchcase(text, value.replace("[", "[[]"))
    return text == value


def _text(value: object) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value)
