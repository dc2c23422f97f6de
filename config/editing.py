"""A change of a configuration's text that leaves alone what it does not change: comments, order, layout."""

from __future__ import annotations

import difflib
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken
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
    lines = [each.splitlines(keepends=True) for each in (before, text, after)]
    tried = ("".join(_merged(*lines, near=near)) for near in (0, 1))
    return next((merged for merged in tried if _means_the_same(merged, after)), after)


def add(holder: CommentedMap | CommentedSeq, key: str, value: object) -> None:
    """Put something where nothing stood (`null`, `{}`, no such key), or at the end of a list, where no key matters.

    ruamel.yaml keeps the comments that announce what follows with what stands before them: they stay behind it.
    """
    value = _commented(value)
    filled = isinstance(holder, CommentedMap) and key in holder
    last = (holder, key) if filled else _last(holder)
    behind = _taken(*last) if last else ""
    if isinstance(holder, CommentedMap):
        holder[key] = value
    else:
        holder.append(value)
    made = _last(value) or ((holder, key) if isinstance(holder, CommentedMap) else (holder, len(holder) - 1))
    if behind:
        _put_behind(made, behind)


def drop(above: CommentedMap, place: str, key: Any) -> None:
    """Take a key, or a number, out of what stands at a place; the last one leaves nothing there.

    The comments that announce what follows stay.
    """
    holder = above[place]
    behind = _taken(*(_last(holder[key]) or (holder, key)))
    keys = list(holder) if isinstance(holder, CommentedMap) else list(range(len(holder)))
    before = keys[:keys.index(key)]
    del holder[key]
    if not holder:
        above[place] = None
    if behind:
        _put_behind((_last(holder[before[-1]]) or (holder, before[-1])) if before else (above, place), behind)


def _put_behind(line: tuple[Any, Any], behind: str) -> None:
    """Comment lines, below a line, that is a key of a mapping or list, and what is said beside it."""
    node, key = line
    slot = 2 if isinstance(node, CommentedMap) else 0
    items = node.ca.items.setdefault(key, [None, None, None, None])
    if items[slot]:
        items[slot].value = items[slot].value.rstrip("\n") + f"\n{behind}"
    else:
        items[slot] = CommentToken(f"\n{behind}", start_mark=CommentMark(0))


def _commented(value: object) -> Any:
    if isinstance(value, dict):
        return CommentedMap({key: _commented(each) for key, each in value.items()})
    if not isinstance(value, list):
        return value
    made = CommentedSeq(_commented(each) for each in value)
    if not any(isinstance(each, dict) for each in value):
        made.fa.set_flow_style()
    return made


def _last(node: object) -> tuple[Any, Any] | None:
    """The mapping or list, and the key in it, whose line is the last of a node; None for a node without lines below."""
    if not isinstance(node, CommentedMap | CommentedSeq) or not node or node.fa.flow_style():
        return None
    key = next(reversed(node)) if isinstance(node, CommentedMap) else len(node) - 1
    return _last(node[key]) or (node, key)


def _taken(node: CommentedMap | CommentedSeq, key: object) -> str:
    """The comment lines below a line, taken from it; a comment on the line itself stays."""
    slot = 2 if isinstance(node, CommentedMap) else 0
    items = node.ca.items.get(key)
    if not items or not items[slot]:
        return ""
    own, _, behind = items[slot].value.partition("\n")
    if own:
        items[slot].value = f"{own}\n"
    else:
        items[slot] = None
    return str(behind)


def _means_the_same(merged: str, after: str) -> bool:
    reader = YAML(typ="safe", pure=True)
    try:
        return bool(reader.load(merged) == reader.load(after))
    except YAMLError:  # what was laid out and what was changed do not go together
        return False


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


def _merged(base: Sequence[str], laid_out: Sequence[str], changed: Sequence[str], *, near: int) -> Iterator[str]:
    """Three-way: what `changed` changed of `base`, and elsewhere what stands in `laid_out`, that far from a change.

    near: lines. Right above what was put below a key its `null` may stand.
    """
    edits, layouts = _hunks(base, changed), _hunks(base, laid_out)
    apart = [each for each in layouts
             if not any(each[0] < edit[1] + near and edit[0] < each[1] + near for edit in edits)]
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
