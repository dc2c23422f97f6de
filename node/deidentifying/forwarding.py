"""Sends received images on: as a route's `forward` says, and back into the hospital what came from outside.

Results have the outbox; this is the same for what the node did not make itself, without confirmation: whoever gets it
is not asked about it under names that it must not know.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node import statuses
from radnode.node.association import PeerUnreachable
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.lanes import OursAgain, Outgoing, SecretUnusable
from radnode.node.delivery import backoff, carrying
from radnode.node.delivery.answer import Damaged, NotAccepted
from radnode.node.scheduler import Activity
from radnode.storage import ledger, transfers
from radnode.storage.ledger import InstanceState
from radnode.storage.transfers import Transfer, TransferState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.deidentifying.lanes import Lanes
    from radnode.node.delivery.answer import Storing
    from radnode.storage.files import FileStore

log = structlog.get_logger(__name__)

AT_ONCE = 100
LATER = timedelta(minutes=1)


class Forwarder:
    """`step` sends a batch; True while there may be more."""

    def __init__(
        self, lanes: Lanes, store: FileStore, configuration: Callable[[], Configuration], alarms: Alarms
    ) -> None:
        self._database = lanes.database
        self._store = store
        self._lanes = lanes
        self._configuration = configuration
        self._now = lanes.now
        self._alarms = alarms

    def step(self) -> bool:
        """Prepare and send what is due for one destination."""
        with self._database.read() as session:
            batch = transfers.due(session, self._now(), AT_ONCE)
        if not batch:
            return False
        destination = self._peers().get(batch[0].destination)
        ready: dict[int, Outgoing] = {}
        try:
            for each in batch:
                if (made := self._prepared(each, destination)) is not None:
                    ready[each.transfer_id] = made
            if destination is not None and ready:
                self._send(destination, [each for each in batch if each.transfer_id in ready], ready)
        except SecretUnusable as error:
            self._alarms.set(f"deidentification:{batch[0].destination}", str(error))
            self._retry(batch, str(error), LATER)
        finally:
            for made in ready.values():
                made.done()
        return True

    def _prepared(self, transfer: Transfer, destination: Peer | None) -> Outgoing | None:
        """The file that is sent; None where it is settled that none is."""
        if destination is None or not destination.receives:
            self._end(transfer, TransferState.DEAD, f"{transfer.destination} is no destination any more")
            return None
        path = self._store.path(transfer.digest)
        try:
            if transfer.direction == "BACK":
                return self._lanes.returning(path, self._outside(transfer.source))
            return self._lanes.outgoing(path, transfer.digest, self._outside(transfer.destination))
        except OursAgain as known:
            self._settle(transfer, TransferState.KNOWN, str(known))
        except Held as held:
            self._end(transfer, TransferState.HELD, str(held))
        except OSError as error:
            self._end(transfer, TransferState.DEAD, f"the kept image cannot be read: {error.strerror}")
        return None

    def _peers(self) -> Mapping[str, Peer]:
        return self._configuration().peers

    def _outside(self, name: str) -> Peer:
        peer = self._peers().get(name)
        if peer is None or peer.deidentify is None:
            raise Held(f"{name} has no `deidentify` any more")
        return peer

    def _send(self, peer: Peer, batch: Sequence[Transfer], ready: Mapping[int, Outgoing]) -> None:
        encodings = {(each.sop_class_uid, each.transfer_syntax_uid) for each in ready.values()}
        left = list(batch)
        try:
            with carrying.reach(peer, self._configuration().settings.ae_title, encodings) as association:
                while left and association.is_established:
                    self._send_one(association, left[0], ready[left[0].transfer_id])
                    left.pop(0)
        except PeerUnreachable as unreachable:
            self._alarms.set(f"destination:{peer.name}", f"{unreachable}; images wait")
            self._retry(left, str(unreachable), None)
            return
        self._alarms.clear(f"destination:{peer.name}")
        self._retry(left, f"{peer.name} ended the association", None)

    def _send_one(self, association: Storing, transfer: Transfer, made: Outgoing) -> None:
        try:
            answer = association.store(
                made.path, made.digest, made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid
            )
        except NotAccepted as refused:
            self._end(transfer, TransferState.DEAD, str(refused))
            return
        except Damaged:
            self._end(transfer, TransferState.DEAD, "the kept object is damaged on disk")
            return
        match answer.outcome:
            case statuses.Outcome.TRANSIENT:
                self._retry([transfer], answer.reason, None)
            case statuses.Outcome.PERMANENT:
                self._end(transfer, TransferState.DEAD, f"{transfer.destination} refused: {answer.reason}")
            case _:
                reason = f"sent on to {transfer.destination}"
                status = statuses.SUCCESS if answer.status is None else answer.status
                self._settle(transfer, TransferState.SENT, reason, status)

    def _settle(self, transfer: Transfer, state: TransferState, reason: str, status: int | None = None) -> None:
        """It needs nothing more."""
        now = self._now()
        with self._database.begin() as session:
            transfers.settle(session, transfer, state, reason, status, now)
            if transfer.direction == "BACK":
                ledger.move(session, [transfer.instance_id], InstanceState.NOT_ROUTED, reason=reason, now=now)
        log.info("image.settled", state=state.value, transfer=transfer.transfer_id, destination=transfer.destination,
                 direction=transfer.direction)

    def _retry(self, batch: Sequence[Transfer], reason: str, after: timedelta | None) -> None:
        now = self._now()
        old = [each for each in batch if now - each.created_at >= backoff.HORIZON]
        for each in old:
            self._end(each, TransferState.DEAD, f"given up after {backoff.HORIZON.days} days: {reason}")
        for each in batch:
            if each not in old:
                wait = after or backoff.next_wait(each.attempts + 1, backoff.jitter())
                with self._database.begin() as session:
                    transfers.retry(session, [each.transfer_id], reason, now + wait)

    def _end(self, transfer: Transfer, state: TransferState, reason: str) -> None:
        now = self._now()
        with self._database.begin() as session:
            transfers.end(session, transfer, state, reason, now)
            if transfer.direction == "BACK":
                ledger.move(session, [transfer.instance_id], InstanceState.QUARANTINED, reason=reason, now=now)
        log.warning("image.not_sent_on", transfer=transfer.transfer_id, destination=transfer.destination,
                    direction=transfer.direction, state=state.value, reason=reason)
        about = transfer.source if transfer.direction == "BACK" else transfer.destination
        self._alarms.set(f"deidentification:{about}", reason)


def sending_on(
    lanes: Lanes, store: FileStore, configuration: Callable[[], Configuration], alarms: Alarms
) -> Activity:
    """The activity; the process that takes objects apart ends with it."""
    forwarder = Forwarder(lanes, store, configuration, alarms)
    return _EndsLanes("sending images on", forwarder.step, alarms, lanes)


class _EndsLanes(Activity):
    def __init__(self, name: str, step: Callable[[], bool], alarms: Alarms, lanes: Lanes) -> None:
        super().__init__(name, step, alarms)
        self._lanes = lanes

    def stop(self, timeout_s: float = 10.0) -> None:
        super().stop(timeout_s)
        self._lanes.close()
