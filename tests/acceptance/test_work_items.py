"""A worklist manager orders a reading over UPS-RS; a whole node performs it and says where its results are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import CHEST_CT, NodeProcess, archive, modality
from support.ordering import UpsClient, order
from support.waiting import eventually
from websockets.sync.client import connect

from radnode.storage.subscriptions import GLOBAL

if TYPE_CHECKING:
    from pathlib import Path

    from support.pacs import StandInPacs
    from websockets.sync.client import ClientConnection

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_an_ordered_reading_is_performed_by_a_node_whose_routes_run_nothing_by_themselves(
    pacs: StandInPacs, tmp_path: Path
) -> None:
    node = NodeProcess(tmp_path / "node", peers=[archive(pacs.port), modality()],
                       routes=[{**CHEST_CT, "enabled": False}])
    node.write_config(node.config.read_text() + 'workitems:\n  codes: {"CHEST^99HOSP": chest-ct}\n')
    series = write_chest(tmp_path / "ct", slices=10)
    with node:
        client = UpsClient(node.http_port, node.shown("service"))
        where = client.raw("POST", f"/workitems/{GLOBAL}/subscribers/RIS").headers["content-location"]
        channel = connect(where, additional_headers=node.shown("service"))
        answer = client.create(order(series.study_instance_uid, {series.series_instance_uid: ()}))
        assert answer.status_code == 201
        uid = answer.headers["location"].rpartition("/")[2]
        dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
        eventually(lambda: client.get(uid).ProcedureStepState == "COMPLETED", within=120, every=0.5,
                   why=lambda: f"{client.get(uid)}\n{node.log()}")
        performed = client.get(uid).UnifiedProcedureStepPerformedProcedureSequence[0]
        named = {
            each.ReferencedSOPInstanceUID for item in performed.OutputInformationSequence
            for each in item.ReferencedSOPSequence
        }
        assert named == {each.SOPInstanceUID for each in pacs.stored()}
        assert len(node.jobs()) == 1
        assert _states(channel) == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
        client.close()


def _states(channel: ClientConnection) -> list[str]:
    """What who listens was told, up to the end of the work item."""
    told: list[str] = []
    with channel:
        while told[-1:] != ["COMPLETED"]:
            said = json.loads(channel.recv(timeout=30))
            told += said["00741000"]["Value"] if said["00001002"]["Value"] == [1] else []
    return told
