"""mr-brain through the node: four series, a model of the store in its slot, segments and volumes in the PACS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import bundles, dcmtk, mr_study, validators
from support.mr_study import BRATS, T1_SERIES
from support.node import RADNODE, archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "head", "when": {"modality": "MR", "body_part": "HEAD"}, "run": ["mr-brain"], "send": ["PACS"]}


def test_a_model_in_the_slot_tumour_gets_all_sequences_and_its_regions_arrive_with_volumes(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[])
    added = subprocess.run(
        [RADNODE, "models", "add", bundles.write_brats(tmp_path / "brats"), "--name", "mr-brain-tumour", "--config",
         node.config], capture_output=True, text=True, timeout=120, check=False)
    assert added.returncode == 0, added.stderr
    node.configure(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)

    dcmtk.dcmsend(node.port, mr_study.write(tmp_path / "mr", *BRATS), called=node.ae_title)

    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results of {node.jobs()}\n{node.log()}")
    results = {str(each.Modality): each for each in pacs.stored()}
    assert results["SEG"].ReferencedSeriesSequence[0].SeriesInstanceUID == T1_SERIES.uid
    for name, result in results.items():
        result.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        validators.validate(tmp_path / f"{name}.dcm", name)
    (job,) = node.jobs()
    ml = {each["label"]: each["value"] for each in job["report"]["measurements"]}
    sphere = 4 / 3 * np.pi * mr_study.TUMOUR_RADIUS_MM**3 / 1000
    assert set(ml) == set(bundles.BRATS_LABELS)
    assert all(0.5 * sphere < each < 1.5 * sphere for each in ml.values())  # a threshold after linear interpolation
    said = " ".join(job["report"]["remarks"])
    assert "Segmented by the model mr-brain-tumour" in said
    assert "flair (voxels of 5 x 4 x 4 mm) was resampled onto the grid of t1" in said
