"""multipart/related (RFC 2387, RFC 2046 5.1) taken apart while it arrives: no part, however large, is ever in memory.

Strict where leniency would guess at an object's end: line ends are CRLF, what follows a boundary is the end of its
line, and a body without its closing boundary has no last part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_HEADERS = 8192
"""Bytes of the header fields of one part; of the preamble, and of the epilogue."""
MOST_FIELDS = 32
MOST_PARTS = 20_000
"""Of one request. Each has a line in the answer."""
_LONGEST_PADDING = 128

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,255}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046 5.1.1, but for its 70 characters: Orthanc's has more."""
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")


class Malformed(Exception):
    """The body is not what its type says; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Begins:
    """A part; header fields by their names in lower case."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ends:
    """The part is whole."""


Event = Begins | bytes | Ends
"""Between Begins and Ends, the bytes of the part's body in pieces."""


class _State(Enum):
    PREAMBLE = "before the first boundary"
    BOUNDARY = "in the line of a boundary"
    FIELDS = "in the header of a part"
    BODY = "in the body of a part"
    EPILOGUE = "after the last boundary"


class Multipart:
    """Takes pieces by `feed`; `finish` at the end of the body. Both raise :class:`Malformed`; then it is over."""

    def __init__(self, boundary: str) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise Malformed("the boundary is not one of RFC 2046")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._data = bytearray(b"\r\n")  # that of the first boundary may be the beginning of the body
        self._state = _State.PREAMBLE
        self._passed = 0
        self._parts = 0
        self._skip = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """What these bytes complete. To be read to its end before the next piece."""
        self._data += piece
        step = {
            _State.PREAMBLE: self._preamble, _State.BOUNDARY: self._boundary, _State.FIELDS: self._fields,
            _State.BODY: self._body, _State.EPILOGUE: self._epilogue,
        }  # fmt: skip
        before = None
        while before != (self._state, len(self._data)):
            before = (self._state, len(self._data))
            yield from step[self._state]()

    def finish(self) -> None:
        """The body is over."""
        if self._state is not _State.EPILOGUE:
            raise Malformed(f"the body ends {self._state.value}")

    def _preamble(self) -> Iterator[Event]:
        at = self._data.find(self._delimiter)
        gone = at if at >= 0 else max(0, len(self._data) - len(self._delimiter) + 1)
        self._pass_over(gone, "no boundary at the beginning")
        if at >= 0:
            self._next(len(self._delimiter), _State.BOUNDARY)
        yield from ()

    def _boundary(self) -> Iterator[Event]:
        if self._data[:2] == b"--":
            self._next(2, _State.EPILOGUE)
            self._passed = 0
            return
        at = self._data.find(b"\r\n", 0, _LONGEST_PADDING)
        if at < 0 and len(self._data) >= _LONGEST_PADDING:
            raise Malformed("the line of a boundary does not end")
        if at >= 0 and self._data[:at].strip(b" \t"):
            raise Malformed("something follows a boundary in its line")
        if at >= 0:
            self._next(at, _State.FIELDS)  # the line end stays: there may be no field
        yield from ()

    def _fields(self) -> Iterator[Event]:
        at = self._data.find(b"\r\n\r\n", 0, LONGEST_HEADERS)
        if at < 0:
            if len(self._data) >= LONGEST_HEADERS:
                raise Malformed(f"the header of a part has more than {LONGEST_HEADERS} bytes")
            return
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Malformed(f"more than {MOST_PARTS} parts")
        fields = _parsed(bytes(self._data[2:at]))
        # RFC 2046 5.1.1: of a part without a body, the empty line is that of the next boundary already.
        self._next(at + 2, _State.BODY)
        self._skip = 2
        yield Begins(fields)

    def _body(self) -> Iterator[Event]:
        at = self._data.find(self._delimiter)
        ready = at if at >= 0 else max(0, len(self._data) - len(self._delimiter) + 1)
        skipped = min(self._skip, ready)
        if ready > skipped:
            yield bytes(self._data[skipped:ready])
        self._skip -= skipped
        del self._data[:ready]
        if at >= 0:
            self._next(len(self._delimiter), _State.BOUNDARY)
            self._skip = 0
            yield Ends()

    def _epilogue(self) -> Iterator[Event]:
        self._pass_over(len(self._data), "after the last boundary")
        yield from ()

    def _pass_over(self, number: int, where: str) -> None:
        self._passed += number
        if self._passed > LONGEST_HEADERS:
            raise Malformed(f"more than {LONGEST_HEADERS} bytes {where}")
        del self._data[:number]

    def _next(self, number: int, state: _State) -> None:
        del self._data[:number]
        self._state = state


def _parsed(lines: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    found = lines.split(b"\r\n") if lines else []
    if len(found) > MOST_FIELDS:
        raise Malformed(f"a part with more than {MOST_FIELDS} header fields")
    for line in found:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed("a line in the header of a part is no field")
        name = field[1].decode("ascii").lower()
        if name in fields:
            raise Malformed("a header field of a part is there twice")
        fields[name] = field[2].decode("latin-1").strip(" \t")
    return fields
