"""A chest radiograph into a running node with a classifier in the slot of `cr-chest`: report and tinted picture out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import dcmtk, disc_bundles, validators
from support.network import free_port
from support.node import NodeProcess, archive, modality
from support.orthanc import Orthanc, Target
from support.waiting import eventually

from radnode.pipelines.cr_chest.phantom import radiograph, write_radiograph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "chest", "when": {"modality": "DX"}, "run": ["cr-chest"], "send": ["PACS"]}
FORMS = ["TID1500", "SC", "NOT-PROCESSED"]


def written(folder: Path, **changes: str) -> Path:
    """The phantom with a bright disc on the left of the picture."""
    picture = radiograph()
    pixels = (picture.pixels // 4).astype(np.uint16)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[(y - 40) ** 2 + (x - 28) ** 2 <= 49] = 4095
    return write_radiograph(picture, folder, pixels=pixels, **changes)


def test_a_radiograph_comes_back_with_the_models_finding_and_a_lateral_one_with_why_it_was_not_read(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    peers = [archive(pacs.port, result_forms=FORMS), modality()]
    node = start_node(peers=peers, routes=[])
    folder = disc_bundles.bundle(tmp_path / "discs")
    node.command("models", "add", folder, "--name", "cr-chest-findings", "--config", node.config)
    node.configure(peers=peers, routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)

    dcmtk.dcmsend(node.port, [written(tmp_path / "in"), written(tmp_path / "in", name="lateral", ViewPosition="LL")],
                  called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 4, within=120,
               why=lambda: f"report, two pictures, a refusal\n{node.log()}")

    said = []
    for number, result in enumerate(pacs.stored()):
        path = tmp_path / f"{number}.dcm"
        result.save_as(path, enforce_file_format=True)
        validators.dciodvfy(path)
        said += [validators.dsrdump(path)] if result.Modality == "SR" else []
    assert sum('SCT,"Mass")=(52101004,SCT,"Present")' in each for each in said) == 1
    assert sum("View Position is LL" in each for each in said) == 1


def test_orthanc_holds_the_report_on_a_radiograph_when_the_slot_is_empty(tmp_path: Path) -> None:
    target = Target(ae_title="RADNODE", port=free_port())
    path = written(tmp_path / "in")
    study = str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    with (
        Orthanc(tmp_path / "orthanc", node=target, forward="foreign", unknown_classes=False) as orthanc,
        NodeProcess(tmp_path / "node", port=target.port, routes=[ROUTE], peers=[
            archive(orthanc.port, ae_title="ORTHANC", result_forms=FORMS), modality()]) as node,
    ):
        dcmtk.dcmsend(node.port, path.parent, called="RADNODE")
        eventually(lambda: {each.Modality for each in orthanc.datasets(study)} >= {"SR", "OT"}, within=120,
                   why=node.log)
        (report,) = [each for each in orthanc.datasets(study) if each.Modality == "SR"]
    assert "no finding was looked for" in report.to_json()
    assert "Nothing found" not in report.to_json()
