"""Storage commitment with a real PACS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import dcmtk
from support.chest import write_chest
from support.network import free_port
from support.node import archive, modality
from support.orthanc import Target
from support.outbound import Outbound, destination
from support.receiver import Receiver
from support.waiting import eventually

from radnode.node.delivery import committing
from radnode.node.intake.admission import Admitted
from radnode.node.intake.normalized import CommitmentDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer


@pytest.fixture
def bench(start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> Iterator[tuple[Outbound, Orthanc]]:
    """The sending half of a node with its door open, and an Orthanc that knows it, in storage commitment together."""
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port))
    folder = tmp_path / "node"
    folder.mkdir()
    made = Outbound(folder, destination(orthanc.port, name="ORTHANC", commitment=True, sends=True))
    desk = CommitmentDesk(reported=made.commitments.reported, requested=made.voucher.requested)
    with Receiver(folder, store=made.store, port=port, admit=lambda *_: Admitted(source="ORTHANC"), desk=desk):
        yield made, orthanc
    made.close()


@pytest.mark.catalogue("R8")
def test_orthanc_commits_to_what_it_has_and_gets_again_what_it_lost(
    bench: tuple[Outbound, Orthanc], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, orthanc = bench
    monkeypatch.setattr(committing, "REPORT_WAIT_S", 0.0)
    node.produce(["SEG"], to=["ORTHANC"])
    node.produce(["SC"], to=["ORTHANC"])
    while node.sender.send_due():
        pass
    (lost, *_) = orthanc.resources("1.2.5.1")
    orthanc.delete(f"/instances/{lost}")
    def proven() -> bool:
        node.deliver()
        return node.states() == ["CONFIRMED", "CONFIRMED"]

    eventually(proven, why=orthanc.log)
    (doubt,) = node.events("result not committed")
    assert "0x0112" in doubt["reason"]
    assert [row.attempts for row in node.deliveries()] == [2, 1]
    assert {row.confirmed_how for row in node.deliveries()} == {"storage commitment by ORTHANC"}


def test_orthanc_is_told_which_of_its_images_are_kept(bench: tuple[Outbound, Orthanc], tmp_path: Path) -> None:
    node, orthanc = bench
    series = write_chest(tmp_path / "ct", slices=4)
    orthanc.send(tmp_path / "ct")
    kept, never_sent = sorted(orthanc.resources(series.study_instance_uid))[:2]
    orthanc.post("/modalities/node/store", {"Resources": [kept], "Synchronous": True})
    found = orthanc.post("/modalities/node/storage-commitment", {"Resources": [kept, never_sent]})
    eventually(lambda: node.voucher.report_due() or _report(orthanc, found["ID"])["Status"] != "Pending",
               why=orthanc.log)
    report = _report(orthanc, found["ID"])
    assert report["Status"] == "Failure"
    assert [each["SOPInstanceUID"] for each in report["Success"]] == [_uid(orthanc, kept)]
    assert [each["SOPInstanceUID"] for each in report["Failures"]] == [_uid(orthanc, never_sent)]


def _uid(orthanc: Orthanc, instance: str) -> str:
    return str(orthanc.get(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"])


def _report(orthanc: Orthanc, transaction_uid: str) -> dict[str, Any]:
    return dict(orthanc.get(f"/storage-commitment/{transaction_uid}"))


def test_the_results_of_a_whole_node_are_committed_to_and_an_administrator_sees_by_whom(
    start_orthanc: Callable[..., Orthanc], start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port))
    node = start_node(port=port, peers=[archive(orthanc.port, ae_title="ORTHANC", commitment=True), modality()])
    write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)

    def proven() -> bool:
        rows = node.get("/api/deliveries")
        return {(row["state"], row["confirmed_how"]) for row in rows} == {
            ("CONFIRMED", "storage commitment by PACS")
        }

    eventually(proven, within=120, why=lambda: f"{node.get('/api/deliveries')}\n{node.log()}\n{orthanc.log()}")
    assert "storage commitment by PACS, 20" in node.command("deliveries", "--json", "--config", node.config).stdout
    assert 'radnode_commitments_total{destination="PACS",said="committed"} 2.0' in node.metrics()
