"""What a radiologist sees in OHIF that asks nobody but the node: the list of studies, the images and their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from support import dcmtk, ohif
from support.node import archive, modality
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.node import NodeProcess
    from support.pacs import StandInPacs

SLICES, SIZE = 120, 256

pytestmark = [
    pytest.mark.peer, pytest.mark.slow,
    pytest.mark.skipif(
        "RADNODE_TEST_PICTURES" not in os.environ, reason="a minute; it writes RADNODE_TEST_PICTURES/*.png"
    ),
]


def test_ohif_lists_a_study_of_the_node_and_shows_its_segmentation(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    files = write_series(chest_phantom(slices=SLICES, size=SIZE, seed=7), tmp_path / "ct")
    node = start_node(peers=[modality(), archive(pacs.port)])
    dcmtk.dcmsend(node.port, files, called="RADNODE")
    found = eventually(
        lambda: each if len(each := node.get("/dicom-web/series")) == 3 else None,
        within=180, why=lambda: f"CT, SEG and SR are listed\n{node.log()}",
    )
    described = {each["00080060"]["Value"][0]: each["0008103E"]["Value"][0] for each in found}
    seen = ohif.looked_at(
        node, tmp_path, study=found[0]["0020000D"]["Value"][0], slices=SLICES, segmentation=described["SEG"],
        instance=SLICES // 2, listed=True, token=node.token("radiologist"),
    )
    Image.open(tmp_path / "ohif-seg.png").convert("RGB").quantize(256).save(
        Path(os.environ["RADNODE_TEST_PICTURES"]) / "ohif-from-the-node.png", optimize=True
    )
    assert seen["errors"] == []
    assert [row.split("\n\t\n")[:5] for row in seen["listed"]] == [
        ["Phantom, Chest", "02-Jan-2026 10:15 AM", "CT\\SEG\\SR", "CT chest", "A-1"]
    ]
    assert [row.split("\n")[:2] for row in seen["series"]] == [[kind, described[kind]] for kind in ("CT", "SEG", "SR")]
    shown = seen["segmentation"]
    assert (shown["errors"], [row.split("\n")[-1] for row in shown["segments"]]) == ([], ["Left lung", "Right lung"])
