"""Storage commitment with a real PACS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.network import free_port
from support.orthanc import Target
from support.outbound import Outbound, destination
from support.receiver import Receiver
from support.waiting import eventually

from radnode.node.delivery import committing
from radnode.node.intake.admission import Admitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer


@pytest.mark.catalogue("R8")
def test_orthanc_commits_to_what_it_has_and_gets_again_what_it_lost(
    start_orthanc: Callable[..., Orthanc], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "REPORT_WAIT_S", 0.0)
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port))
    bench = Outbound(tmp_path / "node", destination(orthanc.port, name="ORTHANC", commitment=True))
    try:
        with Receiver(tmp_path / "door", port=port, reports=bench.commitments,
                      admit=lambda *_: Admitted(source="ORTHANC", stores=False)):
            bench.produce(["SEG"], to=["ORTHANC"])
            bench.produce(["SC"], to=["ORTHANC"])
            while bench.sender.send_due():
                pass
            (lost, *_) = orthanc.resources("1.2.5.1")
            orthanc.delete(f"/instances/{lost}")
            bench.deliver()
            eventually(lambda: bench.states() == ["WAITING", "CONFIRMED"], why=orthanc.log)
            assert "0x0112" in bench.deliveries()[0].reason
            bench.deliver()
            eventually(lambda: bench.states() == ["CONFIRMED"] * 2, why=orthanc.log)
        assert {row.confirmed_how for row in bench.deliveries()} == {"storage commitment by ORTHANC"}
    finally:
        bench.close()
