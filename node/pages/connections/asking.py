"""What the pages of connections ask of the node: every connection with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import HTTPException

from radnode.node.alarming.kinds import KINDS
from radnode.node.connections import listing, standing
from radnode.node.connections.standing import Reason, Seen, Tone
from radnode.storage import connections as stored
from radnode.storage import fetches, results, symptoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.connections.listing import Connection
    from radnode.node.intake.callers import Caller
    from radnode.node.pages.site import Parts
    from radnode.storage.results import Refusal

_ABOUT = {name: kind.about for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A connection, what is known of it, and what follows from that."""

    connection: Connection
    seen: Seen
    reasons: list[Reason]
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """Who was turned away, and when last. neighbours: peers that have the same address."""

    caller: Caller
    at: datetime
    neighbours: list[str] = field(default_factory=list)


def all_shown(parts: Parts, wanted: Iterable[Connection]) -> list[Shown]:
    """Those with what is known of each."""
    chosen = list(wanted)
    configuration, alarms = parts.configuration(), parts.answers.alarms()
    outages = {each.destination: each for each in parts.outages()}
    callers = parts.turned_away()
    with parts.database.read() as session:
        heard = _heard(session, chosen)
        traffic = {each.name: stored.traffic(session, each.name) for each in chosen if each.destination}
        refused = valid_refusals(session, configuration)
    found = []
    for each in chosen:
        peer = configuration.peers.get(each.name) if each.kind == "peer" else None
        seen = Seen(
            heard_at=heard.get((each.kind, each.name)),
            traffic=traffic.get(each.name, stored.Traffic()) if each.destination else stored.Traffic(),
            outage=outages.get(each.name) if each.destination else None,
            alarms=standing.alarms_about(each, alarms, _ABOUT),
            callers=standing.callers_of(peer, callers) if peer else (),
            refused_forms=[one for one in refused if each.destination and one.destination == each.name],
            disabled=each.disabled,
        )
        reasons = standing.judge(seen)
        found.append(Shown(connection=each, seen=seen, reasons=reasons, tone=standing.tone_of(reasons)))
    return found


def one_shown(parts: Parts, kind: str, name: str) -> Shown:
    """One of them. Raises HTTPException 404."""
    connection = listing.find(parts.configuration(), kind, name)
    if connection is None:
        raise HTTPException(404, "no such connection is configured")
    return all_shown(parts, [connection])[0]


def strangers(parts: Parts) -> list[Knock]:
    """Who was turned away under a name that no peer has, the latest first."""
    now = parts.now()
    return [
        Knock(caller=caller, at=now - timedelta(seconds=caller.ago_s), neighbours=names)
        for caller, names in standing.strangers(parts.configuration().peers.values(), parts.turned_away())
    ]


def knocks(parts: Parts, callers: Iterable[Caller]) -> list[Knock]:
    """With the moment of the last time."""
    now = parts.now()
    return [Knock(caller=each, at=now - timedelta(seconds=each.ago_s)) for each in callers]


def valid_refusals(session: Session, configuration: Configuration) -> list[Refusal]:
    """The forms that destinations refused, as they are configured now."""
    found = results.all_refusals(session)
    known = {
        name: results.refusals(session, name, destination.digest)
        for name, destination in configuration.destinations.items()
    }
    return [each for each in found if each.form in known.get(each.destination, frozenset())]


def _heard(session: Session, chosen: Iterable[Connection]) -> Mapping[tuple[str, str], datetime]:
    """(kind, name) -> when something came from it last: an image, an order, an answer to a pull."""
    sources = symptoms.heard(session, [each.name for each in chosen if each.source])
    senders = stored.last_messages(session)
    pulls = {name: row.answered_at for name, row in fetches.pulls(session).items() if row.answered_at}
    of_kind = {"sender": senders, "pull": pulls}
    return {
        (each.kind, each.name): at for each in chosen
        if (at := of_kind.get(each.kind, sources if each.source else {}).get(each.name)) is not None
    }
