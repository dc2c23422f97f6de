"""Asks destinations for storage commitment of what they were sent (PS3.4 Annex J), and takes their reports.

One transaction for the results of a job that a destination has. A report may come on the association of the request,
for which the asker waits a moment, or on one that the destination opens to the receiver, hours later, twice, or never;
what it means is decided in `commitment.py`. The request is written down before it is sent, what a report says before it
is answered, so a node that was down for one of them loses neither: the destination reports again, or the time-out ends
it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt

from radnode.node import commitment_sets
from radnode.node.association import NoContextAccepted, PeerUnreachable, associate
from radnode.node.commitment_sets import PUSH_MODEL, PUSH_MODEL_INSTANCE, Reference, Transaction
from radnode.node.delivery import backoff
from radnode.node.delivery.commitment import TIME_OUT, Said, Verdict, decide, in_words, said_by
from radnode.node.delivery.missing import give_up, send_again
from radnode.node.statuses import INVALID_ARGUMENT, PROCESSING_FAILURE, SUCCESS
from radnode.storage import commitments, outbox
from radnode.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import N_EVENT_REPORT
    from sqlalchemy.orm import Session

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.delivery.outages import Outages
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)

AT_ONCE = 500
REPORT_WAIT_S = 2.0
"""How long an association stays open for its report. A destination that has reported on its own is not waited for."""
_CONTEXTS = [(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]


@dataclass(frozen=True, slots=True)
class _Word:
    """What a destination said of an object, and that for people."""

    said: Said
    reason: str = ""


class Commitments:
    """`ask_due` is the step of an activity; `reported` is called for each report, on any thread."""

    def __init__(
        self,
        *,
        database: Database,
        outages: Outages,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Peer]],
        now: Callable[[], datetime],
        alarms: Alarms,
        metrics: Metrics,
        on_missing: Callable[[], None],
        on_refused: Callable[[], None],
    ) -> None:
        """on_missing: something is to be sent again. on_refused: something is to be looked for by C-FIND."""
        self._database = database
        self._outages = outages
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._now = now
        self._alarms = alarms
        self._metrics = metrics
        self._on_missing = on_missing
        self._on_refused = on_refused
        self._report_elsewhere: set[str] = set()

    def ask_due(self) -> bool:
        """Ask about what was sent, and end what was not reported in time. True when more may be due."""
        asked = [self._ask(peer) for peer in self._peers().values() if peer.receives and peer.commitment]
        return any(asked)

    def reported(self, report: Transaction, by: str, *, elsewhere: bool = True) -> int:
        """Take a report; the status to answer it with, PS3.4 J.3.3.1.4. What is answered with Success is durable.

        by: who reports. elsewhere: on an association of its own.
        """
        try:
            with self._database.begin() as session:
                asked = commitments.find(session, report.uid)
                if asked is None:
                    log.warning("commitment.unknown", by=by, transaction_uid=report.uid)
                    return INVALID_ARGUMENT
                words = {each.sop_instance_uid: _word(each, by) for each in report.references}
                settled = self._settle(session, commitments.open_deliveries(session, report.uid), words, by)
                commitments.reported(session, report.uid, by, self._now())
        except StorageError as error:
            log.warning("commitment.not_recorded", by=by, transaction_uid=report.uid, reason=str(error))
            return PROCESSING_FAILURE
        if elsewhere:
            self._report_elsewhere.add(asked.destination)
        log.info("commitment.reported", by=by, transaction_uid=report.uid, references=len(report.references),
                 settled=len(settled))
        self._follow(asked.destination, settled)
        return SUCCESS

    def _ask(self, peer: Peer) -> bool:
        self._end_silent(peer)
        with self._database.read() as session:
            jobs = commitments.to_ask(session, peer.name, self._now(), AT_ONCE)
        for deliveries in jobs.values():
            if not self._outages.may_try(peer.name, self._now()):
                self._postpone(peer)
                return False
            self._ask_about(peer, deliveries)
        return sum(map(len, jobs.values())) == AT_ONCE

    def _ask_about(self, peer: Peer, deliveries: Sequence[Delivery]) -> None:
        """One transaction on an association of its own: pynetdicom would take a report for the answer to a request."""
        transaction = Transaction(
            uid=str(generate_uid(prefix=None)),
            references=[
                Reference(sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid)
                for each in deliveries
            ],
        )
        listener = _Listener(lambda report: self.reported(report, peer.name, elsewhere=False))
        try:
            with associate(peer, self._own_ae_title, _CONTEXTS, handlers=listener.handlers) as association:
                with self._database.begin() as session:
                    commitments.ask(session, transaction.uid, deliveries, self._now())
                status = _request(association, transaction)
                self._answered(peer, transaction.uid, deliveries, status)
                if status == SUCCESS and peer.name not in self._report_elsewhere:
                    listener.wait(lambda: association.is_established)
                    if listener.answered.is_set():
                        self._report_elsewhere.discard(peer.name)
        except NoContextAccepted:
            self._outages.answered(peer.name)
            with self._database.begin() as session:
                commitments.note_attempt(session, deliveries, self._now())
            self._settle_all(peer, deliveries, _Word(Said.NOT_OFFERED, f"{peer.name} takes no storage commitment"))
        except PeerUnreachable as unreachable:
            self._outages.unreachable(peer.name, str(unreachable), self._now(), backoff.jitter())
            self._postpone(peer)
            log.warning("commitment.not_asked", destination=peer.name, reason=str(unreachable))

    def _answered(self, peer: Peer, transaction_uid: str, deliveries: Sequence[Delivery], status: int | None) -> None:
        if status is None:
            silence = f"{peer.name} did not answer an N-ACTION"
            self._outages.unreachable(peer.name, silence, self._now(), backoff.jitter())
            reason = f"{peer.name} did not answer when it was asked for storage commitment"
            self._settle_all(peer, self._still_open(transaction_uid), _Word(Said.BUSY, reason))
            return
        self._outages.answered(peer.name)
        with self._database.begin() as session:
            commitments.answered(session, transaction_uid, status)
        log.info("commitment.asked", destination=peer.name, transaction_uid=transaction_uid,
                 references=len(deliveries), status=f"0x{status:04X}")
        if status:
            reason = f"{peer.name} refused to be asked for storage commitment: {in_words(status)}"
            # Of no object by name: a status of the request says nothing about what is missing there.
            said = Said.BUSY if said_by(status) is Said.BUSY else Said.REFUSED
            self._settle_all(peer, self._still_open(transaction_uid), _Word(said, reason))

    def _still_open(self, transaction_uid: str) -> list[Delivery]:
        with self._database.read() as session:
            return commitments.open_deliveries(session, transaction_uid)

    def _end_silent(self, peer: Peer) -> None:
        with self._database.begin() as session:
            silent = commitments.time_out(session, peer.name, self._now() - TIME_OUT)
        hours = TIME_OUT.total_seconds() / 3600
        self._settle_all(peer, silent, _Word(Said.SILENT, f"{peer.name} did not report on it within {hours:.0f} h"))

    def _settle_all(self, peer: Peer, deliveries: Sequence[Delivery], word: _Word) -> None:
        with self._database.begin() as session:
            words = {delivery.sop_instance_uid: word for delivery in deliveries}
            settled = self._settle(session, deliveries, words, peer.name)
        self._follow(peer.name, settled)

    def _settle(
        self, session: Session, deliveries: Sequence[Delivery], words: Mapping[str, _Word], by: str
    ) -> list[tuple[_Word, Verdict]]:
        """What was said of each, and what follows; without those of which nothing was said, or that moved on since."""
        settled = []
        for delivery in deliveries:
            if (word := words.get(delivery.sop_instance_uid)) is not None:
                with contextlib.suppress(outbox.DeliveryLost):
                    settled.append((word, self._settle_one(session, delivery, word, by)))
        return settled

    def _settle_one(self, session: Session, delivery: Delivery, word: _Word, by: str) -> Verdict:
        """Raises :class:`~radnode.storage.outbox.DeliveryLost`."""
        now = self._now()
        peer = self._peers().get(delivery.destination)
        verdict = decide(
            word.said, asked_for=now - (delivery.asked_at or now), answers_find=bool(peer and peer.answers_find)
        )
        match verdict:
            case Verdict.PROVEN:
                outbox.confirmed(session, delivery, now, how=f"storage commitment by {by}")
            case Verdict.SEND_AGAIN:
                send_again(session, delivery, word.reason, now, self._metrics)
            case Verdict.ASK_AGAIN:
                commitments.ask_again(session, delivery, word.reason, now + backoff.LONGEST_WAIT)
            case Verdict.LOOK:
                commitments.look(session, delivery, f"{word.reason}; looked for by C-FIND", now)
            case Verdict.DEAD:
                give_up(session, delivery, word.reason, now, self._metrics)
        if word.said is not Said.COMMITTED:
            outbox.tell(session, delivery, "result not committed", {"reason": word.reason}, now)
        self._metrics.commitments.labels(delivery.destination, word.said).inc()
        return verdict

    def _follow(self, destination: str, settled: Sequence[tuple[_Word, Verdict]]) -> None:
        """What is to be done once the words are recorded."""
        verdicts = {verdict for _, verdict in settled}
        doubtful = [word.reason for word, _ in settled if word.said not in (Said.COMMITTED, Said.MISSING)]
        if doubtful:
            self._alarms.set(f"commitment:{destination}", f"{len(doubtful)} results: {doubtful[0]}")
        elif Verdict.PROVEN in verdicts:
            self._alarms.clear(f"commitment:{destination}")
        if Verdict.PROVEN in verdicts:
            self._metrics.deliveries.labels(destination, "confirmed").inc(
                sum(verdict is Verdict.PROVEN for _, verdict in settled)
            )
        if Verdict.SEND_AGAIN in verdicts:
            self._on_missing()
        if Verdict.LOOK in verdicts:
            self._on_refused()

    def _postpone(self, peer: Peer) -> None:
        until = self._outages.next_attempt_at(peer.name, otherwise=self._now())
        with self._database.begin() as session:
            commitments.postpone(session, peer.name, until)


class _Listener:
    """Takes the report that comes on the association of its request."""

    def __init__(self, take: Callable[[Transaction], int]) -> None:
        self.answered = threading.Event()
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._report), (evt.EVT_DIMSE_SENT, self._sent)]
        self._take = take
        self._taken = False

    def wait(self, still_there: Callable[[], bool]) -> None:
        """Until the report is answered, the association ends, or time is up."""
        deadline = time.monotonic() + REPORT_WAIT_S
        while time.monotonic() < deadline and still_there() and not self.answered.wait(0.02):
            pass

    def _report(self, event: evt.Event) -> tuple[int, None]:
        request = cast("N_EVENT_REPORT", event.request)
        content = request.EventInformation.getvalue() if request.EventInformation else b""
        implicit_vr = event.context.transfer_syntax == ImplicitVRLittleEndian
        self._taken = True
        try:
            return self._take(commitment_sets.read(content, implicit_vr=implicit_vr)), None
        except commitment_sets.Unreadable:
            return INVALID_ARGUMENT, None

    def _sent(self, _event: Any) -> None:
        if self._taken:
            self.answered.set()


def _request(association: Association, transaction: Transaction) -> int | None:
    """The status of the answer; None when there was none."""
    try:
        answer, _ = association.send_n_action(
            commitment_sets.written(transaction), commitment_sets.REQUEST_STORAGE_COMMITMENT, PUSH_MODEL,
            PUSH_MODEL_INSTANCE,
        )
    except RuntimeError:  # the association ended before
        return None
    status: int | None = answer.get("Status")
    return status


def _word(reference: Reference, by: str) -> _Word:
    failure = reference.failure
    return _Word(said_by(failure), "" if failure is None else f"{by} does not commit to it: {in_words(failure)}")
