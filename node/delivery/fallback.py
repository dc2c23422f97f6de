"""What a destination gets instead of a result form that it refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.pipelines.forms import plan, without
from radnode.storage import results, rewrites

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.node.alarms import Alarms
    from radnode.node.delivery.carrying import Destination
    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery

log = structlog.get_logger(__name__)

FORM_ALARMS = "form:"
"""How the names of the alarms about remembered refusals begin; the upkeep clears those that hold no more."""


def forms_for(session: Session, peer: Destination) -> tuple[str, ...]:
    """The forms to write for a destination: those it lists, but for those it is known to refuse."""
    return without(peer.forms, results.refusals(session, peer.name, peer.digest))


def alarm_name(destination: str, form: str) -> str:
    """What the alarm about a remembered refusal is called."""
    return f"{FORM_ALARMS}{destination}:{form}"


def alarm_text(destination: str, form: str, reason: str, refused: Collection[str]) -> str:
    """What an administrator reads about it. refused: every form that this destination is known to refuse."""
    instead = ", ".join(without([form], refused)) or "nothing"
    return (
        f"{destination} refused {form} ({reason}); it gets {instead} instead. List that form for it, or, once it takes "
        f"{form}: radnode offer-again {destination}"
    )


class Fallback:
    """`replace` is asked by the sender about every object that was refused for its form."""

    def __init__(
        self, *, database: Database, now: Callable[[], datetime], alarms: Alarms, on_rewrite: Callable[[], None]
    ) -> None:
        self._database = database
        self._now = now
        self._alarms = alarms
        self._on_rewrite = on_rewrite

    def replace(self, delivery: Delivery, peer: Destination, status: int | None, reason: str, *, for_ever: bool) -> str:
        """Have another form written for this destination; returns why not where that cannot be, else nothing.

        for_ever: the class was refused, not this one object; later jobs are written for it rightly at once.
        """
        try:
            with self._database.begin() as session:
                refused = {delivery.form, *results.refusals(session, peer.name, peer.digest)}
                refused |= rewrites.refused_of_job(session, delivery.job_id, peer.name)
                fallback = without([delivery.form], refused)
                if not fallback:
                    return "no other form says the same"
                # Of what the destination shows now; what was refused may have been listed for it no longer.
                names = plan(without((*peer.forms, delivery.form), refused))
                rewrites.replace(session, delivery, names, instead=fallback[0], status=status, reason=reason,
                                 now=self._now())
                if for_ever:
                    results.remember_refusal(session, peer.name, delivery.form, peer.digest, reason, self._now())
        except rewrites.NotReplaceable as why_not:
            return str(why_not)
        log.warning("delivery.replaced", destination=peer.name, form=delivery.form, instead=fallback[0], reason=reason)
        if for_ever:
            self._alarms.set(alarm_name(peer.name, delivery.form),
                             alarm_text(peer.name, delivery.form, reason, refused))
        self._on_rewrite()
        return ""
