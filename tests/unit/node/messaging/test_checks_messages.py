"""What `radnode doctor` says of destinations of messages."""

from __future__ import annotations

from typing import Any

import pytest
from support.messages import Ris
from support.network import free_port

from radnode.config.loading import parse
from radnode.node.doctor.checks_messages import judge, messages

R4: dict[str, Any] = {"fhirVersion": "4.0.1", "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}]}


@pytest.mark.parametrize(
    ("status", "statement", "stores", "state"),
    [
        (200, R4, True, "ok"),
        (200, {**R4, "rest": [{}]}, True, "warning"),
        (200, {**R4, "rest": "x"}, False, "ok"),
        (200, {"fhirVersion": "5.0.0"}, True, "wrong"),
        (200, None, True, "wrong"),
        (401, R4, True, "wrong"),
    ],
)
def test_a_server_is_judged_by_its_capability_statement(
    status: int, statement: object, stores: bool, state: str
) -> None:
    assert judge("EHR", status, statement, stores=stores).state == state


def test_a_ris_is_greeted_and_gets_no_message() -> None:
    with Ris() as ris:
        found = list(messages(parse(
            f"messaging: {{hl7: {{RIS: {{host: 127.0.0.1, port: {ris.port}}}, AWAY: {{host: 127.0.0.1, "
            f"port: {free_port()}}}}}}}", "a.yaml")))

    assert [(each.question, each.state) for each in found] == [
        ("destination RIS", "ok"), ("destination AWAY", "wrong")]
    assert ris.messages == []
