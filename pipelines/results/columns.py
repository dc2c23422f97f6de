"""Thousands of alike items of one sequence, read as columns.

The items of a per-frame sequence differ in a few values. Items whose bytes agree in everything but the values of their
elements are read together: the first tells where each value lies, numpy takes that place from all of them. An item
that differs from the others in structure makes a table of its own, so nothing is read wrongly, only more slowly.
Explicit VR Little Endian, defined and undefined lengths (PS3.5 7.1.2, 7.5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF

Path = tuple[int, ...]
"""Tags from the outermost sequence inwards, only of first items: (SQ tag, ..., element tag)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Items of the same structure.

    rows: which items, 0-based, ascending. columns: for each element the bytes of its value in every row, uint8
    (rows, width). An element in a second item of an inner sequence stands under the same path, later in the list.
    """

    rows: NDArray[np.intp]
    columns: dict[Path, list[NDArray[np.uint8]]]

    def texts(self, path: Path) -> NDArray[np.bytes_]:
        """One value of text for each row, without padding. Raises KeyError."""
        return np.char.rstrip(_strings(self.columns[path][0]), b" \0")

    def numbers(self, path: Path, dtype: str) -> NDArray[np.int64]:
        """Binary numbers, (rows, values). Raises KeyError."""
        return np.ascontiguousarray(self.columns[path][0]).view(dtype).astype(np.int64)

    def decimals(self, path: Path) -> NDArray[np.float64]:
        """Decimal strings, (rows, values). Raises KeyError, and ValueError for what is no number."""
        said, place = np.unique(self.texts(path), return_inverse=True)
        read = np.array([[float(value) for value in each.split(b"\\")] for each in said], dtype=np.float64)
        return read[place]

    def every(self, tag: int) -> Iterator[NDArray[np.bytes_]]:
        """The distinct texts of each element of that tag, wherever it stands."""
        for path, columns in self.columns.items():
            if path[-1] == tag:
                for column in columns:
                    yield np.unique(np.char.rstrip(_strings(column), b" \0"))


def tables(sequence: bytes) -> list[Table]:
    """The items of a sequence's value. Raises ValueError where the bytes are no items."""
    spans = list(_items(sequence))
    content = np.frombuffer(sequence, dtype=np.uint8)
    by_length: dict[int, list[int]] = {}
    for number, (start, stop) in enumerate(spans):
        by_length.setdefault(stop - start, []).append(number)
    found = []
    for length, numbers in by_length.items():
        starts = np.array([spans[number][0] for number in numbers])
        alike = content[starts[:, np.newaxis] + np.arange(length)]
        rows = np.array(numbers, dtype=np.intp)
        while len(rows):
            table, rest = _table(rows, alike)
            found.append(table)
            rows, alike = rows[rest], alike[rest]
    return found


def _table(rows: NDArray[np.intp], alike: NDArray[np.uint8]) -> tuple[Table, NDArray[np.bool_]]:
    """The items that have the structure of the first, and which do not."""
    leaves = list(_leaves(alike[0].tobytes(), 0, alike.shape[1], ()))
    structural = np.ones(alike.shape[1], dtype=np.bool_)
    for _, start, stop in leaves:
        structural[start:stop] = False
    same = (alike[:, structural] == alike[0, structural]).all(axis=1)
    columns: dict[Path, list[NDArray[np.uint8]]] = {}
    for path, start, stop in leaves:
        columns.setdefault(path, []).append(alike[same, start:stop])
    return Table(rows=rows[same], columns=columns), ~same


def _strings(column: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    if column.shape[1] == 0:
        return np.zeros(len(column), dtype="S1")
    return np.ascontiguousarray(column).view(f"S{column.shape[1]}").ravel()


def _items(content: bytes) -> Iterator[tuple[int, int]]:
    """(start, stop) of the content of each item."""
    place = 0
    while place < len(content):
        tag, length = _tag(content, place), _length(content, place)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise ValueError("no item where one should be")
        start = place + 8
        stop = _end_of_item(content, start) if length == _UNDEFINED else start + length
        if stop > len(content):
            raise ValueError("an item is longer than its sequence")
        yield start, stop
        place = stop + (8 if length == _UNDEFINED else 0)


def _end_of_item(content: bytes, place: int) -> int:
    while _tag(content, place) != _ITEM_END:
        _, _, place = _element(content, place)
    return place


def _leaves(content: bytes, place: int, stop: int, path: Path) -> Iterator[tuple[Path, int, int]]:
    """(path, start, stop) of every value that is no sequence."""
    while place < stop:
        group, number = _tag(content, place)
        vr, start, end = _element(content, place)
        here = (*path, group << 16 | number)
        if vr == b"SQ":
            for first, last in _items(content[start:end]):
                yield from _leaves(content, start + first, start + last, here)
        else:
            yield here, start, end
        place = end


def _element(content: bytes, place: int) -> tuple[bytes, int, int]:
    """(VR, start of the value, end of the element)."""
    vr = content[place + 4 : place + 6]
    if vr not in _LONG:
        start = place + 8
        return vr, start, start + int(struct.unpack_from("<H", content, place + 6)[0])
    start = place + 12
    length = int(struct.unpack_from("<I", content, place + 8)[0])
    if length != _UNDEFINED:
        return vr, start, start + length
    end = start
    while _tag(content, end) != _SEQUENCE_END:
        inner = _length(content, end)
        end = _end_of_item(content, end + 8) + 8 if inner == _UNDEFINED else end + 8 + inner
    return vr, start, end + 8


def _tag(content: bytes, place: int) -> tuple[int, int]:
    if place + 8 > len(content):
        raise ValueError("the sequence ends in the middle of an element")
    group, number = struct.unpack_from("<HH", content, place)
    return int(group), int(number)


def _length(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", content, place + 4)[0])
