"""What `radnode doctor` says of destinations of messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.messages import Ris
from support.network import free_port

from radnode.config.loading import parse
from radnode.config.messaging import Hl7Destination
from radnode.node.doctor.checks_messages import acknowledges, judge, messages
from radnode.node.messaging import mllp_sending

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


@pytest.mark.parametrize(("code", "state", "said"), [
    ("AA", "ok", "acknowledges messages"), ("AR", "ok", "it answered AR"), (None, "warning", "was not acknowledged"),
])
def test_who_is_tried_by_hand_is_asked_about_itself_and_of_no_patient(
    code: str | None, state: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code is None:
        monkeypatch.setattr(mllp_sending, "ANSWER_S", 0.2)
    with Ris(lambda message: message.create_ack(code) if code else None) as ris:
        tried = Hl7Destination(name="RIS", host="127.0.0.1", port=ris.port, application="RIS", facility="HOSPITAL")
        found = acknowledges(tried, "NO-PATIENT-1", datetime(2026, 3, 1, 12, tzinfo=UTC))

    assert found.state == state
    assert said in found.answer
    (message,) = ris.messages
    assert str(message).splitlines() == [
        "MSH|^~\\&|RADNODE||RIS|HOSPITAL|20260301120000+0000||NMQ^N01^NMQ_N01|NO-PATIENT-1|P|2.5.1||||||UNICODE UTF-8",
        "NST|N",
    ]
