"""An entry of the configuration as a form has it, and the other way round, for every kind of connection. Pure.

What a form asks for are the keys of the configuration's own models; what is wrong with them, its loader says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from ruamel.yaml.comments import CommentedMap

from radnode.config.document import NotReadable, read_document
from radnode.config.editing import add, drop
from radnode.config.messaging import FhirDestination, FhirServer, Hl7Destination, Listen, Sender
from radnode.config.peers import Peer, size
from radnode.config.pulls import Archive, Folder, Pull
from radnode.config.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from radnode.config.loading import Problem

FieldKind = Literal["text", "number", "flag", "choice", "choices", "list", "yaml"]
Shape = Literal["named", "listed", "single"]
Where = tuple[str | int, ...]
IN_ORDER = frozenset({"accession"})
"""Choices of which the first counts that has something: written one after the other, not ticked."""
LONGEST_NUMBER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """How one key is asked for. default: what holds where nothing is written. choices: all that there are, if few."""

    kind: FieldKind
    default: Any
    choices: tuple[str, ...] = ()

    @property
    def holds(self) -> str:
        """The default as somebody would write it, empty where there is none."""
        if isinstance(self.default, int) and self.kind == "text":
            return size(self.default)
        return ", ".join(map(str, self.default)) if isinstance(self.default, tuple) else str(self.default or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Entries of one model. above: the keys below which they stand, each below its name, in a list, or alone."""

    model: type[Section]
    above: tuple[str, ...]
    shape: Shape = "named"

    @property
    def keys(self) -> Mapping[str, Key]:
        """Every key but the name, dots between levels."""
        return {dotted: key for dotted, key in _keys(self.model).items() if dotted != "name"}


_PEER = Form(model=Peer, above=("peers",))
FORMS: Mapping[str, Form] = {
    "peer": _PEER,
    "dicomweb": _PEER,  # the same entry, asked for by its address
    "archive": Form(model=Archive, above=("archives",)),
    "pull": Form(model=Pull, above=("pulls",), shape="listed"),
    "folder": Form(model=Folder, above=("folders",), shape="listed"),
    "listener": Form(model=Listen, above=("messaging", "listen"), shape="single"),
    "sender": Form(model=Sender, above=("messaging", "senders")),
    "hl7": Form(model=Hl7Destination, above=("messaging", "hl7")),
    "fhir": Form(model=FhirDestination, above=("messaging", "fhir")),
    "orders": Form(model=FhirServer, above=("messaging", "orders_from"), shape="single"),
}
"""By the kinds of :mod:`radnode.node.connections.listing`, and one for each other way to ask."""


def section_of(form: Form, fields: Mapping[str, str]) -> dict[str, Any]:
    """What to write for what was filled in; nothing for what was left empty or is as without being written.

    fields: dotted key -> text; of choices "key.CHOICE" -> anything, for each that is chosen.
    """
    section: dict[str, Any] = {}
    for dotted, key in form.keys.items():
        value = _value(dotted, key, fields)
        if value in (None, "", []) or (key.kind == "flag" and value == key.default):
            continue
        *above, last = dotted.split(".")
        place = section
        for each in above:
            place = place.setdefault(each, {})
        place[last] = value
    return section


def fields_of(form: Form, section: Mapping[str, Any]) -> dict[str, str]:
    """What a form shows for what is written."""
    fields: dict[str, str] = {}
    for dotted, key in form.keys.items():
        value: Any = section
        for each in dotted.split("."):
            value = value.get(each) if isinstance(value, dict) else None
        if value is None and key.kind == "flag":
            value = key.default
        if value is None or value is False:
            continue
        if key.kind == "choices":
            fields |= {f"{dotted}.{each}": "on" for each in _listed(value)}
        elif key.kind == "list":
            fields[dotted] = ", ".join(map(str, _listed(value)))
        elif key.kind == "yaml":
            fields[dotted] = "\n".join(f"- {_flow(each)}" for each in _listed(value))
        else:
            fields[dotted] = "on" if value is True else str(value)
    return fields


def place_of(form: Form, document: Mapping[str, Any], name: str) -> Where | None:
    """The keys of an entry in a document, None if it has none of this name."""
    found: Any = document
    for each in form.above:
        found = found.get(each) if isinstance(found, dict) else None
    if form.shape == "single":
        return form.above if found is not None else None
    if form.shape == "named":
        return (*form.above, name) if name in (found or {}) else None
    numbers = [number for number, each in enumerate(found or ()) if isinstance(each, dict) and each.get("name") == name]
    return (*form.above, numbers[0]) if numbers else None


def entry_at(document: Mapping[str, Any], where: Where) -> Mapping[str, Any]:
    """The entry at a place that :func:`place_of` found."""
    found: Any = document
    for each in where:
        found = found[each]
    return found if isinstance(found, dict) else {}


def put(document: CommentedMap, form: Form, name: str, section: Mapping[str, Any]) -> None:
    """Add the entry, or change it in place: what is the same keeps its comments and its way of writing."""
    where = place_of(form, document, name)
    there = entry_at(document, where) if where else None
    if isinstance(there, CommentedMap):
        _merge(there, section, form.keys)
        return
    holder: Any = document
    keys = [*form.above, name] if form.shape == "named" else [*form.above]
    while len(keys) > 1 and holder.get(keys[0]):
        holder = holder[keys.pop(0)]
    value: Any = section
    if form.shape == "listed":
        value = {"name": name, **section}
        if present := holder.get(keys[0]):
            add(present, "", value)
            return
        value = [value]
    first, *inside = keys
    for each in reversed(inside):
        value = {each: value}
    add(holder, first, value)


