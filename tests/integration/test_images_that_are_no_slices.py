"""A radiograph into a running node, what a pipeline of a third party found on it out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import dcmtk, flat_bundles, validators
from support import flat_images as flat
from support.node import archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "mammography", "when": {"modality": "MG"}, "run": ["marks"], "send": ["PACS"]}


def test_mammograms_sent_to_a_node_come_back_with_the_bundles_marks_where_they_are(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[])
    folder = flat_bundles.bundle(tmp_path / "marks", 1, modality="Mammogram", size=[64, 72])
    node.command("models", "add", folder, "--config", node.config)
    node.configure(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)

    files = flat.write_mammograms(tmp_path / "mg", inverted=True)
    dcmtk.dcmsend(node.port, files, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 5, within=120, why=lambda: f"four and a report\n{node.log()}")

    results = pacs.stored()
    segmentations = [each for each in results if each.Modality == "SEG"]
    assert sorted(str(each.ImageLaterality) for each in segmentations) == ["L", "L", "R", "R"]
    for segmentation in segmentations:
        np.testing.assert_array_equal(segmentation.pixel_array.squeeze() > 0, flat.marked())
    for number, result in enumerate(results):
        path = tmp_path / f"{number}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.dciodvfy(path)
