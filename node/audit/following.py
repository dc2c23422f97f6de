"""What the tables say was received, sent and deleted, as audit messages: nothing on the way of an image waits for it.

Three tables only grow: instances, the timeline, the ledger. The last row of each that was told of is written down in
the transaction that keeps the messages, so that a crash neither loses nor doubles one. So is the configuration in
force: a change is told of also when it was made while the node was down.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from radnode.node.audit.messages import MINOR, SUCCESS, Participant, StudyObject
from radnode.storage import audit
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import EventRow, InstanceRow, LedgerEvent, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.audit.messages import Auditor
    from radnode.storage.audit import NewMessage
    from radnode.storage.database import Database

SETTLED = timedelta(seconds=5)
"""Numbers are given before a transaction ends: a smaller one may appear after a larger one, but not so much later."""
LONGEST_OPEN = timedelta(minutes=5)
"""An association that is still open is told of after so long, with what it has brought until then."""
AT_ONCE = 2000
FOLLOWED = {"instances": InstanceRow.id, "events": EventRow.id, "ledger": LedgerEvent.id}
SENDING = {"result sent": "", "result refused": "the destination does not take it"}
"""Kind of the timeline -> what went wrong."""


class Follower:
    """configuration: that in force. is_open: whether an association is still open. on_written: there are messages.

    strangers: address -> how often within the last hour somebody there could not show who he is.
    """

    def __init__(
        self, *, database: Database, auditor: Auditor, configuration: Callable[[], Configuration],
        is_open: Callable[[str], bool], strangers: Callable[[], Mapping[str, int]], now: Callable[[], datetime],
        on_written: Callable[[], None],
    ) -> None:
        self._database = database
        self._auditor = auditor
        self._configuration = configuration
        self._is_open = is_open
        self._strangers = strangers
        self._alerted: dict[str, int] = {}
        self._now = now
        self._on_written = on_written

    def step(self) -> bool:
        """Tell of what is new; True if there may be more."""
        with self._database.read() as session:
            newest = {name: session.scalar(select(func.max(number))) or 0 for name, number in FOLLOWED.items()}
            marks = {name: audit.mark(session, name) for name in FOLLOWED}
            known = audit.mark(session, "configuration")
        told = self._configured(known) + self._could_not_show_who_they_are()
        fresh = {name: str(newest[name]) for name, mark in marks.items() if mark is None}
        behind = [name for name, mark in marks.items() if mark is not None and int(mark) < newest[name]]
        if not fresh and not behind:
            return self._written(told)
        with self._database.begin() as session:
            for name, value in fresh.items():  # what was there before there was an audit trail is not told of
                audit.set_mark(session, name, value)
            for name in behind:
                told += getattr(self, f"_{name}")(session, int(marks[name] or 0))
        return self._written(told)

    def _written(self, told: int) -> bool:
        if told:
            self._on_written()
        return told >= AT_ONCE

    def _configured(self, known: str | None) -> int:
        """Another configuration is in force than the last time."""
        present = _digest(self._configuration())
        if present == known:
            return 0
        who = Participant(user_id="the configuration file", is_requestor=True)
        what = f"in force: {present[:12]}, before: {known[:12] if known else 'none'}"
        with self._database.begin() as session:
            audit.set_mark(session, "configuration", present)
            audit.append(session, [self._auditor.alert(self._now(), who, "Software Configuration", what, SUCCESS)])
        return 1

    def _could_not_show_who_they_are(self) -> int:
        """At the doors of DICOM and STOW-RS: once for each address, and again when there are more a round later."""
        lately = dict(self._strangers())
        more = {address: number for address, number in lately.items() if number > self._alerted.get(address, 0)}
        self._alerted = lately
        if not more:
            return 0
        messages = [
            self._auditor.alert(
                self._now(), Participant(user_id="unknown", is_requestor=True, address=address), "Node Authentication",
                f"could not show who it is, {number} times within the last hour", MINOR,
            )
            for address, number in more.items()
        ]
        with self._database.begin() as session:
            audit.append(session, messages)
        return len(messages)

    def _instances(self, session: Session, mark: int) -> int:
        """Images that came: a message for each association and study."""
        now = self._now()
        rows = session.execute(
            select(InstanceRow.id, InstanceRow.association, InstanceRow.source, InstanceRow.sop_class_uid,
                   InstanceRow.received_at, SeriesRow.study_id)
            .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
            .where(InstanceRow.id > mark, InstanceRow.received_at <= now - SETTLED)
            .order_by(InstanceRow.id).limit(AT_ONCE)
        ).all()
        groups: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
        last_at, taken = {}, 0
        for row in rows:
            if row.received_at > now - LONGEST_OPEN and self._is_open(row.association):
                break
            key = (row.association, row.source, row.study_id)
            groups[key][row.sop_class_uid] += 1
            last_at[key] = row.received_at
            taken, mark = taken + 1, row.id
        studies = _studies(session, (study_id for _, _, study_id in groups))
        messages = [
            self._auditor.transferred(
                last_at[key], self._peer(key[1], "Source Role ID", is_requestor=True),
                self._node("Destination Role ID"), _about(studies[key[2]], counted),
            )
            for key, counted in groups.items()
        ]
        self._keep(session, "instances", mark, messages)
        return taken

    def _events(self, session: Session, mark: int) -> int:
        """Results that went, or were not taken: for each job and destination, that it began and how it ended."""
        rows = session.execute(
            select(EventRow.id, EventRow.kind, EventRow.at, EventRow.job_id, EventRow.study_id, EventRow.detail)
            .where(EventRow.id > mark, EventRow.at <= self._now() - SETTLED).order_by(EventRow.id).limit(AT_ONCE)
        ).all()
        groups: dict[tuple[int, str, str, int], list[datetime]] = defaultdict(list)
        for row in rows:
            if row.kind in SENDING and row.study_id is not None:
                groups[row.job_id, str(row.detail.get("destination", "")), row.kind, row.study_id].append(row.at)
        studies = _studies(session, (study_id for *_, study_id in groups))
        messages: list[NewMessage] = []
        for (_job, destination, kind, study_id), times in groups.items():
            if (record := self._record(destination)) is not None:
                form, there = record
                about = _about(studies[study_id], {})
                messages.append(self._auditor.exported(max(times), there, about, form, SENDING[kind]))
                continue
            ends = (self._node("Source Role ID"), self._peer(destination, "Destination Role ID", is_requestor=False))
            study = _about(studies[study_id], {"": len(times)})
            messages.append(self._auditor.begins(min(times), *ends, study))
            messages.append(self._auditor.transferred(max(times), *ends, study, SENDING[kind]))
        self._keep(session, "events", rows[-1].id if rows else mark, messages)
        return len(rows)

    def _ledger(self, session: Session, mark: int) -> int:
        """Images that were deleted for their age: a message for each study."""
        settled = self._now() - SETTLED
        upto = session.scalar(
            select(LedgerEvent.id).where(LedgerEvent.id > mark, LedgerEvent.at <= settled)
            .order_by(LedgerEvent.id).offset(AT_ONCE - 1).limit(1)
        ) or session.scalar(select(func.max(LedgerEvent.id)).where(LedgerEvent.id > mark, LedgerEvent.at <= settled))
        if upto is None:
            return 0
        rows = session.execute(
            select(SeriesRow.study_id, InstanceRow.sop_class_uid, func.count(), func.max(LedgerEvent.at))
            .join(InstanceRow, InstanceRow.id == LedgerEvent.instance_id)
            .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
            .where(LedgerEvent.id > mark, LedgerEvent.id <= upto, LedgerEvent.kind == InstanceState.EXPIRED)
            .group_by(SeriesRow.study_id, InstanceRow.sop_class_uid)
        ).all()
        counted: dict[int, Counter[str]] = defaultdict(Counter)
        for study_id, sop_class_uid, number, _at in rows:
            counted[study_id][sop_class_uid] += number
        studies = _studies(session, counted)
        messages = [
            self._auditor.deleted(self._now(), _about(studies[study_id], numbers), "no longer kept here")
            for study_id, numbers in counted.items()
        ]
        self._keep(session, "ledger", upto, messages)
        return upto - mark

    def _keep(self, session: Session, name: str, mark: int, messages: list[NewMessage]) -> None:
        audit.append(session, messages)
        audit.set_mark(session, name, str(mark))

    def _node(self, role: str) -> Participant:
        node = self._auditor.node
        return Participant(user_id=node.user_id, is_requestor=role == "Source Role ID", role=role,
                           ae_title=node.ae_title, name=node.name, address=node.address)

    def _record(self, name: str) -> tuple[str, Participant] | None:
        """What a destination of messages gets, and it as it takes part; None for one of DICOM objects."""
        messaging = self._configuration().messaging
        if (system := messaging.hl7.get(name)) is not None:
            form, address = "ORU^R01 of HL7 v2", system.host
        elif (server := messaging.fhir.get(name)) is not None:
            form, address = "DiagnosticReport of FHIR", urlsplit(server.url).hostname or ""
        else:
            return None
        return form, Participant(user_id=name, is_requestor=False, role="Destination Media", address=address)

    def _peer(self, name: str, role: str, *, is_requestor: bool) -> Participant:
        peer = self._configuration().peers.get(name)
        return Participant(user_id=name or "unknown", is_requestor=is_requestor, role=role,
                           ae_title=peer.ae_title if peer else "", address=peer.host if peer else "")


def _studies(session: Session, study_ids: Iterable[int]) -> dict[int, Any]:
    """The rows of these studies, by number."""
    wanted = select(StudyRow).where(StudyRow.id.in_(set(study_ids)))
    return {row.id: row for row in session.scalars(wanted)}


def _digest(configuration: Configuration) -> str:
    """Of all its parts, whatever its layout."""
    parts = (configuration.alarms, configuration.access, configuration.audit)
    said = [configuration.digest, *(part.model_dump_json() for part in parts)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _about(study: StudyRow, instances: Mapping[str, int]) -> StudyObject:
    return StudyObject(study_instance_uid=study.study_instance_uid, patient_id=study.patient_id,
                       accession_number=study.accession_number or "", instances=dict(instances))
