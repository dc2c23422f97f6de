"""An entry of `peers:` as a form has it, and the other way round. Pure; what is wrong, the loader says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ruamel.yaml.comments import CommentedMap

from radnode.config.document import NotReadable, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

FieldKind = Literal["text", "number", "flag", "list", "choices", "yaml"]
KEYS: Mapping[str, FieldKind] = {
    "sends": "flag", "receives": "flag",
    "ae_title": "text", "host": "text", "port": "number", "hosts": "list",
    "profile": "text", "result_forms": "choices", "largest_result": "text",
    "answers_find": "flag", "commitment": "flag", "check_patient": "flag",
    "expect.every": "text", "expect.between": "text", "expect.days": "choices",
    "tls.ca": "text", "tls.certificate": "text", "tls.key": "text", "tls.name": "text",
    "client_certificate": "text", "token_file": "text",
    "dicomweb.url": "text", "dicomweb.token_file": "text", "dicomweb.user": "text", "dicomweb.password_file": "text",
    "dicomweb.oauth2.token_url": "text", "dicomweb.oauth2.client_id": "text", "dicomweb.oauth2.secret_file": "text",
    "dicomweb.oauth2.scope": "text",
    "deidentify.secret_file": "text", "deidentify.retain": "choices", "deidentify.clean": "choices",
    "deidentify.words": "list", "deidentify.masks": "yaml", "deidentify.returns_to": "list",
}
"""Every key of :class:`~radnode.config.peers.Peer` but its name, dots between levels -> how a form asks for it."""


def section_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """What to write for what was filled in; nothing for what was left empty.

    fields: dotted key -> text; of choices "key.CHOICE" -> anything, for each that is chosen.
    """
    section: dict[str, Any] = {}
    for dotted, kind in KEYS.items():
        value = _value(dotted, kind, fields)
        if value in (None, "", [], False):
            continue
        *above, last = dotted.split(".")
        place = section
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return section


def fields_of(section: Mapping[str, Any]) -> dict[str, str]:
    """What a form shows for what is written."""
    fields: dict[str, str] = {}
    for dotted, kind in KEYS.items():
        value: Any = section
        for key in dotted.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is None or value is False:
            continue
        if kind == "choices":
            fields |= {f"{dotted}.{each}": "on" for each in _listed(value)}
        elif kind == "list":
            fields[dotted] = ", ".join(map(str, _listed(value)))
        elif kind == "yaml":
            fields[dotted] = "\n".join(f"- {_flow(each)}" for each in _listed(value))
        else:
            fields[dotted] = "on" if value is True else str(value)
    return fields


def put(document: CommentedMap, name: str, section: Mapping[str, Any]) -> None:
    """Add the peer, or change it in place: what is the same keeps its comments and its way of writing."""
    peers = document.get("peers")
    if not peers:
        peers = document["peers"] = CommentedMap()
    there = peers.get(name)
    if isinstance(there, CommentedMap):
        _merge(there, section)
    else:
        peers[name] = CommentedMap(section)


def remove(document: CommentedMap, name: str) -> None:
    """Take a peer out."""
    del document["peers"][name]


def take_over(document: CommentedMap, name: str, entry: Mapping[str, object]) -> None:
    """Write what a probe proposed; a profile takes the place of result forms, and the reverse."""
    there = document["peers"][name]
    for other, key in (("profile", "result_forms"), ("result_forms", "profile")):
        if key in entry:
            there.pop(other, None)
    for key, value in entry.items():
        if there.get(key, False) != value:
            there[key] = value


def _value(dotted: str, kind: FieldKind, fields: Mapping[str, str]) -> Any:
    text = fields.get(dotted, "").strip()
    if kind == "flag":
        return bool(text)
    if kind == "number":
        return int(text) if text.isascii() and text.isdigit() else text
    if kind == "list":
        return [each.strip() for each in text.split(",") if each.strip()]
    if kind == "choices":
        start = f"{dotted}."
        return [key.removeprefix(start) for key in fields if key.startswith(start)]
    if kind == "yaml" and text:
        try:
            return read_document(f"masks:\n{_indented(text)}")[0]["masks"]
        except NotReadable:
            return text  # the loader says that it is no list
    return text


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return f"[{', '.join(_flow(each) for each in value)}]" if isinstance(value, list) else str(value)


def _merge(there: CommentedMap, section: Mapping[str, Any]) -> None:
    """What says nothing (`null`, `false`, an empty list) may stay as it was written."""
    for key in [each for each in there if each not in section and there[each]]:
        del there[key]
    for key, value in section.items():
        if isinstance(value, dict) and isinstance(there.get(key), CommentedMap):
            _merge(there[key], value)
        elif there.get(key) != value:
            there[key] = value
