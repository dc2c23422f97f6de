"""Empties the outbox: one association for a destination while something is due, every answer recorded at once.

    WAITING ──lease──▶ SENDING ──Success/Warning──▶ SENT ──found by C-FIND──▶ CONFIRMED
       ▲                  │ transient, no answer        │ not found in time
       └──────────────────┴─────────────────────────────┘        permanent ──▶ DEAD, or REPLACED by another form
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node import statuses
from radnode.node.association import PeerUnreachable
from radnode.node.delivery import backoff, dimse
from radnode.node.query import holds_instance
from radnode.storage import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pynetdicom.association import Association

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.delivery.fallback import Fallback
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
CONFIRM_AGAIN_AFTER = timedelta(seconds=5)
DEAD_ALARM = "deliveries"
"""Raised when a delivery dies, cleared by the upkeep when none is dead any more."""


class Sender:
    """`send_due` and `confirm_sent` are the steps of two activities."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        fallback: Fallback,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Peer]],
        confirm_within: timedelta,
        now: Callable[[], datetime],
        alarms: Alarms,
        metrics: Metrics,
        on_sent: Callable[[], None],
    ) -> None:
        self._database = database
        self._store = store
        self._fallback = fallback
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._confirm_within = confirm_within
        self._now = now
        self._alarms = alarms
        self._metrics = metrics
        self._on_sent = on_sent

    def send_due(self) -> bool:
        """Send what is due, destination by destination. True when some of it could be sent and more may be due."""
        with self._database.read() as session:
            destinations = outbox.destinations_due(session, self._now())
        answered = [self._send_to(name) for name in destinations]
        return any(answered)

    def confirm_sent(self) -> bool:
        """Ask each destination that answers C-FIND whether it really holds what it said it stored (R7)."""
        answering = [name for name, peer in self._peers().items() if peer.answers_find]
        with self._database.read() as session:
            sent = outbox.unconfirmed(session, self._now(), answering, limit=100)
        for delivery in sent:
            self._confirm(delivery)
        return False

    def _send_to(self, destination: str) -> bool:
        peer = self._peers().get(destination)
        if peer is None or not peer.receives:
            self._alarms.set(
                f"destination:{destination}",
                f"results wait for {destination}, which is no destination any more: add it again or resend elsewhere",
            )
            return False
        delivery = self._lease(destination)
        if delivery is None:
            return False
        try:
            encodings = {(delivery.sop_class_uid, delivery.transfer_syntax_uid), *self._encodings_waiting(destination)}
            with dimse.open_association(peer, self._own_ae_title, encodings) as association:
                self._alarms.clear(f"destination:{destination}")
                self._send_one(association, delivery, peer)
                while association.is_established and (following := self._lease(destination)) is not None:
                    if (following.sop_class_uid, following.transfer_syntax_uid) not in encodings:
                        self._leave_for_the_next(following)
                        break
                    self._send_one(association, following, peer)
        except PeerUnreachable as unreachable:
            self._retry(delivery, str(unreachable))
            self._postpone_others(destination, str(unreachable))
            self._alarms.set(f"destination:{destination}", f"{unreachable}; results wait and are sent again")
            return False
        return True

    def _lease(self, destination: str) -> Delivery | None:
        with self._database.begin() as session:
            return outbox.lease_due(session, destination, self._now(), LEASE)

    def _leave_for_the_next(self, delivery: Delivery) -> None:
        """What became ready while the association was open needs one that proposes it: it was not refused."""
        with self._database.begin() as session:
            outbox.retry(session, delivery, "waits for the next association", self._now())

    def _encodings_waiting(self, destination: str) -> set[tuple[str, str]]:
        with self._database.read() as session:
            return outbox.encodings_waiting(session, destination)

    def _send_one(self, association: Association, delivery: Delivery, peer: Peer) -> None:
        try:
            answer = dimse.store(
                association, self._store.path(delivery.digest, "results"), delivery.sop_class_uid,
                delivery.transfer_syntax_uid,
            )
        except dimse.NotAccepted as refused:
            self._replace(delivery, peer, None, str(refused), for_ever=True)
            return
        if answer.status is None:
            self._retry(delivery, "no answer to C-STORE")
            return
        match statuses.judge_c_store(answer.status):
            case statuses.Outcome.STORED | statuses.Outcome.STORED_WITH_WARNING:
                self._sent(delivery, answer.status)
            case statuses.Outcome.TRANSIENT:
                self._retry(delivery, f"status 0x{answer.status:04X} {answer.comment}".strip())
            case statuses.Outcome.PERMANENT:
                self._refused(delivery, peer, answer.status, answer.comment)

    def _refused(self, delivery: Delivery, peer: Peer, status: int, comment: str) -> None:
        reason = f"status 0x{status:04X} {comment}".strip()
        if statuses.refuses_the_object(status):
            self._replace(delivery, peer, status, reason, for_ever=statuses.refuses_the_class(status))
        else:
            self._give_up(delivery, f"{delivery.destination} refused: {reason}")

    def _replace(self, delivery: Delivery, peer: Peer, status: int | None, reason: str, *, for_ever: bool) -> None:
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

    def _retry(self, delivery: Delivery, reason: str) -> None:
        now = self._now()
        wait = backoff.next_wait(delivery.attempts, random.random())  # noqa: S311 - jitter
        if now + wait - delivery.created_at > backoff.HORIZON:
            self._give_up(delivery, f"given up after {backoff.HORIZON}: {reason}")
            return
        with self._database.begin() as session:
            outbox.retry(session, delivery, reason, now + wait)
        self._metrics.deliveries.labels(delivery.destination, "retried").inc()
        log.warning("delivery.postponed", delivery=delivery.delivery_id, destination=delivery.destination,
                    reason=reason, wait_s=round(wait.total_seconds(), 1))

    def _postpone_others(self, destination: str, reason: str) -> None:
        """An unreachable destination is tried once per back-off, not once for every object that waits for it."""
        while (delivery := self._lease(destination)) is not None:
            self._retry(delivery, reason)

    def _give_up(self, delivery: Delivery, reason: str) -> None:
        with self._database.begin() as session:
            outbox.dead(session, delivery, reason, self._now())
        self._metrics.deliveries.labels(delivery.destination, "dead").inc()
        self._alarms.set(DEAD_ALARM, f"not delivered: {reason}; once cured: radnode resend {delivery.delivery_id}")
        log.error("delivery.dead", delivery=delivery.delivery_id, destination=delivery.destination, reason=reason)

    def _confirm(self, delivery: Delivery) -> None:
        peer = self._peers()[delivery.destination]
        now = self._now()
        try:
            held = holds_instance(
                peer,
                self._own_ae_title,
                study_instance_uid=delivery.study_instance_uid,
                series_instance_uid=delivery.series_instance_uid,
                sop_instance_uid=delivery.sop_instance_uid,
            )
        except PeerUnreachable as unreachable:
            log.warning("delivery.unconfirmed", delivery=delivery.delivery_id, reason=str(unreachable))
            with self._database.begin() as session:
                outbox.postpone_confirmation(session, delivery, now + CONFIRM_AGAIN_AFTER)
            return
        with self._database.begin() as session:
            if held:
                outbox.confirmed(session, delivery, now, how="C-FIND")
            elif delivery.sent_at is not None and now - delivery.sent_at > self._confirm_within:
                outbox.resend(session, [delivery.delivery_id], now)
            else:
                outbox.postpone_confirmation(session, delivery, now + CONFIRM_AGAIN_AFTER)
        if held:
            self._metrics.deliveries.labels(delivery.destination, "confirmed").inc()
            log.info("delivery.confirmed", delivery=delivery.delivery_id, destination=delivery.destination)
