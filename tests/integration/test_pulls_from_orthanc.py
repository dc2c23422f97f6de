"""The node asks Orthanc, a real PACS, for studies: by C-MOVE, C-GET and DICOMweb, by hand and by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
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

pytestmark = [pytest.mark.peer, pytest.mark.slow]

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


def lose(orthanc: Orthanc, sop_instance_uid: str) -> tuple[Path, bytes]:
    """The file of an image is gone from the archive's disk, its database still lists it."""
    for path in (orthanc.folder / "db").rglob("*"):
        if path.is_file() and path.parent.parent.parent == orthanc.folder / "db":
            content = path.read_bytes()
            if content[128:132] == b"DICM" and sop_instance_uid.encode() in content:
                path.unlink()
                return path, content
    raise AssertionError("no such file")


def fetch(node: NodeProcess, *what: str, archive: str) -> str:
    return node.command("fetch", *what, "--from", archive, "--config", node.config).stdout


def test_studies_come_by_c_move_c_get_and_dicomweb_and_what_does_not_come_is_no_whole_study(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port), more={"MaximumStorageCacheSize": 0})
    studies = {
        name: chest.write_chest(tmp_path / name, name=name, slices=SLICES, patient_id=f"CANARY-{name}")
        for name in ("MOVED", "GOTTEN", "WEB", "TORN")
    }
    (tmp_path / "password").write_text("test\n")
    web = {"url": f"http://127.0.0.1:{orthanc.http_port}/dicom-web", "user": "test",
           "password_file": str(tmp_path / "password")}
    pacs = {"ae_title": orthanc.ae_title, "port": orthanc.port}
    archives = {"PACS": {}, "GETPACS": {"retrieve": "c-get"}, "WEBPACS": {"dicomweb": web, "images_per_minute": 3000}}
    node = start_node(
        port=port, routes=[], more={"archives": archives}, settings={"quiet_time_s": 1, "hold_after_s": 1},
        peers=[PeerEntry(name="PACS", more={"sends": True}, **pacs), PeerEntry(name="GETPACS", **pacs)],
    )
    orthanc.send([file for each in studies.values() for file in each.files])
    for name, archive in (("MOVED", "PACS"), ("GOTTEN", "GETPACS"), ("WEB", "WEBPACS")):
        fetch(node, studies[name].study_instance_uid, archive=archive)
        done = wait_for(node, studies[name], "COMPLETE")
        assert (done["arrived"], done["lacking"], done["attempts"]) == (SLICES, 0, 1)
        assert held(node, studies[name]) == SLICES
    assert node.ledger()["receptions"] == 3 * SLICES

    # The last slice: without the count of the source the others look like a whole stack.
    torn = studies["TORN"]
    path, content = lose(orthanc, pydicom.dcmread(torn.files[-1], stop_before_pixels=True).SOPInstanceUID)
    fetch(node, torn.study_instance_uid, archive="PACS")
    said = wait_for(node, torn, "INCOMPLETE")
    assert (said["arrived"], said["lacking"]) == (SLICES - 1, 1), (said, orthanc.log(12))
    assert said["due_at"]
    assert "1 of 12 images are not here" in said["reason"]
    eventually(lambda: "fetch:PACS" in node.alarms(), within=20, why=node.alarms)
    series = eventually(
        lambda: [each for each in node.timeline(torn.study_instance_uid)["series"] if each["state"] == "HELD"],
        within=30, why=lambda: str(node.timeline(torn.study_instance_uid)["series"]))
    assert series[0]["reason"] == "11 received, the source holds 12"
    path.write_bytes(content)
    fetch(node, torn.study_instance_uid, archive="PACS")
    wait_for(node, torn, "COMPLETE")
    eventually(lambda: node.timeline(torn.study_instance_uid)["series"][0]["state"] == "CLOSED", within=20)
    assert node.ledger()["receptions"] == 4 * SLICES

    # By itself, what is new and nothing else.
    late = chest.write_chest(tmp_path / "LATE", name="LATE", slices=SLICES, patient_id="CANARY-LATE")
    orthanc.send(list(late.files))
    pull = {"name": "chests", "from": "WEBPACS", "schedule": "*/5 * * * *", "window": "366 d", "modality": "CT",
            "study_description": "(?i)chest"}
    node.configure(peers=[PeerEntry(name="PACS", more={"sends": True}, **pacs)], routes=[],
                   settings={"quiet_time_s": 1, "hold_after_s": 1},
                   more={"archives": {"WEBPACS": archives["WEBPACS"]}, "pulls": [pull]})
    wait_for(node, late, "COMPLETE")
    assert node.ledger()["receptions"] == 5 * SLICES
    found = node.get("/api/pulls")["pulls"][0]
    assert (found["pull"], found["reason"]) == ("chests", "")
    assert (found["found"], found["wanted"]) == (5, 4)  # one of them came from this archive before
