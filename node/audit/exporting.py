"""Audit messages as a file: CSV for a spreadsheet, XML for a programme. Row by row, whatever their number."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from radnode.storage.audit import KeptMessage

COLUMNS = ("number", "at", "event", "outcome", "who", "study_instance_uid", "digest", "message")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(messages: Iterable[KeptMessage]) -> Iterator[str]:
    """RFC 4180 with a line of names. What a spreadsheet would take for a formula begins with an apostrophe."""
    yield _line(COLUMNS)
    for each in messages:
        yield _line((
            str(each.message_id), each.at.isoformat(timespec="milliseconds"), each.event, str(each.outcome), each.who,
            each.study_instance_uid or "", each.digest, each.message,
        ))


def as_xml(messages: Iterable[KeptMessage]) -> Iterator[str]:
    """The messages of PS3.15 A.5 as they were written, in one document."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
    for each in messages:
        text = each.message
        yield (text.partition("?>")[2].lstrip() if text.startswith("<?xml") else text) + "\n"
    yield "</AuditMessages>\n"


def told(message: str) -> str:
    """What a message of this node says happened, in a line: its type, and what was done or why it failed."""
    head = ET.fromstring(message).find("EventIdentification")  # noqa: S314 - the node wrote it
    if head is None:
        return ""
    kind, what = head.find("EventTypeCode"), head.find("EventOutcomeDescription")
    said = (kind.get("originalText") if kind is not None else "", what.text if what is not None else "")
    return ": ".join(each for each in said if each)


def _line(values: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow([f"'{value}" if value.startswith(_FORMULA) else value for value in values])
    return out.getvalue()
