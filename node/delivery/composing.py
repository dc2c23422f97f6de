"""Ties together what is said and promised over normalized services: one call of the composition root makes it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.delivery.committing import Commitments
from radnode.node.delivery.outages import Outages
from radnode.node.delivery.vouching import Voucher
from radnode.node.intake.normalized import CommitmentDesk
from radnode.node.performing_notes import PerformedNotes
from radnode.node.scheduler import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database


class Promises:
    """Both parts in storage commitment, that of who asks and that of who vouches; and what peers say was performed.

    on_missing: something is to be sent again. on_refused: something is to be looked for. on_said: series may be judged
    otherwise.
    """

    def __init__(
        self, *, database: Database, own_ae_title: str, peers: Callable[[], Mapping[str, Peer]],
        now: Callable[[], datetime], alarms: Alarms, metrics: Metrics, on_missing: Callable[[], None],
        on_refused: Callable[[], None], on_said: Callable[[], None],
    ) -> None:
        committing = Commitments(
            database=database, outages=Outages(), own_ae_title=own_ae_title, peers=peers, now=now, alarms=alarms,
            metrics=metrics, on_missing=on_missing, on_refused=on_refused,
        )
        voucher = Voucher(
            database=database, own_ae_title=own_ae_title, peers=peers, now=now,
            on_requested=lambda: self.vouching.pulse(),
        )
        notes = PerformedNotes(database=database, now=now, on_said=on_said)
        self.committing = Activity("committing", committing.ask_due, alarms)
        self.vouching = Activity("vouching", voucher.report_due, alarms)
        self.desk = CommitmentDesk(reported=committing.reported, requested=voucher.requested, performed=notes.said)
