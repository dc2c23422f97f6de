"""Proves arrival: asks each destination by C-FIND or QIDO-RS whether it holds what it answered Success to.

And, once a job, whether it holds the images that the results refer to (R12): without them a viewer shows nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.delivery import backoff
from radnode.node.delivery.missing import send_again
from radnode.node.query import count_instances, holds_instance
from radnode.storage import confirmations, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.delivery.outages import Outages
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)

LOOK_AGAIN_AFTER = timedelta(seconds=5)
AT_ONCE = 100


class Confirmer:
    """`confirm_sent` is the step of an activity."""

    def __init__(
        self,
        *,
        database: Database,
        outages: Outages,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Peer]],
        confirm_within: timedelta,
        now: Callable[[], datetime],
        alarms: Alarms,
        metrics: Metrics,
        on_missing: Callable[[], None],
    ) -> None:
        self._database = database
        self._outages = outages
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._confirm_within = confirm_within
        self._now = now
        self._alarms = alarms
        self._metrics = metrics
        self._on_missing = on_missing

    def confirm_sent(self) -> bool:
        """Look for what is due to be looked for. True when more may be due."""
        peers = self._peers().values()
        found = [self._confirm_at(peer) for peer in peers if peer.answers_find]
        self._watch({peer.name for peer in peers if peer.answers_find or peer.commitment},
                    {peer.name for peer in peers if peer.commitment})
        return any(found)

    def _confirm_at(self, peer: Peer) -> bool:
        with self._database.read() as session:
            sent = confirmations.unconfirmed(session, self._now(), peer.name, AT_ONCE, uncommitted=peer.commitment)
        for delivery in sent:
            try:
                held = holds_instance(
                    peer,
                    self._own_ae_title,
                    study_instance_uid=delivery.study_instance_uid,
                    series_instance_uid=delivery.series_instance_uid,
                    sop_instance_uid=delivery.sop_instance_uid,
                )
                if held:
                    self._look_for_images(peer, delivery)
            except PeerUnreachable as unreachable:
                self._wait(peer.name, str(unreachable))
                return False
            self._outages.answered(peer.name)
            if held:
                self._found(peer, delivery)
            else:
                self._not_listed(delivery)
        return len(sent) == AT_ONCE

    def _wait(self, destination: str, reason: str) -> None:
        """What could not be asked for one object could not be asked for any."""
        outage = self._outages.unreachable(destination, reason, self._now(), backoff.jitter())
        with self._database.begin() as session:
            confirmations.postpone_confirmations(session, destination, outage.next_attempt_at)
        log.warning("delivery.unconfirmed", destination=destination, reason=reason)

    def _look_for_images(self, peer: Peer, delivery: Delivery) -> None:
        """Raises :class:`PeerUnreachable`."""
        with self._database.read() as session:
            referred_to = confirmations.images_referred_to(session, delivery)
        if referred_to is None:
            return
        series_instance_uid, number = referred_to
        listed = count_instances(peer, self._own_ae_title, delivery.study_instance_uid, series_instance_uid) or 0
        if listed >= number:
            self._alarms.clear(f"images:{peer.name}")
            return
        with self._database.begin() as session:
            confirmations.lacks_images(session, delivery, listed, number, self._now())
        self._alarms.set(
            f"images:{peer.name}",
            f"{peer.name} lists {listed} of the {number} images that the results of study "
            f"{delivery.study_instance_uid} refer to; a viewer cannot show results on images that are not there: send "
            f"the images to {peer.name}, too",
        )
        log.warning("delivery.without_images", delivery=delivery.delivery_id, destination=peer.name, listed=listed,
                    referred_to=number)

    def _found(self, peer: Peer, delivery: Delivery) -> None:
        with self._database.begin() as session:
            outbox.confirmed(session, delivery, self._now(), how="QIDO-RS" if peer.dicomweb else "C-FIND")
        self._metrics.deliveries.labels(delivery.destination, "confirmed").inc()
        log.info("delivery.confirmed", delivery=delivery.delivery_id, destination=delivery.destination)

    def _not_listed(self, delivery: Delivery) -> None:
        now = self._now()
        if delivery.sent_at is not None and now - delivery.sent_at <= self._confirm_within:
            with self._database.begin() as session:
                confirmations.postpone_confirmation(session, delivery, now + LOOK_AGAIN_AFTER)
            return
        with self._database.begin() as session:
            reason = f"{delivery.destination} answered Success to it but does not list it"
            send_again(session, delivery, reason, now, self._metrics)
        self._on_missing()

    def _watch(self, answering: set[str], committing: set[str]) -> None:
        """An alarm for each destination that answered Success to what it does not list, until all of it is found."""
        with self._database.read() as session:
            unproven = confirmations.unproven(session, self._now() - self._confirm_within, committing=committing)
            sent_again = confirmations.sent_again(session)
        raised = {alarm.name for alarm in self._alarms.raised()}
        for name in answering:
            if number := unproven.get(name):
                asked = {outage.destination: outage.reason for outage in self._outages.current()}
                because = f" ({asked[name]})" if name in asked else ""
                self._alarms.set(
                    f"unconfirmed:{name}",
                    f"{name} answered Success to {number} results that it does not list{because}; they are looked for "
                    "and sent again until they are there: look into its import queue",
                )
            elif f"unconfirmed:{name}" in raised and name not in sent_again:
                self._alarms.clear(f"unconfirmed:{name}")
