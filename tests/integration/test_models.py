"""A hospital's own model: its bundle's folder in the store, its name in a route, DICOM in, DICOM out."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import bundles, dcmtk, validators
from support.chest import write_chest
from support.node import RADNODE, NodeProcess, archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "chest", "when": {"modality": "CT"}, "run": ["threshold"], "send": ["PACS"]}


def radnode(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RADNODE, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def above_threshold(series: Series) -> dict[str, np.ndarray]:
    found = {}
    for path in series.files:
        image = pydicom.dcmread(path)
        hounsfield = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        found[str(image.SOPInstanceUID)] = hounsfield > bundles.THRESHOLD_HU
    return found


def segmented(seg: pydicom.Dataset) -> dict[str, np.ndarray]:
    frames = np.atleast_3d(seg.pixel_array)
    return {
        str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID): frame > 0
        for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True)
    }


def test_a_bundle_added_to_a_running_node_gives_its_voxels_as_a_segmentation(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    bundle = bundles.write_bundle(tmp_path / "threshold")
    node = start_node(peers=[archive(pacs.port), modality()], routes=[])
    added = radnode("models", "add", bundle, "--config", node.config)
    assert added.returncode == 0, added.stderr
    node.configure(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)
    series = write_chest(tmp_path / "ct", slices=12)

    dcmtk.dcmsend(node.port, series.files, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")

    results = {str(each.Modality): each for each in pacs.stored()}
    wanted = above_threshold(series)
    found = segmented(results["SEG"])
    for uid, mask in wanted.items():
        np.testing.assert_array_equal(found.get(uid, np.zeros_like(mask)), mask)
    algorithm = results["SEG"].SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("threshold", "0.1.0")
    for name, result in results.items():
        path = tmp_path / f"{name}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.validate(path, name)


def test_a_route_to_a_model_that_is_not_there_is_refused_with_the_models_that_are(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", routes=[])
    radnode("models", "add", bundles.write_bundle(tmp_path / "threshold"), "--config", node.config)
    node.configure(peers=[archive(104)], routes=[{**ROUTE, "run": ["treshold"]}])
    checked = radnode("check", node.config)
    assert checked.returncode != 0
    assert "treshold" in checked.stdout + checked.stderr
    assert "threshold" in (checked.stdout + checked.stderr).replace("treshold", "")


@pytest.mark.catalogue("C9")
def test_a_model_whose_files_changed_makes_no_result_and_says_so(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[])
    radnode("models", "add", bundles.write_bundle(tmp_path / "threshold"), "--config", node.config)
    (node.data / "models" / "threshold" / "models" / "model.pt").write_bytes(b"other weights")
    node.configure(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)
    series = write_chest(tmp_path / "ct", slices=12)

    dcmtk.dcmsend(node.port, series.files, called=node.ae_title)

    job = node.wait_for_job(series.series_instance_uid, "FAILED")
    assert "not those that were added" in job["reason"]
    assert pacs.attempts == []


def test_a_model_is_tried_without_a_pacs_with_results_and_a_picture(tmp_path: Path) -> None:
    config = tmp_path / "radnode.yaml"
    config.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    radnode("models", "add", bundles.write_bundle(tmp_path / "threshold"), "--config", config)
    write_chest(tmp_path / "ct", slices=12)

    tried = radnode("models", "try", "threshold", tmp_path / "ct", "--output", tmp_path / "out", "--config", config)

    assert tried.returncode == 0, tried.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"SEG-1.dcm", "SEG-1.png", "TID1500+SEG-1.dcm"}
    listed = radnode("models", "list", "--config", config)
    assert "threshold" in listed.stdout
