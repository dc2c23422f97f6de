"""Acknowledgements (HL7 v2.5.1, 2.9.2 and 2.9.3): one in original mode, in enhanced mode what was asked for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines.messages import hl7
from radnode.pipelines.messages.hl7 import composed, escape, segment

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.node.messaging.taking import Outcome
    from radnode.pipelines.messages.hl7 import Segment

_ASKED = {"AL": ("A", "E", "R"), "NE": (), "ER": ("E", "R"), "SU": ("A",)}
"""HL7 table 0155: on which outcomes an acknowledgement is wanted."""


def acknowledgements(header: Segment | None, outcome: Outcome, now: datetime, identifier: str) -> list[bytes]:
    """What is answered, in this order. header: MSH of the message; None where it was none.

    identifier: of our answers, up to 18 characters. Without MSH-15 and MSH-16 it is original mode. One that is left
    out in enhanced mode means NE.
    """
    asked = (header.get(15).upper(), header.get(16).upper()) if header else ("", "")
    if header is None or not any(asked):
        return [_answer(header, f"A{outcome.how}", outcome, now, identifier)]
    answers = []
    if outcome.how in _ASKED.get(asked[0], ()):
        answers.append(_answer(header, f"C{outcome.how}", outcome, now, f"{identifier}C"))
    if outcome.how in _ASKED.get(asked[1], ()):
        answers.append(_answer(header, f"A{outcome.how}", outcome, now, f"{identifier}A", enhanced=True))
    return answers


def _answer(
    header: Segment | None, code: str, outcome: Outcome, now: datetime, identifier: str, *, enhanced: bool = False
) -> bytes:
    """ACK. It goes back to whom the message came from, and names it."""
    fields = {2: hl7.SEPARATORS[1:], 3: "RADNODE", 7: now.strftime("%Y%m%d%H%M%S+0000"), 10: identifier,
              11: "P", 12: "2.5.1", 18: "UNICODE UTF-8"}
    event = header.get(9, 2) if header else ""
    fields[9] = composed("ACK", event, "ACK")
    if header:
        fields |= {3: escape(header.get(5)) or "RADNODE", 4: escape(header.get(6)), 5: escape(header.get(3)),
                   6: escape(header.get(4)), 11: escape(header.get(11)) or "P"}
    if enhanced:
        fields |= {15: "NE", 16: "NE"}
    lines = [segment("MSH", fields), segment("MSA", {1: code, 2: escape(header.get(10)) if header else ""})]
    if outcome.how != "A":
        lines.append(segment("ERR", {2: outcome.where, 3: composed(outcome.code, "", "HL70357"), 4: "E",
                                     8: escape(outcome.says)}))
    return hl7.written(lines)
