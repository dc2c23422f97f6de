"""Configurations of any text and of any shape: every mistake is told, and what is accepted can be judged and shown.

The first byte of an input says what the others are: the text of a file, or a document that is put together of the words
of a configuration, so that most inputs get beyond YAML.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radnode.config
from radnode.config import loading
from radnode.config.document import NotReadable, read_document
from radnode.config.loading import ConfigError, parse
from radnode.config.references import check_references
from radnode.node import routing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.config.loading import Problem

INSTRUMENTED = ("radnode.config", "radnode.node.routing")
LONGEST = 512
TEXT, DOCUMENT = range(2)
_KINDS = (TEXT, DOCUMENT, DOCUMENT, DOCUMENT)
"""To read YAML takes five times as long as to judge what it says."""
_IMAGES = (
    {"Modality": "CT", "BodyPartExamined": "CHEST", "SliceThickness": 1.25, "SeriesDescription": "Lung " + "a" * 200,
     "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "InstanceNumber": 1, "(0009,1001)": "x"},
    {},
)  # fmt: skip
_CONDITIONS = (
    "modality: CT", "body_part: [CHEST, THORAX]", "slice_thickness: {at_most: 3.0, at_least: 0.5}",
    'series_description: {matches: "(?i)lung|thorax"}', "image_type: {contains: ORIGINAL}",
    "{any: [{modality: MR}, {not: {modality: {in: [CT, PT]}}}]}", "{all: [{patient_age: {exists: true}}]}",
    '"(0009,1001)": {is: x}', "source: PACS1",
)  # fmt: skip
_MAPPING, _LIST, _WRITTEN = 0xFD, 0xFE, 0xFF
"""What a byte of a document begins, with a number after it: so many keys and values, items, bytes of UTF-8.

Any other byte is the number of a word."""
_ODD_WORDS = (
    None, True, False, 0, 1, -1, 2.5, float("inf"), 10**20, "", " ", "\0", "(0019,xx0c,A B)", "(?i)(", "*", "24h",
)  # fmt: skip


def seeds() -> Iterator[bytes]:
    """The commented defaults, and routes with every operator, as texts and as documents."""
    for text in _texts():
        for piece in (text, "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))):
            yield bytes([TEXT]) + piece.encode()[: LONGEST - 1]
    for section in _documents():
        yield (bytes([DOCUMENT]) + bytes(_spelled(section)))[:LONGEST]


def one_input(data: bytes) -> None:
    """Load it; judge two images by it."""
    kind, rest = (_KINDS[data[0] % 4], data[1:]) if data else (TEXT, b"")
    text = rest.decode("utf-8", "replace")
    loading.read_document = read_document if kind == TEXT else lambda _text: (_document(rest), {})
    try:
        configuration = parse(text, "fuzz.yaml")
    except ConfigError as error:
        _told(error.problems)
        return
    if problems := check_references(configuration, ["ct-lung"]):
        _told(problems)
    explained = routing.as_json(routing.explain(configuration.routes, _IMAGES, {"source": "PACS1"}))
    routing.render(json.loads(json.dumps(explained)))


def _told(problems: Sequence[Problem]) -> None:
    assert problems, "a refusal says why"
    for problem in problems:
        assert problem.line >= 1, problem
        assert problem.message, problem
        str(problem).encode("utf-8", "strict")


def _texts() -> Iterator[str]:
    for path in sorted((Path(radnode.config.__file__).parent / "defaults").glob("*.yaml")):
        yield path.read_text(encoding="utf-8")
    for when in _CONDITIONS:
        yield f"routes:\n  - name: r\n    when: {{{when}}}\n    run: [ct-lung]\n    send: [PACS1]\n"
        yield f"routes:\n- name: r\n  when:\n    {when}\n  run: a\n  send: b\n  priority: low\n  enabled: no\n"


def _documents() -> Iterator[dict[str, Any]]:
    """Each text that is one, whole and section by section."""
    for text in _texts():
        with suppress(NotReadable):  # some are seeds for that
            document, _ = read_document(text)
            yield document
            yield from ({name: section} for name, section in document.items())


@cache
def _words() -> tuple[Any, ...]:
    """What stands in documents, each once."""
    found: dict[tuple[type, Any], None] = {(type(each), each): None for each in _ODD_WORDS}

    def look(node: Any) -> None:
        if isinstance(node, dict):
            for each in (*node, *node.values()):
                look(each)
        elif isinstance(node, list):
            for each in node:
                look(each)
        else:
            found[type(node), node] = None

    for document in _documents():
        look(document)
    assert len(found) <= _MAPPING, "a byte names each word"
    return tuple(word for _, word in found)


def _spelled(node: Any) -> Iterator[int]:
    """The bytes of a document, which :func:`_document` reads."""
    if isinstance(node, dict):
        yield from (_MAPPING, len(node))
        for key, value in node.items():
            yield from (*_spelled(key), *_spelled(value))
    elif isinstance(node, list):
        yield from (_LIST, len(node))
        for each in node:
            yield from _spelled(each)
    else:
        yield [(type(each), each) for each in _words()].index((type(node), node))


def _document(data: bytes) -> dict[str, Any]:
    """Of any bytes."""
    left = iter(data)
    node = _node(left, deepest=16)
    return node if isinstance(node, dict) else {"routes": node}


def _node(left: Iterator[int], deepest: int) -> Any:
    kind = next(left, 0)
    if kind < _MAPPING or (kind != _WRITTEN and not deepest):
        return _words()[kind % len(_words())]
    number = next(left, 0) % 32
    if kind == _WRITTEN:
        return bytes(next(left, 0) for _ in range(number)).decode("utf-8", "replace")
    if kind == _LIST:
        return [_node(left, deepest - 1) for _ in range(number)]
    return {str(_node(left, 0)): _node(left, deepest - 1) for _ in range(number)}
