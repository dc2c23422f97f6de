"""Event reports of work items as they are sent and read (PS3.4 CC.2.4, PS3.18 8.10.5). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from radnode.node.intake.header_walk import is_uid
from radnode.node.intake.negotiation import UPS_PUSH
from radnode.storage.subscriptions import CANCEL_REQUESTED, PROGRESS, STATE

if TYPE_CHECKING:
    from collections.abc import Mapping

SCP_STATUS, ASSIGNED = 4, 5
EVENT_TYPES = (STATE, CANCEL_REQUESTED, PROGRESS, SCP_STATUS, ASSIGNED)
N_EVENT_REPORT = 0x0100
LONGEST = 1 << 16
"""Characters of an event over a WebSocket: states, progress and a reason."""

_PROGRESS_SEQUENCE, _REASON, _REASON_CODE = "00741002", "00741238", "0074100E"
_REQUESTING_AE = "00741236"
_REPORTED: Mapping[int, tuple[str, ...]] = {
    STATE: ("00741000", "00404041", _REASON, _REASON_CODE),
    CANCEL_REQUESTED: (_REQUESTING_AE, _REASON, _REASON_CODE, "0074100A", "0074100C"),
    PROGRESS: (_PROGRESS_SEQUENCE,),
}


class NoEvent(Exception):
    """It is no event report of a work item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An event that somebody tells this node of. reason: of a requested cancellation, and who asked for it."""

    uid: str
    event_type: int
    reason: str = field(default="", repr=False)
    asked_by: str = ""


def information(event_type: int, content: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an event in the DICOM JSON model. content: of the item, or of the request."""
    known = dict(content)
    if event_type == STATE:  # why it was canceled stands in its progress
        steps = known.get(_PROGRESS_SEQUENCE, {}).get("Value") or [{}]
        known |= {tag: steps[0][tag] for tag in (_REASON, _REASON_CODE) if tag in steps[0]}
    return {tag: known[tag] for tag in _REPORTED[event_type] if tag in known}


def cancel_request(reason: str, asked_by: str) -> dict[str, Any]:
    """The content of an event that a cancellation was asked for."""
    said = {_REQUESTING_AE: {"vr": "AE", "Value": [asked_by[:16]]}}
    return {**said, _REASON: {"vr": "LT", "Value": [reason[:10240]]}} if reason else said


def as_text(uid: str, event_type: int, content: Mapping[str, Any], message_id: int) -> str:
    """An event as a WebSocket carries it: one data set, the command in it (PS3.7 Table 10.3-1)."""
    command = {
        "00000002": {"vr": "UI", "Value": [UPS_PUSH]}, "00000100": {"vr": "US", "Value": [N_EVENT_REPORT]},
        "00000110": {"vr": "US", "Value": [message_id]}, "00000800": {"vr": "US", "Value": [0]},
        "00001000": {"vr": "UI", "Value": [uid]}, "00001002": {"vr": "US", "Value": [event_type]},
    }
    return json.dumps({**command, **information(event_type, content)}, ensure_ascii=False, separators=(",", ":"))


def read(text: str | bytes) -> Report:
    """An event that a WebSocket brought. Raises :class:`NoEvent`.

    Some write the type of the event as (0000,1001), as the example of the standard did.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise NoEvent("an event is a short text")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoEvent("no JSON") from error
    if not isinstance(said, dict):
        raise NoEvent("no data set")
    uid, kind = str(_first(said, "00001000")), _first(said, "00001002") or _first(said, "00001001")
    if not is_uid(uid.encode("ascii", "replace")) or kind not in EVENT_TYPES:
        raise NoEvent("neither a work item nor what became of it")
    return Report(uid=uid, event_type=int(kind), reason=str(_first(said, _REASON) or ""),
                  asked_by=str(_first(said, _REQUESTING_AE) or ""))


def _first(said: Mapping[str, Any], tag: str) -> Any:
    """The first value of an element, also where the element is only a list of values (PS3.18 of 2015)."""
    element = said.get(tag)
    values = element.get("Value") if isinstance(element, dict) else element
    return values[0] if isinstance(values, list) and values else ""
