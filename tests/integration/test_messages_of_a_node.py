"""A whole node between a RIS, a record and a PACS: an order comes in, and results go out in the words of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import dcmtk
from support.chest import write_chest
from support.fhir import FhirPeer
from support.messages import Line, Ris, order
from support.network import free_port
from support.node import archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_an_urgent_order_routes_its_study_and_ris_record_and_pacs_get_the_results_in_their_forms(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    series = write_chest(tmp_path / "ct", slices=20)
    other = write_chest(tmp_path / "other", slices=3, patient_id="CANARY-0002", name="2")
    port = free_port()
    urgent = {"name": "urgent-chest", "when": {"modality": "CT", "order_priority": "stat"}, "run": ["ct-lung"],
              "send": ["PACS", "RIS", "EHR"]}
    with Ris() as ris, FhirPeer(tmp_path) as fhir:
        node = start_node(
            peers=[archive(pacs.port), modality()], routes=[urgent],
            more={"messaging": {
                "listen": {"port": port},
                "senders": {"ORDERS": {"hosts": ["127.0.0.1"]}},
                "hl7": {"RIS": {"host": "127.0.0.1", "port": ris.port, "application": "RIS"}},
                "fhir": {"EHR": fhir.section()},
                "issuers": {"patient_authority": "HOSPITAL", "patient_system": "urn:oid:1.2.3"},
            }},
        )
        with Line(port) as line:
            answer = line.ask(order(patient=f"{series.patient_id}^^^HOSPITAL", born="19600101"))
        assert str(answer.segment("MSA")[1]) == "AA"
        dcmtk.dcmsend(node.port, tmp_path / "ct", called="RADNODE")
        dcmtk.dcmsend(node.port, tmp_path / "other", called="RADNODE")
        eventually(lambda: _sent(node, series.study_instance_uid) == {"PACS": 2, "RIS": 1, "EHR": 1}, within=120,
                   why=lambda: f"{node.timeline(series.study_instance_uid)['deliveries']} {node.log()}")
        reports = fhir.all("DiagnosticReport")
        explained = node.command("routes", "explain", series.study_instance_uid, "--config", node.config).stdout
        node.wait_for_states(PROCESSED=20, NOT_ROUTED=3)

    (message,) = ris.messages
    named = {str(each[5]).split("^")[0] for each in message.segments("OBX") if str(each[2]) == "RP"}
    stored = {str(each.SOPInstanceUID) for each in pacs.stored()}
    assert named == stored
    assert str(message.segment("PID")[3]) == f"{series.patient_id}^^^HOSPITAL"
    assert [each["subject"]["identifier"] for each in reports] == [
        {"system": "urn:oid:1.2.3", "value": series.patient_id, "assigner": {"display": "HOSPITAL"}}
    ]
    (study,) = (each for each in reports[0]["contained"] if each["resourceType"] == "ImagingStudy")
    assert {one["uid"] for each in study["series"] for one in each.get("instance", [])} == stored
    assert "order of ORDERS: priority stat" in explained
    assert "met      order_priority is stat" in explained.replace('"', "")
    conflict = node_study_order(node, other.study_instance_uid)
    assert conflict["conflict"]
    assert "order:ORDERS" in conflict["alarms"]


def _sent(node: NodeProcess, study_instance_uid: str) -> dict[str, int]:
    states: dict[str, int] = {}
    for each in node.timeline(study_instance_uid)["deliveries"]:
        if each["state"] in ("SENT", "CONFIRMED"):
            states[each["destination"]] = states.get(each["destination"], 0) + 1
    return states


def node_study_order(node: NodeProcess, study_instance_uid: str) -> dict[str, Any]:
    """What the API says of a study's order, and of what is wrong now."""
    eventually(lambda: "order:ORDERS" in node.alarms(), within=30, why=node.alarms)
    return {**node.timeline(study_instance_uid)["order"], "alarms": node.alarms()}
