"""Organs by a model in a pipeline's slot: images into a running node, DICOM out again."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from support import bundles, dcmtk, validators
from support.chest import write_chest
from support.node import RADNODE, archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "trunk", "when": {"modality": "CT"}, "run": ["ct-organs"], "send": ["PACS"]}


def models(node: NodeProcess, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RADNODE, "models", *map(str, words), "--config", str(node.config)], capture_output=True,
                          text=True, timeout=120, check=False)


def test_a_model_in_the_slot_of_ct_organs_gives_segments_and_their_volumes_and_stays_while_a_route_needs_it(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    added = models(node, "add", bundles.write_bundle(tmp_path / "threshold"), "--name", "ct-organs-labels")
    assert added.returncode == 0, added.stderr
    eventually(lambda: "models.loaded" in node.log(), within=20, why=node.log)
    series = write_chest(tmp_path / "ct", slices=12)

    dcmtk.dcmsend(node.port, series.files, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")

    results = {str(each.Modality): each for each in pacs.stored()}
    assert [segment.SegmentLabel for segment in results["SEG"].SegmentSequence] == ["spleen"]
    said = str(results["SR"])
    assert "Segmented by the model ct-organs-labels 0.1.0" in said
    assert "Volume" in said
    for name, result in results.items():
        path = tmp_path / f"{name}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.validate(path, name)
    kept = models(node, "remove", "ct-organs-labels")
    assert kept.returncode == 1
    assert "named by the route trunk" in kept.stderr + kept.stdout
