"""The explanation of every key, as the administrator's manual has it: `defaults/radnode.yaml`, read by machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from ruamel.yaml import YAML

from radnode.config import messaging
from radnode.config.access import AccessSettings, AuditSettings
from radnode.config.alarms import AlarmSettings
from radnode.config.backup import BackupSettings
from radnode.config.document import NotReadable, read_document
from radnode.config.messaging import MessagingSettings
from radnode.config.settings import TAKEN_OVER, Settings
from radnode.config.workitems import WorkItems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

FILE = Path(__file__).parent / "defaults" / "radnode.yaml"
MODELS: Mapping[str, type[BaseModel]] = {
    "node": Settings, "alarms": AlarmSettings, "access": AccessSettings, "audit": AuditSettings,
    "messaging": MessagingSettings, "workitems": WorkItems, "backup": BackupSettings,
}
"""Sections of single settings; peers, routes and what is fetched have pages of their own."""
_KEY = re.compile(r"^(  )?([a-z0-9_]+):(?: |$)")
_COMMENT = re.compile(r"^ *#(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key. example: YAML as it could stand there, empty where the manual has none. default: as YAML.

    live: whether a running node takes a change over; else it needs a restart. choices: all values there are, if few.
    """

    section: str
    key: str
    explanation: str
    example: str
    default: str
    live: bool
    choices: tuple[str, ...]

    @property
    def is_short(self) -> bool:
        """Whether one line is enough to write it."""
        return "\n" not in self.default and not self.example


@cache
def entries() -> tuple[Entry, ...]:
    """Every key of every section of single settings, in the order of the manual."""
    text = FILE.read_text(encoding="utf-8")
    defaults, _ = read_document(text)
    return tuple(
        Entry(
            section=section, key=key, explanation=_sentences(comment), example=_example(comment),
            default=as_yaml(defaults[section][key]), live=is_live(section, key), choices=_choices(section, key),
        )
        for section, key, comment in _commented(text) if section in MODELS
    )


def introduction(section: str) -> str:
    """What the manual says of a section as a whole."""
    return _sentences(_introductions().get(section, ()))


def is_live(section: str, key: str) -> bool:
    """Whether a running node takes a change of this key over."""
    if section == "node":
        return key in TAKEN_OVER
    return not (section == "messaging" and key in messaging.AT_START) and (section, key) != ("access", "url")


def as_yaml(value: Any) -> str:
    """A value as it is written below its key."""
    out = StringIO()
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").rstrip("\n")


def value_of(text: str) -> Any:
    """What somebody wrote below a key. Raises :class:`NotReadable`; its lines are those of the text."""
    if not text.strip():
        raise NotReadable([(1, "nothing is written", "write a value, or null")])
    inline = "\n" not in text.strip() and not re.match(r"\s*(- |[\w.-]+:( |$))", text)
    document, _ = read_document(f"value: {text.strip()}" if inline else "value:\n" + _indented(text))
    return document["value"]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())


@cache
def _introductions() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    comment: list[str] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line[1:])
            continue
        if (match := _KEY.match(line)) and match[1] is None:
            found[match[2]] = tuple(comment)
        comment = []
    return found


def _commented(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Section, key, and the comment above it; keys that stand together share the one above the first."""
    section, last = "", tuple[str, ...]()
    comment: list[str] = []
    for line in text.splitlines():
        if match := _COMMENT.match(line):
            comment.append(match[1])
        elif match := _KEY.match(line):
            if match[1] is None:
                section, last = match[2], ()
            else:
                last = tuple(comment) or last
                yield section, match[2], last
            comment = []


def _sentences(comment: tuple[str, ...]) -> str:
    said = " ".join(line.strip() for line in comment if not line.startswith("   "))
    return re.sub(r"\s*[^.:]*\b(is|are) \(live\)[^.]*\.?|\s*\(live\)", "", said)


def _example(comment: tuple[str, ...]) -> str:
    return "\n".join(line[3:] for line in comment if line.startswith("   "))


def _choices(section: str, key: str) -> tuple[str, ...]:
    annotation = MODELS[section].model_fields[key].annotation
    if annotation is bool:
        return "true", "false"
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()
