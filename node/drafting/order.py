"""Routes moved and deleted in the text of the configuration, each with the comments above it. Pure."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from radnode.config.document import read_document
from radnode.config.editing import edited
from radnode.node.drafting.edits import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruamel.yaml.comments import CommentedMap


def moved(text: str, name: str, to: int) -> str:
    """The text with this route at that place, counted from 0. Raises :class:`NoSuchRoute`, NotReadable."""
    document, _ = read_document(text)
    place = place_of(document.get("routes") or [], name)
    order = list(range(len(document["routes"])))
    order.insert(max(0, min(to, len(order) - 1)), order.pop(place))
    return _reordered(text, order)


def deleted(text: str, name: str) -> str:
    """The text without this route. Raises :class:`NoSuchRoute`, NotReadable."""
    document, _ = read_document(text)
    place = place_of(document.get("routes") or [], name)
    return _reordered(text, [each for each in range(len(document["routes"])) if each != place])


def _reordered(text: str, order: Sequence[int]) -> str:
    """By whole lines where that gives the routes in this order and nothing else; otherwise as YAML's writer does it."""
    before, _ = read_document(text)
    wanted = {**before, "routes": [before["routes"][each] for each in order] or None}
    by_lines = _by_lines(text, order)
    if by_lines is not None and _plain(by_lines) == wanted:
        return by_lines

    def edit(document: CommentedMap) -> None:
        document["routes"] = [document["routes"][each] for each in order]

    return edited(text, edit)


def _plain(text: str) -> object:
    return YAML(typ="safe", pure=True).load(StringIO(text))


def _by_lines(text: str, order: Sequence[int]) -> str | None:
    """None where the routes are no list with a dash at the beginning of each."""
    document, lines = read_document(text)
    rows = text.splitlines(keepends=True)
    dashes = [lines["routes", number] - 1 for number in range(len(document["routes"]))]
    if any(not rows[each].lstrip(" ").startswith("- ") for each in dashes):
        return None
    starts = [_with_comments(rows, each) for each in dashes]
    blocks = [rows[start:end] for start, end in zip(starts, [*starts[1:], _end(rows, dashes[-1])], strict=True)]
    if blocks and not blocks[-1][-1].endswith("\n"):
        blocks[-1] = [*blocks[-1][:-1], blocks[-1][-1] + "\n"]
    moved_rows = [row for each in order for row in blocks[each]]
    return "".join([*rows[:starts[0]], *moved_rows, *rows[_end(rows, dashes[-1]):]])


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _with_comments(rows: Sequence[str], dash: int) -> int:
    """The first line of the comments that stand directly above an entry, at its own indentation."""
    start = dash
    while start and rows[start - 1].lstrip(" ").startswith("#") and _indent(rows[start - 1]) == _indent(rows[dash]):
        start -= 1
    return start


def _end(rows: Sequence[str], dash: int) -> int:
    """The line behind the last one that is indented below this dash."""
    end = dash + 1
    for number in range(dash + 1, len(rows)):
        row = rows[number]
        if row.strip() and _indent(row) <= _indent(rows[dash]):
            break
        if row.strip():
            end = number + 1
    return end
