"""A change of a configuration's text that leaves alone what it does not change: comments, order, layout."""

from __future__ import annotations

import difflib
from io import StringIO
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.util import load_yaml_guess_indent

from radnode.config.document import read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WIDEST = 4096
"""Columns; a line that an administrator wrote is not broken."""


def edited(text: str, edit: Callable[[CommentedMap], None]) -> str:
    """The text after `edit` changed the document in place. Raises :class:`~radnode.config.document.NotReadable`.

    What YAML's writer would lay out otherwise although nothing changed there stays as it was written.
    """
    read_document(text)
    before = _written(_loaded(text), text)
    document = _loaded(text)
    edit(document)
    after = _written(document, text)
    merged = "".join(_merged(*(each.splitlines(keepends=True) for each in (before, text, after))))
    return merged if _means(merged) == _means(after) else after


def _means(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def _loaded(text: str) -> CommentedMap:
    return _writer(text).load(text) or CommentedMap()


def _writer(text: str) -> YAML:
    _, _, offset = load_yaml_guess_indent(text)
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = WIDEST
    dash = offset or 0
    yaml.indent(mapping=2, sequence=dash + 2, offset=dash)
    return yaml


def _written(document: CommentedMap, text: str) -> str:
    out = StringIO()
    _writer(text).dump(document, out)
    return out.getvalue()


def _merged(base: Sequence[str], laid_out: Sequence[str], changed: Sequence[str]) -> Iterator[str]:
    """Three-way: what `changed` changed of `base`, and everywhere else what stands in `laid_out`."""
    edits, layouts = _hunks(base, changed), _hunks(base, laid_out)
    apart = [each for each in layouts if not any(each[0] < edit[1] and edit[0] < each[1] for edit in edits)]
    at = 0
    for start, end, lines in sorted([*edits, *apart], key=lambda hunk: hunk[:2]):
        yield from base[at:start]
        yield from lines
        at = end
    yield from base[at:]


def _hunks(base: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, Sequence[str]]]:
    """(first line of the base, the line after the last, what stands there in the other)."""
    codes = difflib.SequenceMatcher(None, base, other, autojunk=False).get_opcodes()
    return [(a, b, other[c:d]) for kind, a, b, c, d in codes if kind != "equal"]
