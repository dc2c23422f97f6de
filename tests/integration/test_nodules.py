"""A chest CT with a nodule into a running node beside an Orthanc: its results are in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from support import dcmtk, validators
from support.node import archive, modality
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import write_series
from radnode.pipelines.ct_nodule.phantom import ball, nodule_phantom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.orthanc import Orthanc
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "nodules", "when": {"modality": "CT"}, "run": ["ct-nodule"], "send": ["PACS"]}
FORMS = ["SEG", "TID1500", "CHEST-CAD"]
# Segments and marks stand in two reports of TID 1500.
EXPECTED = ["SEG", "SR", "SR", "SR"]


def chest(folder: Path) -> list[Path]:
    phantom = nodule_phantom(seed=3, slices=128, size=160, nodules=(ball((-80.0, 10.0, 20.0), 12.0),))
    return write_series(phantom.chest, folder)


def test_a_nodule_comes_back_as_segmentation_measurements_and_chest_cad_report(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port, result_forms=FORMS), modality()], routes=[ROUTE])
    dcmtk.dcmsend(node.port, chest(tmp_path / "ct"), called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == len(EXPECTED), within=300, why=lambda: f"results\n{node.log()}")
    assert sorted(str(each.Modality) for each in pacs.stored()) == EXPECTED
    for number, result in enumerate(pacs.stored()):
        path = tmp_path / f"result-{number}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.dciodvfy(path)


def test_orthanc_keeps_the_results_of_a_chest_with_a_nodule(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    orthanc = start_orthanc()
    node = start_node(
        peers=[archive(orthanc.port, ae_title="ORTHANC", result_forms=FORMS, answers_find=True), modality()],
        routes=[ROUTE])
    files = chest(tmp_path / "ct")
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    dcmtk.dcmsend(node.port, files, called=node.ae_title)
    eventually(lambda: len(orthanc.instances(study)) == len(EXPECTED), within=300, why=lambda: f"kept\n{node.log()}")
    assert sorted(str(each.Modality) for each in orthanc.datasets(study)) == EXPECTED
