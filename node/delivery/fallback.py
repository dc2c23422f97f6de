"""What a destination gets instead of a result form that it refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.pipelines.forms import plan, without
from radnode.storage import outbox, results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)


def forms_for(session: Session, peer: Peer) -> tuple[str, ...]:
    """The forms to write for a destination: those it lists, but for those it is known to refuse."""
    return without(peer.forms, results.refusals(session, peer.name, peer.digest))


class Fallback:
    """`replace` is asked by the sender about every object that was refused for its form."""

    def __init__(
        self, *, database: Database, now: Callable[[], datetime], alarms: Alarms, on_rewrite: Callable[[], None]
    ) -> None:
        self._database = database
        self._now = now
        self._alarms = alarms
        self._on_rewrite = on_rewrite

    def replace(self, delivery: Delivery, peer: Peer, status: int | None, reason: str, *, for_ever: bool) -> bool:
        """Have another form written for this destination. False where nothing says the same; it is dead then.

        for_ever: the class was refused, not this one object; later jobs are written for it rightly at once.
        """
        with self._database.begin() as session:
            refused = {delivery.form, *results.refusals(session, peer.name, peer.digest)}
            refused |= results.refused_of_job(session, delivery.job_id, peer.name)
            instead = without(peer.forms, refused)
            # What says the same; it may be among the forms that the destination lists anyway.
            fallback = without([delivery.form], refused)
            if not fallback or delivery.form in instead:
                return False
            if not results.replace(session, delivery.job_id, peer.name, plan(instead), reason, self._now()):
                return False
            outbox.replaced(session, delivery, status or 0, reason)
            if for_ever:
                results.remember_refusal(session, peer.name, delivery.form, peer.digest, reason, self._now())
        self._say(peer, delivery.form, fallback, reason)
        self._on_rewrite()
        return True

    def _say(self, peer: Peer, form: str, instead: Sequence[str], reason: str) -> None:
        log.warning("delivery.replaced", destination=peer.name, form=form, instead=list(instead), reason=reason)
        self._alarms.set(
            f"form:{peer.name}:{form}",
            f"{peer.name} refused {form} ({reason}); it gets {', '.join(instead)} instead. List that form for it, or, "
            f"once it takes {form}: radnode offer-again {peer.name}",
        )