def remove(document: CommentedMap, form: Form, name: str) -> None:
    """Take an entry out. Raises KeyError where it is none."""
    where = place_of(form, document, name)
    if where is None:
        raise KeyError(name)
    *above, place, key = where
    holder: Any = document
    for each in above:
        holder = holder[each]
    drop(holder, str(place), key)


def take_over(document: CommentedMap, name: str, entry: Mapping[str, object]) -> None:
    """Write what a probe proposed for a peer; a profile takes the place of result forms, and the reverse."""
    there = document["peers"][name]
    for other, key in (("profile", "result_forms"), ("result_forms", "profile")):
        if key in entry:
            there.pop(other, None)
    for key, value in entry.items():
        if there.get(key, False) != value:
            there[key] = value


def beside_fields(form: Form, where: Where, problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Dotted key -> what is wrong with it; "name" -> what is wrong with the entry as a whole."""
    found: dict[str, list[str]] = {}
    for each in problems:
        if each.where[:len(where)] != where:
            continue
        dotted = ".".join(key for key in each.where[len(where):] if isinstance(key, str))
        said = each.message.removeprefix(".".join(key for key in each.where if isinstance(key, str)) + ": ")
        found.setdefault(_asked(form, dotted), []).append(f"{said}; {each.cure}" if each.cure else said)
    return found


def _asked(form: Form, dotted: str) -> str:
    """The key of a form that comes nearest: itself, the one above it, the first below it, else the name."""
    keys = list(form.keys)
    above = [each for each in keys if dotted == each or dotted.startswith(f"{each}.")]
    below = [each for each in keys if each.startswith(f"{dotted}.")]
    return next(iter([*above, *below]), "name")


@cache
def _keys(model: type[Section]) -> Mapping[str, Key]:
    found: dict[str, Key] = {}
    for name, info in model.model_fields.items():
        called = info.alias or name
        if (inside := _section_in(info.annotation)) is not None:
            found |= {f"{called}.{dotted}": key for dotted, key in _keys(inside).items()}
        else:
            found[called] = _key(called, info)
    return found


def _section_in(annotation: object) -> type[Section] | None:
    """Of a key below which there are others; a list of sections is none."""
    bare, _ = _bare(annotation, [])
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


def _key(name: str, info: FieldInfo) -> Key:
    bare, metadata = _bare(info.annotation, info.metadata)
    default = None if info.is_required() else info.default
    if bare is bool:
        return Key(kind="flag", default=bool(default))
    if get_origin(bare) is Literal:
        return Key(kind="choice", default=default, choices=tuple(map(str, get_args(bare))))
    if get_origin(bare) is tuple:
        item, _ = _bare(get_args(bare)[0], [])
        if get_origin(item) is Literal and name not in IN_ORDER:
            return Key(kind="choices", default=default, choices=tuple(map(str, get_args(item))))
        inside = isinstance(item, type) and issubclass(item, Section)
        return Key(kind="yaml" if inside else "list", default=default)
    plain = bare in (int, float) and not any(isinstance(each, BeforeValidator) for each in metadata)
    return Key(kind="number" if plain else "text", default=default)


def _bare(annotation: object, metadata: Sequence[object]) -> tuple[Any, list[object]]:
    """Without `None` and without what is said beside the type, which is given, too."""
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        return _bare(inner, [*metadata, *said])
    if get_origin(annotation) in (Union, UnionType):
        kept = [each for each in get_args(annotation) if each is not NoneType]
        if len(kept) == 1:
            return _bare(kept[0], metadata)
    return annotation, list(metadata)


def _value(dotted: str, key: Key, fields: Mapping[str, str]) -> Any:
    text = fields.get(dotted, "").strip()
    if key.kind == "flag":
        return bool(text)
    if key.kind == "number":
        return _number(text)
    if key.kind == "list":
        return [each.strip() for each in text.split(",") if each.strip()]
    if key.kind == "choices":
        return [each for each in key.choices if f"{dotted}.{each}" in fields]
    if key.kind == "yaml" and text:
        try:
            return read_document(f"masks:\n{_indented(text)}")[0]["masks"]
        except NotReadable:
            return text  # the loader says that it is no list
    return text


def _number(text: str) -> int | float | str:
    """What is none is left as it is: the loader says so."""
    if len(text) > LONGEST_NUMBER or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return text
    return float(text) if "." in text else int(text)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return f"[{', '.join(_flow(each) for each in value)}]" if isinstance(value, list) else str(value)


def _merge(there: CommentedMap, section: Mapping[str, Any], keys: Mapping[str, Key], above: str = "") -> None:
    """What says no more than its absence would (`null`, `false`, an empty list) may stay as it was written."""
    for name in [each for each in there if each not in section and f"{above}{each}" != "name"]:
        key = keys.get(f"{above}{name}")
        if not _says_nothing(there[name], key.default if key else None):
            del there[name]
    for name, value in section.items():
        if isinstance(value, dict) and isinstance(there.get(name), CommentedMap):
            _merge(there[name], value, keys, f"{above}{name}.")
        elif name not in there:
            add(there, name, value)
        elif not _same(there[name], value, keys.get(f"{above}{name}")):
            there[name] = value


def _says_nothing(value: object, default: object) -> bool:
    return value == default or (not value and not default)


def _same(written: Any, value: Any, key: Key | None) -> bool:
    """Whether it means the same: 104 and "104" do, a list of one and its item, choices in any order."""
    if isinstance(value, list):
        listed = _listed(written)
        return listed == value or (key is not None and key.kind == "choices" and {*map(str, listed)} == {*value})
    return bool(written == value or (written is not None and str(written) == value))
