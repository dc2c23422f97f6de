"""Configurations of any text: every mistake is told, and what is accepted can be judged and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import radnode.config
from radnode.config.loading import ConfigError, parse
from radnode.config.references import check_references
from radnode.node import routing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.config.loading import Problem

INSTRUMENTED = ("radnode.config", "radnode.node.routing")
LONGEST = 2048
_IMAGES = (
    {"Modality": "CT", "BodyPartExamined": "CHEST", "SliceThickness": 1.25, "SeriesDescription": "Lung " + "a" * 200,
     "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "InstanceNumber": 1, "(0009,1001)": "x"},
    {},
)  # fmt: skip


def seeds() -> Iterator[bytes]:
    """The commented defaults, and routes with every operator."""
    for path in sorted((Path(radnode.config.__file__).parent / "defaults").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        yield text.encode()[:LONGEST]
        yield "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).encode()[:LONGEST]
    for when in (
        "modality: CT", "body_part: [CHEST, THORAX]", "slice_thickness: {at_most: 3.0, at_least: 0.5}",
        'series_description: {matches: "(?i)lung|thorax"}', "image_type: {contains: ORIGINAL}",
        "{any: [{modality: MR}, {not: {modality: {in: [CT, PT]}}}]}", "{all: [{patient_age: {exists: true}}]}",
        '"(0009,1001)": {is: x}', "source: PACS1",
    ):  # fmt: skip
        yield f"routes:\n  - name: r\n    when: {{{when}}}\n    run: [ct-lung]\n    send: [PACS1]\n".encode()
        yield f"routes:\n- name: r\n  when:\n    {when}\n  run: a\n  send: b\n  priority: low\n  enabled: no\n".encode()


def one_input(data: bytes) -> None:
    """Load it; judge two images by it."""
    try:
        configuration = parse(data.decode("utf-8", "replace"), "fuzz.yaml")
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
