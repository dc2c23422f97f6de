"""`radnode peer test` says of real peers what they take, and proposes what fits them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import dcmtk
from support.network import free_port, listening
from support.processes import Program
from support.waiting import eventually
from typer.testing import CliRunner

from radnode.config.peers import Peer
from radnode.node.cli import app
from radnode.node.doctor.checks_peers import Greeting
from radnode.node.doctor.facts_services import Seen
from radnode.node.doctor.proposal import findings, propose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.orthanc import Orthanc


def tried(folder: Path, port: int, ae_title: str, **more: Any) -> dict[str, Any]:
    """What the command says of a peer with this entry."""
    entry = {"ae_title": ae_title, "host": "127.0.0.1", "port": port, "receives": True, **more}
    config = folder / "radnode.yaml"
    config.write_text(json.dumps({"peers": {"OTHER": entry}}))
    done = CliRunner().invoke(app, ["peer", "test", "OTHER", "--config", str(config), "--json"])
    return {"exit": done.exit_code, **json.loads(done.stdout)}


@pytest.mark.peer
def test_orthanc_takes_every_form_finds_and_commits(start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> None:
    orthanc = start_orthanc(ae_title="ORTHANC")
    said = tried(tmp_path, orthanc.port, "ORTHANC", profile="ohif")
    assert said["exit"] == 0
    assert said["proposal"]["entry"] == {"profile": "ohif", "answers_find": True, "commitment": True}
    answers = {each["question"]: each["answer"] for each in said["findings"]}
    assert "OFFIS_DCMTK" in answers["implementation"]  # as Orthanc calls itself

    (tmp_path / "password").write_text("test")
    url = f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
    web = tried(tmp_path, orthanc.port, "ORTHANC", dicomweb={"url": url, "user": "test", "password_file": "password"})
    assert (web["exit"], web["proposal"]["entry"]) == (0, {"answers_find": True})
    nowhere = tried(tmp_path, orthanc.port, "ORTHANC", dicomweb={"url": f"http://127.0.0.1:{free_port()}/dicom-web"})
    assert (nowhere["exit"], nowhere["proposal"]) == (1, None)


@pytest.mark.peer
def test_storescp_neither_finds_nor_commits_and_knows_no_label_maps(tmp_path: Path) -> None:
    port = free_port()
    listener = dcmtk.storescp(port, tmp_path / "stored", ae_title="ARCHIVE")
    try:
        eventually(lambda: listening(port))
        said = tried(tmp_path, port, "ARCHIVE", profile="ohif", commitment=True)
    finally:
        listener.stop()
    assert said["proposal"]["entry"] == {"profile": "any-pacs", "answers_find": False, "commitment": False}
    assert "ohif" not in said["proposal"]["also"]
    answers = {each["question"]: each for each in said["findings"]}
    assert "not LABELMAP" in answers["result forms for OTHER"]["answer"]
    assert answers["storage commitment"]["state"] == "warning"


@pytest.mark.peer
def test_dcmqrscp_finds_and_does_not_commit(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "archive").mkdir()
    (tmp_path / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 8\nHostTable BEGIN\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {tmp_path}/archive RW (9, 1024mb) ANY\nAETable END\n"
    )
    program = Program([dcmtk.program("dcmqrscp"), "-c", tmp_path / "dcmqrscp.cfg"], tmp_path / "dcmqrscp.log",
                      dcmtk.ENVIRONMENT)
    try:
        eventually(lambda: listening(port), why=program.tail)
        said = tried(tmp_path, port, "ARCHIVE")
    finally:
        program.stop()
    assert said["proposal"]["entry"]["answers_find"] is True
    assert said["proposal"]["entry"]["commitment"] is False


def test_a_peer_that_is_not_there_gets_no_proposal(tmp_path: Path) -> None:
    said = tried(tmp_path, free_port(), "NOBODY")
    assert (said["exit"], said["proposal"]) == (1, None)
    assert said["findings"][0]["state"] == "wrong"


def test_where_no_profile_fits_the_forms_that_are_taken_are_proposed() -> None:
    peer = Peer(name="OLD", ae_title="OLD", host="h", port=1, receives=True, profile="any-pacs")
    seen = Seen(greeting=Greeting(failure="", echoed=True, forms={"SEG": False, "COMPREHENSIVE": True, "SC": True}),
                find_failure="no")
    proposal = propose(peer, seen)
    assert proposal is not None
    assert proposal.entry["result_forms"] == ["COMPREHENSIVE"]
    assert any(each.state == "warning" for each in findings(peer, "RADNODE", seen))
