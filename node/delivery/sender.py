"""Empties the outbox: one association for a destination while something is due, every answer recorded at once.

    WAITING ──lease──▶ SENDING ──Success/Warning──▶ SENT ──found by a query (node/delivery/confirmer.py)──▶ CONFIRMED
       ▲                  │ transient, no answer        │ not found in time
       └──────────────────┴─────────────────────────────┘        permanent ──▶ DEAD, or REPLACED by another form

A destination that does not answer is tried with one object per back-off, see node/delivery/outages.py. Objects go by
C-STORE (dimse.py) or STOW-RS (stow.py); what an answer means is the same for both (answer.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.config.peers import Peer
from radnode.node import statuses
from radnode.node.association import NoContextAccepted, PeerUnreachable
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.lanes import Outgoing, SecretUnusable
from radnode.node.delivery import backoff, carrying, patient
from radnode.node.delivery.answer import Damaged, NotAccepted
from radnode.node.dicomweb.client import PeerBusy
from radnode.node.messaging import contexts
from radnode.storage import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.node.alarms import Alarms
    from radnode.node.deidentifying.lanes import Lanes
    from radnode.node.delivery.answer import Answer, Storing
    from radnode.node.delivery.carrying import Destination
    from radnode.node.delivery.fallback import Fallback
    from radnode.node.delivery.outages import Outage, Outages
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
BURY_AT_ONCE = 100
"""Deliveries given up in one transaction: storing images must not wait for the end of a long one."""


class Sender:
    """`send_due` is the step of an activity."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        fallback: Fallback,
        outages: Outages,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Destination]],
        now: Callable[[], datetime],
        alarms: Alarms,
        metrics: Metrics,
        on_sent: Callable[[], None],
        lanes: Lanes | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._fallback = fallback
        self._outages = outages
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._now = now
        self._alarms = alarms
        self._metrics = metrics
        self._on_sent = on_sent
        self._lanes = lanes
        self._objections: dict[int, str] = {}

    def send_due(self) -> bool:
        """Send what is due, destination by destination. True when some of it could be sent and more may be due."""
        self._settle_targets()
        now = self._now()
        with self._database.read() as session:
            destinations = outbox.destinations_due(session, now)
        answered = [self._send_to(peer) for name in destinations if (peer := self._destination(name)) is not None]
        return any(answered)

    def _destination(self, name: str) -> Destination | None:
        peer = self._peers().get(name)
        return peer if peer is not None and peer.receives else None

    def _settle_targets(self) -> None:
        """What waits is aimed at a machine; what is aimed at another than its destination's is given up (R16)."""
        with self._database.read() as session:
            waiting = outbox.destinations_waiting(session)
        for name in waiting:
            peer = self._destination(name)
            if peer is None:
                self._outages.forget(name)
                self._alarms.clear(_alarm(name))
                self._bury(name, f"{name} is no destination any more; add it again, then resend")
                continue
            target = peer.target
            with self._database.begin() as session:
                outbox.aim(session, name, target)
            self._bury(name, f"queued for another machine than {name} is now ({target}); if that is right, resend",
                       aimed_elsewhere_than=target)

    def _send_to(self, peer: Destination) -> bool:
        if not self._outages.may_try(peer.name, self._now()):
            # It became ready during the outage and waits with the others.
            for outage in self._outages.current():
                if outage.destination == peer.name:
                    self._postpone(peer.name, outage.next_attempt_at, outage.reason)
            return False
        with self._database.read() as session:
            encodings = outbox.encodings_waiting(session, peer.name)
        try:
            with carrying.reach(peer, self._own_ae_title, encodings) as association:
                return self._send_over(association, peer, encodings)
        except NoContextAccepted as refused:
            self._answered(peer.name)
            if (delivery := self._lease(peer.name)) is not None:
                self._replace(delivery, peer, None, str(refused), for_ever=True)
            return True
        except PeerUnreachable as unreachable:
            self._tell(self._out(peer.name, unreachable))
        return False

    def _send_over(self, association: Storing, peer: Destination, encodings: set[tuple[str, str]]) -> bool:
        self._objections.clear()
        while association.is_established and (delivery := self._lease(peer.name)) is not None:
            if (delivery.sop_class_uid, delivery.transfer_syntax_uid) not in encodings:
                self._leave_for_the_next(delivery)
                break
            self._send_one(association, delivery, peer)
            if peer.name in self._outages:
                return False
        return True

    def _lease(self, destination: str) -> Delivery | None:
        with self._database.begin() as session:
            return outbox.lease_due(session, destination, self._now(), LEASE)

    def _leave_for_the_next(self, delivery: Delivery) -> None:
        """What became ready while the association was open needs one that proposes it: it was not refused."""
        with self._database.begin() as session:
            outbox.retry(session, delivery, "waits for the next association", self._now())

    def _send_one(self, association: Storing, delivery: Delivery, peer: Destination) -> None:
        if delivery.size_bytes > peer.largest_result:
            reason = f"{delivery.size_bytes} bytes are more than {peer.name} gets in one object (largest_result)"
            self._replace(delivery, peer, None, reason, for_ever=False)
            return
        if self._held_back(delivery, peer):
            return
        answer = self._store_one(association, delivery, peer)
        if answer is not None:
            self._judge(delivery, peer, answer)

    def _judge(self, delivery: Delivery, peer: Destination, answer: Answer) -> None:
        if answer.outcome is statuses.Outcome.TRANSIENT:
            self._failed(delivery, answer.reason)
            return
        self._answered(peer.name)
        if answer.outcome is statuses.Outcome.PERMANENT:
            self._refused(delivery, peer, answer)
        else:
            self._sent(delivery, statuses.SUCCESS if answer.status is None else answer.status)

    def _store_one(self, carrier: Storing, delivery: Delivery, peer: Destination) -> Answer | None:
        """The answer; None where it was not sent, and what becomes of it is settled."""
        try:
            file = self._file_for(delivery, peer)
            try:
                return carrier.store(
                    file.path, file.digest, file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid
                )
            finally:
                file.done()
        except NotAccepted as refused:
            self._answered(peer.name)
            self._replace(delivery, peer, None, str(refused), for_ever=True)
        except Damaged:
            self._give_up(delivery, "the kept object is damaged on disk, and another is not sent in its place")
        except Held as held:
            self._give_up(delivery, f"it must not leave: {held}")
        except SecretUnusable as error:
            self._retry(delivery, str(error))
        except OSError as error:
            self._retry(delivery, f"the kept object cannot be read: {error.strerror}")
        except PeerUnreachable as unreachable:
            outage = self._out(peer.name, unreachable)
            self._retry(delivery, str(unreachable))
            self._tell(outage)
        return None

    def _file_for(self, delivery: Delivery, peer: Destination) -> Outgoing:
        """The kept object, or what is made of it for a destination outside the hospital."""
        path = self._store.path(delivery.digest, "results")
        if not isinstance(peer, Peer) or peer.deidentify is None:
            return Outgoing(
                path=path, digest=delivery.digest, sop_class_uid=delivery.sop_class_uid,
                sop_instance_uid=delivery.sop_instance_uid, transfer_syntax_uid=delivery.transfer_syntax_uid,
                made=False,
            )
        if self._lanes is None:
            raise Held("nothing here takes names off it")
        return self._lanes.outgoing(path, delivery.digest, peer)

    def _held_back(self, delivery: Delivery, peer: Destination) -> bool:
        """Whether it does not go now because of its patient; asked once for the results of a job on an association."""
        if delivery.released or (isinstance(peer, Peer) and peer.deidentify is not None and not peer.check_patient):
            return False
        if delivery.job_id not in self._objections:
            try:
                self._objections[delivery.job_id] = self._objection(delivery, peer)
            except PeerUnreachable as unreachable:
                self._retry(delivery, f"the patient of its study could not be asked for: {unreachable}")
                return True
            except OSError as error:
                self._retry(delivery, f"the kept object cannot be read: {error.strerror}")
                return True
        if not (objection := self._objections[delivery.job_id]):
            return False
        self._give_up(delivery, objection)
        return True

    def _objection(self, delivery: Delivery, peer: Destination) -> str:
        with self._database.read() as session:
            merge = contexts.merge_of(session, outbox.study_of(session, delivery))
        if merge is not None:
            return patient.merged(merge)
        if not isinstance(peer, Peer) or not peer.check_patient:
            return ""
        path = self._store.path(delivery.digest, "results")
        return patient.objection(path, delivery.digest, peer, self._own_ae_title, delivery.study_instance_uid)

    def _refused(self, delivery: Delivery, peer: Destination, answer: Answer) -> None:
        status = answer.status
        if answer.too_large or (status is not None and statuses.refuses_the_object(status)):
            for_ever = status is not None and statuses.refuses_the_class(status)
            self._replace(delivery, peer, status, answer.reason, for_ever=for_ever)
        else:
            self._give_up(delivery, f"{delivery.destination} refused: {answer.reason}")

    def _replace(
        self, delivery: Delivery, peer: Destination, status: int | None, reason: str, *, for_ever: bool
    ) -> None:
        if why_not := self._fallback.replace(delivery, peer, status, reason, for_ever=for_ever):
            self._give_up(delivery, f"{delivery.destination} refused: {reason}; {why_not}")
        else:
            self._metrics.deliveries.labels(delivery.destination, "replaced").inc()

    def _sent(self, delivery: Delivery, status: int) -> None:
        now = self._now()
        with self._database.begin() as session:
            outbox.sent(session, delivery, status, now)
        self._metrics.deliveries.labels(delivery.destination, "sent").inc()
        log.info("delivery.sent", delivery=delivery.delivery_id, destination=delivery.destination,
                 form=delivery.form, sop_instance_uid=delivery.sop_instance_uid, status=f"0x{status:04X}")
        self._on_sent()

    def _failed(self, delivery: Delivery, reason: str) -> None:
        """It may be this object, it may be the destination: the third failure in a row is the destination's."""
        outage = self._outages.failed(delivery.destination, reason, self._now(), backoff.jitter())
        self._retry(delivery, reason)
        if outage is not None:
            self._tell(outage)

    def _out(self, destination: str, unreachable: PeerUnreachable) -> Outage:
        """No other object would fare better now; it may have said itself for how long."""
        wait = unreachable.retry_after if isinstance(unreachable, PeerBusy) else timedelta()
        return self._outages.unreachable(destination, str(unreachable), self._now(), backoff.jitter(), at_least=wait)

    def _retry(self, delivery: Delivery, reason: str) -> None:
        now = self._now()
        if now - delivery.created_at >= backoff.HORIZON:
            self._give_up(delivery, _too_old(reason))
            return
        due_at = max(
            now + backoff.next_wait(delivery.attempts, backoff.jitter()),
            self._outages.next_attempt_at(delivery.destination, otherwise=now),
        )
        with self._database.begin() as session:
            outbox.retry(session, delivery, reason, due_at)
        self._metrics.deliveries.labels(delivery.destination, "retried").inc()
        log.warning("delivery.postponed", delivery=delivery.delivery_id, destination=delivery.destination,
                    reason=reason, wait_s=round((due_at - now).total_seconds(), 1))

    def _tell(self, outage: Outage) -> None:
        """All that waits for the destination waits for its next attempt; what has waited too long is given up."""
        name = outage.destination
        self._metrics.outage_failures.labels(name).set(outage.failures)
        self._alarms.set(
            _alarm(name), f"{outage.reason}; results wait, {outage.failures} attempts in vain, next attempt at "
            f"{outage.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC",
        )
        log.warning("destination.out", destination=name, reason=outage.reason, failures=outage.failures,
                    next_attempt_at=outage.next_attempt_at.isoformat())
        self._bury(name, _too_old(outage.reason), created_before=self._now() - backoff.HORIZON)
        self._postpone(name, outage.next_attempt_at, outage.reason)

    def _postpone(self, destination: str, until: datetime, reason: str) -> None:
        with self._database.begin() as session:
            outbox.postpone(session, destination, until, reason)

    def _answered(self, destination: str) -> None:
        if self._outages.answered(destination):
            self._metrics.outage_failures.labels(destination).set(0)
            self._alarms.clear(_alarm(destination))
            log.info("destination.back", destination=destination)

    def _bury(
        self, destination: str, reason: str, *, aimed_elsewhere_than: str | None = None,
        created_before: datetime | None = None,
    ) -> None:
        while True:
            with self._database.begin() as session:
                buried = outbox.bury(session, destination, reason, self._now(), limit=BURY_AT_ONCE,
                                     aimed_elsewhere_than=aimed_elsewhere_than, created_before=created_before)
            for delivery_id in buried:
                self._say_dead(delivery_id, destination, reason)
            if not buried:
                return

    def _give_up(self, delivery: Delivery, reason: str) -> None:
        with self._database.begin() as session:
            outbox.dead(session, delivery, reason, self._now())
        self._say_dead(delivery.delivery_id, delivery.destination, reason)

    def _say_dead(self, delivery_id: int, destination: str, reason: str) -> None:
        self._metrics.deliveries.labels(destination, "dead").inc()
        log.error("delivery.dead", delivery=delivery_id, destination=destination, reason=reason)


def aimed_at(peer: Destination) -> str:
    """The machine that a destination's name means now."""
    return f"{peer.ae_title}@{peer.host}:{peer.port}" if isinstance(peer, Peer) else peer.target


def _alarm(destination: str) -> str:
    return f"destination:{destination}"


def _too_old(reason: str) -> str:
    return f"given up after {backoff.HORIZON.total_seconds() / 3600:.0f} h: {reason}"
