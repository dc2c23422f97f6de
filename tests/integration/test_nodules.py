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

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "nodules", "when": {"modality": "CT"}, "run": ["ct-nodule"], "send": ["PACS"]}
FORMS = ["SEG", "TID1500", "CHEST-CAD"]
# Segments and marks stand in two reports of TID 1500.
EXPECTED = ["SEG", "SR", "SR", "SR"]


def chest(folder: Path) -> list[Path]:
    phantom = nodule_phantom(seed=3, slices=128, size=160, nodules=(ball((-80.0, 10.0, 20.0), 12.0),))
    return write_series(phantom.chest, folder)


def test_orthanc_keeps_segmentation_measurements_and_chest_cad_report_of_a_nodule_as_the_standard_has_them(
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
    results = orthanc.datasets(study)
    assert sorted(str(each.Modality) for each in results) == EXPECTED
    for number, result in enumerate(results):
        path = tmp_path / f"result-{number}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.dciodvfy(path)
