"""Event reports as they are written and read, and where a manager's WebSocket is."""

from __future__ import annotations

import json

import pytest

from radnode.node.workitems import notices
from radnode.node.workitems.listening import channel_of
from radnode.node.workitems.notices import NoEvent, Report

CONTENT = {
    "00741000": {"vr": "CS", "Value": ["CANCELED"]}, "00404041": {"vr": "CS", "Value": ["READY"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00741002": {"vr": "SQ", "Value": [{"00741238": {"vr": "LT", "Value": ["went home"]},
                                        "00741004": {"vr": "DS", "Value": [10]}}]},
}


def test_an_event_says_what_its_type_wants_and_nothing_of_the_patient() -> None:
    state = notices.information(notices.STATE, CONTENT)
    assert sorted(state) == ["00404041", "00741000", "00741238"]
    assert list(notices.information(notices.PROGRESS, CONTENT)) == ["00741002"]
    asked = notices.information(notices.CANCEL_REQUESTED, notices.cancel_request("wrong patient", "RIS"))
    assert {tag: each["Value"] for tag, each in asked.items()} == {"00741236": ["RIS"], "00741238": ["wrong patient"]}
    assert "Doe" not in notices.as_text("1.2.3", notices.STATE, CONTENT, 7)


def test_what_is_written_is_read() -> None:
    content = notices.cancel_request("went home", "RIS")
    assert notices.read(notices.as_text("1.2.3", notices.CANCEL_REQUESTED, content, 7)) == Report(
        uid="1.2.3", event_type=2, reason="went home", asked_by="RIS")


def test_an_event_in_the_form_of_earlier_editions_of_the_standard_is_read() -> None:
    early = {"00000002": ["1.2.840.10008.5.1.4.34.6.4"], "00001000": ["1.2.3"], "00001001": [1]}
    assert notices.read(json.dumps(early)) == Report(uid="1.2.3", event_type=1)


@pytest.mark.parametrize("text", [
    "", "[]", "5", "{}", "[" * 100_000, '{"00001000": {"Value": ["1.2.3"]}}', b"\x00\x01",
    '{"00001000": {"Value": ["../1"]}, "00001002": {"Value": [1]}}',
    '{"00001000": {"Value": ["1.2.3"]}, "00001002": {"Value": [99]}}',
    '{"00001000": {"Value": ["1.2.3"]}, "00001002": {"Value": [[1]]}}',
    json.dumps({"00001000": ["1.2.3"], "00001002": [1], "00741238": ["x" * notices.LONGEST]}),
])
def test_what_is_no_event_is_refused(text: str | bytes) -> None:
    with pytest.raises(NoEvent):
        notices.read(text)


@pytest.mark.parametrize(("service", "said", "where"), [
    ("https://ris:8443/dcm/rs", "wss://ris:8443/dcm/ws/subscribers/AI", "wss://ris:8443/dcm/ws/subscribers/AI"),
    ("http://ris/rs/", "", "ws://ris/rs/subscribers/AI"),
    ("http://ris/rs", "/ws/subscribers/AI?token=1", "ws://ris/ws/subscribers/AI?token=1"),
    ("https://ris/rs", "ws://ris/ws/subscribers/AI", "wss://ris/ws/subscribers/AI"),
    ("https://ris/rs", "wss://elsewhere/ws/subscribers/AI", "wss://ris/rs/subscribers/AI"),
    ("https://ris/rs", "wss://ris@elsewhere/ws/subscribers/AI", "wss://ris/rs/subscribers/AI"),
    ("https://ris/rs", "//elsewhere/ws", "wss://ris/rs/subscribers/AI"),
    ("https://ris/rs", "subscribers/AI", "wss://ris/rs/subscribers/AI"),
    ("https://ris/rs", "/" + "a" * 5000, "wss://ris/rs/subscribers/AI"),
    ("https://ris/rs", "/ws\nX: 1", "wss://ris/rs/subscribers/AI"),
])
def test_a_websocket_is_opened_at_the_manager_that_is_configured_and_encrypted_as_it_is(
    service: str, said: str, where: str
) -> None:
    assert channel_of(service, said, "AI") == where
