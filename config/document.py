"""A YAML text as plain data with the line of every key. Only what a configuration needs of YAML is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    DirectiveToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    ScalarToken,
    TagToken,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ruamel.yaml.nodes import Node

LARGEST_TEXT = 2**20
"""Bytes."""

Where = tuple[str | int, ...]
Flaw = tuple[int, str, str]
"""Line, what is wrong, what would be right."""

DEEPEST = 32
"""Levels of mappings and lists."""

_OPENING = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)
_REFUSED = (
    (TagToken, "a YAML tag is not used here", "write the plain value"),
    (AliasToken, "a YAML alias is not used here", "write the value again"),
    (AnchorToken, "a YAML anchor is not used here", "leave it out and write the value wherever it is needed"),
    (DirectiveToken, "a YAML directive is not used here", "leave it out"),
)


class NotReadable(Exception):
    """The text is not the YAML of a configuration."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__(flaws)
        self.flaws = tuple(flaws)


def read_document(text: str) -> tuple[dict[str, Any], dict[Where, int]]:
    """Plain data, and the 1-based line of each path in it. Raises :class:`NotReadable`.

    Tags could name code and aliases grow without bound (YAML 1.2, 3.2.2); neither is needed, so neither is read.
    """
    if len(text.encode(errors="replace")) > LARGEST_TEXT:
        raise NotReadable([(1, "the file is too large", f"stay below {LARGEST_TEXT} bytes")])
    try:
        if flaws := [*_refused(text)] or [*_odd_keys(YAML(typ="rt", pure=True).compose(text))]:
            raise NotReadable(flaws)
        document = YAML(typ="rt", pure=True).load(text)
        if document is None:
            return {}, {}
        if not isinstance(document, CommentedMap):
            raise NotReadable([(1, "not a mapping", "begin with `node:`, `peers:` or `routes:`")])
        lines: dict[Where, int] = {}
        _note_lines(document, (), lines)
        plain: dict[str, Any] = _plain(document)
    except DuplicateKeyError as error:
        raise NotReadable([(_line(error), "a key stands twice", "keep one of them")]) from error
    except MarkedYAMLError as error:
        raise NotReadable([(_line(error), *_said(error))]) from error
    except (YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise NotReadable([(1, f"not YAML: {said}", "save it as plain UTF-8 text")]) from error
    return plain, lines


def _refused(text: str) -> list[Flaw]:
    flaws: list[Flaw] = []
    depth = 0
    for token in YAML(typ="rt", pure=True).scan(text):
        line = token.start_mark.line + 1
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > DEEPEST:  # at once: the time to scan grows with the square of the depth
            return [*flaws, (line, "nested too deeply", f"a configuration has at most {DEEPEST} levels")]
        flaws += [(line, message, cure) for kind, message, cure in _REFUSED if isinstance(token, kind)]
        if isinstance(token, ScalarToken) and token.plain and token.value == "<<":
            flaws.append((line, "a YAML merge is not used here", "write the keys themselves"))
    return flaws


def _odd_keys(node: Node | None) -> Iterator[Flaw]:
    """Keys that are no plain word, as the inner braces of `{{a: b}}` are; no dictionary could hold them."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode):
                yield from _odd_keys(value)
            else:
                line = key.start_mark.line + 1
                yield line, "a mapping or a list stands where a key belongs", "check braces and brackets"
    elif isinstance(node, SequenceNode):
        for each in node.value:
            yield from _odd_keys(each)


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 1


def _said(error: MarkedYAMLError) -> tuple[str, str]:
    if isinstance(error, ComposerError):
        return "a second document is not used here", "leave out the line `---`"
    return " ".join((error.problem or "not YAML").split()), "check indentation, colons and quotes"


def _note_lines(node: object, path: Where, lines: dict[Where, int]) -> None:
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            here = (*path, str(key))
            if here in lines:  # 1 and "1" are two keys to YAML
                raise NotReadable([(node.lc.key(key)[0] + 1, "a key stands twice", "keep one of them")])
            lines[here] = node.lc.key(key)[0] + 1
            _note_lines(value, here, lines)
    elif isinstance(node, CommentedSeq):
        for number, value in enumerate(node):
            here = (*path, number)
            lines[here] = node.lc.item(number)[0] + 1
            _note_lines(value, here, lines)


def _plain(node: object) -> Any:
    """Plain dictionaries, lists and scalars of what the round-trip loader made."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(each) for each in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
