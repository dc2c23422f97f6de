"""A model that reads four MR series of one study: through the node, and by hand; every voxel where it belongs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import bundles, dcmtk, mr_study, validators
from support.mr_study import BRATS, FLAIR_SERIES, T1C_SERIES
from support.node import RADNODE, archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "head", "when": {"modality": "MR", "body_part": "HEAD"}, "run": ["brats"], "send": ["PACS"]}


def radnode(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RADNODE, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def expected(shows: str) -> dict[str, np.ndarray]:
    """Where this series, linearly between its voxels, is above the threshold on the slices of T1c, away from edges.

    In the phantom only the tumour is brighter than the threshold.
    """
    affine, shape = T1C_SERIES.affine, T1C_SERIES.shape
    inside = mr_study.in_tumour(mr_study.grid(affine, shape)).reshape(shape)
    assert mr_study.SIGNALS[shows][1] > bundles.BRATS_THRESHOLD > mr_study.SIGNALS[shows][0] + 20
    return {str(header.SOPInstanceUID): inside[index] for index, header in enumerate(mr_study.headers(T1C_SERIES))}


def edge(uid_index: int) -> np.ndarray:
    """Voxels of one slice of T1c that lie within 6 mm of the tumour's surface: interpolation may decide either way."""
    points = mr_study.grid(T1C_SERIES.affine, T1C_SERIES.shape)
    distance = np.linalg.norm(points - np.array(mr_study.TUMOUR_MM), axis=1) - mr_study.TUMOUR_RADIUS_MM
    return (np.abs(distance) < 6).reshape(T1C_SERIES.shape)[uid_index]


def check(seg: pydicom.Dataset) -> None:
    """Each class lies where its own series shows the tumour, on the slices of T1c, and nowhere else."""
    frames = np.atleast_3d(seg.pixel_array)
    found: dict[tuple[str, str], np.ndarray] = {}
    labels = {item.SegmentNumber: str(item.SegmentLabel) for item in seg.SegmentSequence}
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        found[labels[number], str(source)] = frame > 0
    shows = {"t1c": "T1c", "t2": "T2", "flair": "FLAIR"}
    for label, name in bundles.BRATS_LABELS.items():
        voxels = 0
        for index, (uid, inside) in enumerate(expected(shows[name]).items()):
            mask = found.pop((label, uid), np.zeros_like(inside))
            sure = np.ones_like(inside) if name == "t1c" else ~edge(index)
            np.testing.assert_array_equal(mask[sure], inside[sure])
            voxels += int(mask.sum())
        assert voxels > 50
    assert not found, f"segments on images that are not T1c: {list(found)}"


def test_four_series_in_any_order_give_one_result_over_t1c_and_own_results_ask_nothing(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[])
    added = radnode("models", "add", bundles.write_brats(tmp_path / "brats"), "--config", node.config)
    assert added.returncode == 0, added.stderr
    assert "reads t1c: MR, T1c (results lie on it)" in added.stdout
    node.configure(peers=[archive(pacs.port), modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)
    files = mr_study.write(tmp_path / "mr", *(each for each in BRATS if each is not FLAIR_SERIES))
    late = mr_study.write(tmp_path / "late", FLAIR_SERIES)

    dcmtk.dcmsend(node.port, files, called=node.ae_title)
    eventually(lambda: (jobs := node.jobs()) and jobs[0]["state"] == "NOT_PROCESSED", within=120, why=node.log)
    (refused,) = node.jobs()
    assert "input flair (MR, FLAIR) is missing" in refused["reason"]
    assert pacs.stored() == []
    why = node.command("routes", "explain", mr_study.STUDY, "--config", node.config).stdout
    assert "input flair (MR, FLAIR): input flair (MR, FLAIR) is missing" in why
    assert "Ax T2 TSE" in why
    assert "not taken: its name says T2" in why

    dcmtk.dcmsend(node.port, late, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")
    results = {str(each.Modality): each for each in pacs.stored()}
    check(results["SEG"])
    for name, result in results.items():
        path = tmp_path / f"{name}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.validate(path, name)
    job = max(node.jobs(), key=lambda each: each["revision"])
    assert (job["state"], job["revision"]) == ("PRODUCED", 2)
    assert any("flair (voxels of 5 x 4 x 4 mm) was resampled onto the grid of t1c" in remark
               for remark in job["report"]["remarks"])

    dcmtk.dcmsend(node.port, [tmp_path / "SEG.dcm", tmp_path / "SR.dcm"], called=node.ae_title)
    node.wait_for_states(PROCESSED=22 + 28 + 28 + 34, NOT_PROCESSED=22, OWN_RESULT=2)
    assert len(node.jobs()) == 2


def test_a_model_of_four_series_is_tried_on_a_folder_without_a_pacs(tmp_path: Path) -> None:
    config = tmp_path / "radnode.yaml"
    config.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    radnode("models", "add", bundles.write_brats(tmp_path / "brats"), "--config", config)
    mr_study.write(tmp_path / "mr", *BRATS)

    tried = radnode("models", "try", "brats", tmp_path / "mr", "--output", tmp_path / "out", "--config", config)

    assert tried.returncode == 0, tried.stderr
    check(pydicom.dcmread(tmp_path / "out" / "SEG-1.dcm"))
    assert (tmp_path / "out" / "SEG-1.png").exists()
    assert "remark: Read as t2: Ax T2 TSE" in tried.stdout
