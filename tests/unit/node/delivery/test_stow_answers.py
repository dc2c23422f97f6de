"""What an answer to STOW-RS means (PS3.18 10.5.3, Annex I.2): stored, worth another attempt, or not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from support.web_double import failed, stored

from radnode.node.delivery.stow import judge
from radnode.node.dicomweb.client import Reply, retry_after
from radnode.node.statuses import Outcome

UID = "1.2.3"
JSON = {"content-type": "application/dicom+json; charset=utf-8"}
NOTHING = {"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}


@pytest.mark.parametrize(("status", "document", "outcome", "reason"), [
    (200, stored(UID), Outcome.STORED, ""),
    (200, [stored(UID)], Outcome.STORED, ""),
    (200, stored(UID, 0xB000), Outcome.STORED_WITH_WARNING, ""),
    (202, stored(UID, 0x0110), Outcome.STORED_WITH_WARNING, ""),
    (200, stored("1.2.4"), Outcome.TRANSIENT, "about another object"),
    (200, NOTHING, Outcome.TRANSIENT, "no object is named"),
    (200, failed(0xA700), Outcome.TRANSIENT, "0xA700"),
    (202, failed(0x0110), Outcome.TRANSIENT, "0x0110"),
    (202, None, Outcome.TRANSIENT, "HTTP 202"),
    (202, NOTHING, Outcome.TRANSIENT, "HTTP 202"),
    (409, failed(0xA700), Outcome.TRANSIENT, "0xA700"),
    (409, failed(0xA900), Outcome.PERMANENT, "0xA900"),
    (409, failed(0xC122), Outcome.PERMANENT, "0xC122"),
    (409, failed(0x0122), Outcome.PERMANENT, "0x0122"),
    (409, failed(0x0124), Outcome.PERMANENT, "0x0124"),
    (409, failed(99_999), Outcome.PERMANENT, "HTTP 409"),
    (409, None, Outcome.PERMANENT, "HTTP 409"),
    (400, {"what": "is this"}, Outcome.PERMANENT, "HTTP 400"),
    (400, [1, 2], Outcome.PERMANENT, "HTTP 400"),
    (413, None, Outcome.PERMANENT, "too large"),
    (500, None, Outcome.TRANSIENT, "HTTP 500"),
    (504, None, Outcome.TRANSIENT, "HTTP 504"),
])
def test_an_answer_means(status: int, document: Any, outcome: Outcome, reason: str) -> None:
    content = b"" if document is None else json.dumps(document).encode()
    answer = judge(Reply(status=status, headers=JSON, content=content), UID)
    assert answer.outcome is outcome
    assert reason in answer.reason
    assert answer.too_large == (status == 413)


def test_all_stored_without_a_word_about_any_is_believed_and_broken_json_is_no_word() -> None:
    assert judge(Reply(status=200, headers={}, content=b""), UID).outcome is Outcome.STORED
    assert judge(Reply(status=200, headers=JSON, content=b"\xff{"), UID).outcome is Outcome.STORED


@pytest.mark.parametrize(("headers", "wait"), [
    ({"retry-after": "120"}, timedelta(minutes=2)),
    ({"retry-after": "99999999999999"}, timedelta(days=1)),
    ({"retry-after": "Sun, 22 Nov 2026 10:01:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, timedelta(minutes=1)),
    ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, timedelta()),
    ({"retry-after": "Sun, 22 Nov 2026 10:01:00 GMT"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "-5"}, None),
    ({}, None),
])  # fmt: skip
def test_a_service_says_when_to_come_again(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(headers) == wait
