"""The node asks Orthanc, a real PACS, for studies: by C-MOVE, C-GET and DICOMweb, by hand and by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import chest
from support.network import free_port
from support.node import PeerEntry
from support.orthanc import Target
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer

SLICES = 12


def fetches(node: NodeProcess) -> dict[str, dict[str, Any]]:
    return {each["study_instance_uid"]: each for each in node.get("/api/pulls")["fetches"]}


def wait_for(node: NodeProcess, study: Series, state: str) -> dict[str, Any]:
    def look() -> bool:
        return fetches(node).get(study.study_instance_uid, {}).get("state") == state

    eventually(look, within=60, why=lambda: f"{state}, it is {fetches(node)}\n{node.log()}")
    return fetches(node)[study.study_instance_uid]


def held(node: NodeProcess, study: Series) -> int:
    return sum(each["instances"] for each in node.timeline(study.study_instance_uid)["series"])


def test_studies_come_by_c_move_c_get_and_dicomweb_and_by_a_pull_and_each_image_once(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port))
    studies = {
        name: chest.write_chest(tmp_path / name, name=name, slices=SLICES, patient_id=f"CANARY-{name}")
        for name in ("MOVED", "GOTTEN", "WEB")
    }
    (tmp_path / "password").write_text("test\n")
    web = {"url": f"http://127.0.0.1:{orthanc.http_port}/dicom-web", "user": "test",
           "password_file": str(tmp_path / "password")}
    pacs = {"ae_title": orthanc.ae_title, "port": orthanc.port}
    node = start_node(
        port=port, routes=[],
        peers=[PeerEntry(name="PACS", more={"sends": True}, **pacs), PeerEntry(name="GETPACS", **pacs)],
        more={"archives": {"PACS": {}, "GETPACS": {"retrieve": "c-get"}, "WEBPACS": {"dicomweb": web}}},
    )
    orthanc.send([file for each in studies.values() for file in each.files])
    for name, archive in (("MOVED", "PACS"), ("GOTTEN", "GETPACS"), ("WEB", "WEBPACS")):
        node.command("fetch", studies[name].study_instance_uid, "--from", archive, "--config", node.config)
        done = wait_for(node, studies[name], "COMPLETE")
        assert (done["arrived"], done["lacking"], done["attempts"]) == (SLICES, 0, 1)
        assert held(node, studies[name]) == SLICES
    assert node.ledger()["receptions"] == 3 * SLICES
