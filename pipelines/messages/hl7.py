"""HL7 v2 in its vertical bar encoding: text to segments and back (HL7 v2.5.1, chapter 2).

A message is decoded as a whole before it is taken apart: in GB 18030 and in ISO 2022 the second byte of a letter may be
that of a separator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEPARATORS = "|^~\\&"
"""Field, component, repetition, escape and subcomponent, as every message of ours says them."""

MOST_SEGMENTS = 2000

_CODECS = {
    "": "ascii",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
"""HL7 table 0211 -> Python's name. `UNICODE` alone says nothing of its encoding; UTF-8 refuses what it is not."""
_JAPANESE = frozenset({"ISO IR87", "ISO IR159", "ISO IR13", "ISO IR14"})
_ISO_2022 = "iso2022_jp_ext"
_ESCAPE = re.compile(r"\\([^\\\r]{0,64})\\")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class NotReadable(Exception):
    """No HL7 v2 message. where: segment and field (ERR-2). code: of table 0357. The sentence quotes nothing of it."""

    def __init__(self, what: str, *, where: str = "MSH", code: str = "207") -> None:
        super().__init__(what)
        self.where = where
        self.code = code


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. fields: as written, `fields[n]` is field n of the standard; separators: of its message."""

    name: str
    fields: tuple[str, ...]
    separators: str = SEPARATORS

    def raw(self, field: int) -> str:
        """The field as written, empty where there is none."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """Its repetitions as written, without the empty ones."""
        return [each for each in self.raw(field).split(self.separators[2]) if each not in ("", '""')]

    def get(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """The text of a component of the first repetition; empty where there is none, or where it says `""`."""
        first = self.repetitions(field)
        return part(first[0], component, subcomponent, self.separators) if first else ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its segments in their order, MSH first."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of that name."""
        return (each for each in self.segments if each.name == name)


def part(written: str, component: int, subcomponent: int = 1, separators: str = SEPARATORS) -> str:
    """A component, or a part of it, of one repetition, as text."""
    components = written.split(separators[1])
    if component > len(components):
        return ""
    parts = components[component - 1].split(separators[4])
    text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
    return "" if text == '""' else unescape(text, separators).strip()


def read(content: bytes, *, undeclared: str = "") -> Message:
    """Take a message apart. undeclared: the character set of one that declares none. Raises :class:`NotReadable`."""
    first = content.split(b"\r", 1)[0].split(b"\n", 1)[0]
    if not first.startswith(b"MSH") or len(first) < 9:
        raise NotReadable("it does not begin with MSH", code="100")
    declared = _declared(first[3:4], first)
    text = decode(content, declared, undeclared)
    separators = text[3:8]
    if len(set(separators)) != 5 or not all(0x20 < ord(each) < 0x7F and not each.isalnum() for each in separators):
        raise NotReadable("MSH-1 and MSH-2 are no five different separators", where="MSH^1^2", code="102")
    lines = [line for line in re.split(r"[\r\n]+", text) if line]
    if len(lines) > MOST_SEGMENTS:
        raise NotReadable(f"it has more than {MOST_SEGMENTS} segments")
    message = Message(tuple(_segment(line, separators) for line in lines))
    if tuple(message.header.raw(18).split(separators[2])) != declared:
        raise NotReadable("MSH-18 cannot be told from the bytes before it", where="MSH^1^18", code="102")
    return message


def decode(content: bytes, declared: Sequence[str], undeclared: str = "") -> str:
    """The text of a message that declares these character sets (MSH-18). Raises :class:`NotReadable`."""
    names = [each.strip().upper() for each in declared]
    first = names[0] or undeclared
    if any(each in _JAPANESE for each in names):
        codec: str | None = _ISO_2022
    else:
        codec = _CODECS.get(first) if len(names) == 1 else None
    if codec is None:
        raise NotReadable("MSH-18 names a character set that is not taken", where="MSH^1^18", code="103")
    try:
        return content.decode(codec)
    except UnicodeDecodeError:
        said = f"in {first}, which MSH-18 says" if names[0] else "ASCII, and MSH-18 names no character set"
        raise NotReadable(f"it is not {said}", where="MSH^1^18", code="102") from None


def escape(text: str) -> str:
    """Text as it stands in a field of ours; line ends as the command that formatted text has for them."""
    for character, letter in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        text = text.replace(character, f"\\{letter}\\" if character != "\\" else "\0")
    text = text.replace("\0", "\\E\\")
    return _CONTROL.sub(" ", re.sub(r"\r\n|\r|\n", r"\\.br\\", text))


def unescape(text: str, separators: str = SEPARATORS) -> str:
    """The inverse of :func:`escape`; other escape sequences are left out, for they are about how text looks."""
    if separators[3] not in text:
        return text
    letters = {"F": separators[0], "S": separators[1], "T": separators[4], "R": separators[2], "E": separators[3],
               ".br": "\n"}
    return _ESCAPE.sub(lambda match: letters.get(match[1], ""), text.replace(separators[3], "\\"))


def composed(*components: str) -> str:
    """Components of one field, escaped; what is empty at the end is left out."""
    return "^".join(map(escape, components)).rstrip("^")


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment out of fields by number, which are escaped already."""
    values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    if name == "MSH":
        values = values[1:]  # MSH-1 is the separator itself
    return "|".join([name, *values])


def written(segments: Sequence[str]) -> bytes:
    """The message, in UTF-8."""
    return "".join(f"{each}\r" for each in segments).encode("utf-8")


def _segment(line: str, separators: str) -> Segment:
    name = line[:3]
    if not (name.isascii() and name.isalnum() and name.isupper() and line[3:4] in ("", separators[0])):
        raise NotReadable("a segment has no name of three letters", where=name if name.isalnum() else "", code="100")
    fields = line.split(separators[0])
    if name == "MSH":
        fields = [name, separators[0], *fields[1:]]
    return Segment(name, tuple(fields), separators)


def _declared(separator: bytes, first: bytes) -> tuple[str, ...]:
    fields = first.split(separator)
    repetition = fields[1][1:2] or b"~"
    written_there = fields[17] if len(fields) > 17 else b""
    return tuple(each.decode("ascii", "replace") for each in written_there.split(repetition))


def addressed(content: bytes, application: str, facility: str) -> bytes:
    """The message with MSH-5 and MSH-6."""
    head, rest = content.split(b"\r", 1)
    fields = head.split(b"|")
    fields[4], fields[5] = escape(application).encode(), escape(facility).encode()
    return b"|".join(fields) + b"\r" + rest
