"""What a peer says was performed: Modality Performed Procedure Step (PS3.4 Annex F) and Instance Availability
Notification (PS3.4 Annex R), as they arrive at the receiver. Only UIDs, states and codes are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.intake.element_walk import Attributes, Unreadable, items, text, walk
from radnode.node.intake.header_walk import is_uid

if TYPE_CHECKING:
    from collections.abc import Mapping

MPPS = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP Class."""
AVAILABILITY = "1.2.840.10008.5.1.4.33"
"""Instance Availability Notification SOP Class."""
STATES = ("IN PROGRESS", "COMPLETED", "DISCONTINUED")
"""Performed Procedure Step Status (0040,0252)."""

_STATUS = 0x00400252
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_INSTANCE = 0x00081155
_STEP_ATTRIBUTES = 0x00400270
_PERFORMED_SERIES = 0x00400340
_IMAGES = 0x00081140
_OTHERS = 0x00400220
_REASON = 0x00400281
_REFERENCED_SERIES = 0x00081115
_REFERENCED_SOP = 0x00081199
_CODE, _SCHEME = 0x00080100, 0x00080102
_SEQUENCES = (_STEP_ATTRIBUTES, _PERFORMED_SERIES, _IMAGES, _OTHERS, _REASON, _REFERENCED_SERIES, _REFERENCED_SOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """One statement. studies: none in an N-SET. state: empty where it is not said. references: None where it names no
    series; series -> instances. reason: code of why it was discontinued.
    """

    kind: str
    sop_instance_uid: str
    is_new: bool
    studies: tuple[str, ...]
    state: str
    references: Mapping[str, frozenset[str]] | None
    reason: str = ""


def read(sop_class_uid: str, sop_instance_uid: str, content: bytes, *, is_new: bool, implicit_vr: bool) -> Performed:
    """A statement from its bytes, little endian. is_new: of an N-CREATE. Raises :class:`Unreadable`."""
    found = walk(content, implicit_vr=implicit_vr, sequences=_SEQUENCES)
    if sop_class_uid == AVAILABILITY:
        available = _references(found, _REFERENCED_SERIES, (_REFERENCED_SOP,))
        return Performed(kind="IAN", sop_instance_uid=sop_instance_uid, is_new=True, studies=(_uid(found, _STUDY),),
                         state="COMPLETED", references=available)
    state = text(found, _STATUS)
    if state and state not in STATES:
        raise Unreadable("a status that is none")
    if is_new and state != "IN PROGRESS":
        raise Unreadable("a new step is IN PROGRESS")
    studies = tuple(dict.fromkeys(_uid(item, _STUDY) for item in items(found, _STEP_ATTRIBUTES)))
    if is_new and not studies:
        raise Unreadable("a step without a study")
    named = _PERFORMED_SERIES in found
    references = _references(found, _PERFORMED_SERIES, (_IMAGES, _OTHERS)) if named else None
    return Performed(kind="MPPS", sop_instance_uid=sop_instance_uid, is_new=is_new, studies=studies if is_new else (),
                     state=state, references=references, reason=_reason(found))


def _references(found: Attributes, series: int, instances: tuple[int, ...]) -> dict[str, frozenset[str]]:
    """Series -> its instances."""
    listed: dict[str, set[str]] = {}
    for item in items(found, series):
        uids = {_uid(each, _INSTANCE) for tag in instances for each in items(item, tag)}
        listed.setdefault(_uid(item, _SERIES), set()).update(uids)
    return {uid: frozenset(some) for uid, some in listed.items()}


def _reason(found: Attributes) -> str:
    codes = [(text(item, _CODE), text(item, _SCHEME)) for item in items(found, _REASON)]
    return next((f"{value}^{scheme}" for value, scheme in codes if f"{value}{scheme}".isalnum()), "")


def _uid(found: Attributes, tag: int) -> str:
    value = text(found, tag)
    if not is_uid(value.encode("ascii")):
        raise Unreadable("a UID that is none")
    return value
