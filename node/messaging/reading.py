"""What messages of HL7 v2 tell: orders (ORM^O01, OMI^O23, OMG^O19) and patients (ADT). Pure.

HL7 v2.5.1 chapters 3 and 4; IHE RAD TF-2 RAD-2 to RAD-4 and RAD-12 for which fields are filled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.messages.hl7 import NotReadable, part
from radnode.storage.orders import Order, PatientChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.pipelines.messages.hl7 import Message, Segment
    from radnode.storage.orders import PatientId

ORDERS = frozenset({"ORM^O01", "OMI^O23", "OMG^O19"})
PATIENTS = frozenset({f"ADT^{event}" for event in ("A01", "A02", "A03", "A04", "A05", "A08", "A11", "A12", "A13",
                                                   "A28", "A31", "A34", "A36", "A40", "A47")})
MERGES = frozenset({"A34", "A36", "A40", "A47"})

_CANCELS = frozenset({"CA", "OC", "DC", "OD", "CR", "DR"})
"""Of HL7 table 0119: cancel, cancelled, discontinue, discontinued; as request and as answer."""
_PRIORITIES = {"S": "stat", "A": "asap", "R": "routine", "P": "preoperative", "C": "callback", "T": "timing critical",
               "PRN": "as needed", "STAT": "stat", "ASAP": "asap", "ROUTINE": "routine", "URGENT": "urgent"}
"""HL7 table 0485 and 0027, and words that senders write instead; anything else is left as it is, in lower case."""
_MOST_TEXT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a message told."""

    orders: tuple[Order, ...] = ()
    change: PatientChange | None = None


def kind_of(message: Message) -> str:
    """MSH-9 as in ORM^O01."""
    return f"{message.header.get(9)}^{message.header.get(9, 2)}"


def read(message: Message, accession: Sequence[str]) -> Told:
    """Take out what it tells. accession: the fields an Accession Number may stand in, see configuration.

    Raises :class:`~radnode.pipelines.messages.hl7.NotReadable` for another kind of message, and for one that lacks
    what an order needs; nothing of it is kept then.
    """
    kind = kind_of(message)
    if not message.header.get(10):
        raise NotReadable("MSH-10 is empty", where="MSH^1^10", code="101")
    if kind in PATIENTS:
        return Told(change=_change(message))
    if kind in ORDERS:
        return Told(orders=tuple(_orders(message, accession)))
    known = {each.split("^")[0] for each in ORDERS | PATIENTS}
    code = "201" if message.header.get(9) in known else "200"
    raise NotReadable("a message of this kind is not taken", where="MSH^1^9", code=code)


def _orders(message: Message, accession: Sequence[str]) -> Iterator[Order]:
    patients, pid = _patients(message)
    visit = message.first("PV1")
    groups = list(_groups(message))
    if not groups:
        raise NotReadable("an order without ORC", where="ORC", code="100")
    for number, group in enumerate(groups, 1):
        found = next(filter(None, (_field(group, each) for each in accession)), "")
        orc = group["ORC"]
        cancelled = orc.get(1) in _CANCELS or orc.get(5) in _CANCELS
        if not found:
            raise NotReadable("an order without Accession Number", where=f"OBR^{number}", code="101")
        obr, timing = group.get("OBR"), group.get("TQ1")
        yield Order(
            accession_number=found, patients=patients, birth_date=pid.get(7)[:8], cancelled=cancelled,
            number=orc.get(2) or orc.get(3) or (obr.get(2) or obr.get(3) if obr else ""),
            priority=_priority(timing, orc, obr), reason=_reason(obr), procedure=_procedure(obr),
            patient_class=visit.get(2) if visit else "", said_at=_moment(message.header.get(7)),
        )


def _groups(message: Message) -> Iterator[dict[str, Segment]]:
    """ORC and the first of each segment that follows it. Several OBR under one ORC are one order."""
    group: dict[str, Segment] | None = None
    for segment in message.segments:
        if segment.name == "ORC":
            if group is not None:
                yield group
            group = {}
        if group is not None:
            group.setdefault(segment.name, segment)
    if group is not None:
        yield group


def _field(group: dict[str, Segment], where: str) -> str:
    name, _, number = where.partition("-")
    segment = group.get(name)
    return segment.get(int(number)) if segment else ""


def _priority(timing: Segment | None, orc: Segment, obr: Segment | None) -> str:
    said = timing.get(9) if timing else ""
    said = said or (obr.get(27, 6) if obr else "") or orc.get(7, 6) or (obr.get(5) if obr else "")
    # TQ.6 may have a figure behind the letter, as in S1.
    return _PRIORITIES.get(re.sub(r"\d+$", "", said.strip().upper()), said.strip().lower())


def _reason(obr: Segment | None) -> str:
    if obr is None:
        return ""
    said = [part(each, 2, separators=obr.separators) or part(each, 1, separators=obr.separators)
            for each in obr.repetitions(31)]
    return "; ".join(filter(None, said))[:_MOST_TEXT]


def _procedure(obr: Segment | None) -> str:
    """The text of the procedure code, or the code where there is none: OBR-44, or OBR-4."""
    if obr is None:
        return ""
    return (obr.get(44, 2) or obr.get(44) or obr.get(4, 2) or obr.get(4))[:_MOST_TEXT]


def _change(message: Message) -> PatientChange:
    event = message.header.get(9, 2)
    patients, _ = _patients(message)
    merged = message.first("MRG")
    if event in MERGES and (merged is None or not merged.repetitions(1)):
        raise NotReadable("a merge that does not say of whom", where="MRG^1^1", code="101")
    return PatientChange(event=event, patients=patients, priors=_identifiers(merged, 1) if merged else ())


def _patients(message: Message) -> tuple[tuple[PatientId, ...], Segment]:
    found = list(message.all("PID"))
    if len(found) != 1:
        raise NotReadable("not exactly one PID", where="PID", code="100")
    if not (identifiers := _identifiers(found[0], 3)):
        raise NotReadable("a patient without an identifier", where="PID^1^3", code="101")
    return identifiers, found[0]


def _identifiers(segment: Segment, field: int) -> tuple[PatientId, ...]:
    """CX: the ID, and its assigning authority's short name and universal ID."""
    said = segment.separators
    found = [
        (part(each, 1, 1, said), part(each, 4, 1, said), part(each, 4, 2, said)) for each in segment.repetitions(field)
    ]
    return tuple(each for each in found if each[0])


def _moment(text: str) -> str:
    """The digits of a time, so that times of one sender compare as texts; an offset changes but twice a year."""
    match = re.match(r"\d{4,14}", text)
    return match[0].ljust(14, "0") if match else ""
