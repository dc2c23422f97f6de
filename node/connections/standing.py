"""How a connection is, and why: good, warning or bad, or idle where nothing is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from radnode.node.connections.listing import ABOUT
from radnode.node.intake.admission import calls_from
from radnode.storage.connections import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.peers import Peer
    from radnode.node.connections.listing import Connection
    from radnode.node.delivery.outages import Outage
    from radnode.node.intake.callers import Caller
    from radnode.storage.results import Refusal

Tone = Literal["good", "warning", "bad", "idle"]
OFTEN = 3
"""Once is a mistake at a keyboard."""
_WORSE: Mapping[Tone, int] = {"idle": 0, "good": 1, "warning": 2, "bad": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one connection. alarms: those that stand and are about it, as `Answers.alarms` gives them.

    callers: who was turned away under its AE title or from its address. disabled: it is written and not used.
    """

    heard_at: datetime | None = None
    traffic: Traffic = field(default_factory=Traffic)
    outage: Outage | None = None
    alarms: Sequence[Mapping[str, Any]] = ()
    callers: Sequence[Caller] = ()
    refused_forms: Sequence[Refusal] = ()
    disabled: bool = False


What = Literal["alarm", "outage", "given up", "held back", "waiting", "turned away", "refused forms", "arrived",
               "delivered", "nothing yet", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One sentence, in the page's words. values: what is filled in."""

    what: What
    tone: Tone
    values: Mapping[str, Any] = field(default_factory=dict)


def judge(seen: Seen) -> list[Reason]:
    """Every reason, the worst first; never empty."""
    if seen.disabled:
        return [Reason(what="disabled", tone="idle")]
    found = [*_of_destination(seen), *_alarms(seen), *_of_source(seen)]
    if seen.heard_at is not None:
        found.append(Reason(what="arrived", tone="good", values={"at": seen.heard_at}))
    if seen.traffic.last_at is not None:
        found.append(Reason(what="delivered", tone="good", values={"at": seen.traffic.last_at}))
    if not found:
        found.append(Reason(what="nothing yet", tone="idle"))
    return sorted(found, key=lambda each: -_WORSE[each.tone])


def tone_of(reasons: Iterable[Reason]) -> Tone:
    """The worst."""
    return max((each.tone for each in reasons), key=lambda tone: _WORSE[tone])


def alarms_about(connection: Connection, alarms: Iterable[Mapping[str, Any]], about: Mapping[str, str]) \
        -> list[Mapping[str, Any]]:
    """Those that stand and are about it. about: kind of alarm -> what its subject is."""
    found = []
    for each in alarms:
        what = about.get(each["kind"], "")
        subject = str(each["subject"])
        if what == "destination and form":
            subject = subject.rpartition(":")[0]
        if each["cleared_at"] is None and what in ABOUT[connection.kind] and subject == connection.name:
            found.append(each)
    return found


def callers_of(peer: Peer, callers: Iterable[Caller]) -> list[Caller]:
    """Who was turned away under its AE title."""
    return [each for each in callers if each.calling == peer.ae_title]


def strangers(peers: Iterable[Peer], callers: Iterable[Caller]) -> list[tuple[Caller, list[str]]]:
    """Who was turned away under a name that no peer has, and the peers whose address it has."""
    known = list(peers)
    titles = {each.ae_title for each in known}
    return [
        (each, [peer.name for peer in known if calls_from(peer, each.host)])
        for each in callers if each.calling not in titles
    ]


def _of_destination(seen: Seen) -> Iterable[Reason]:
    traffic = seen.traffic
    if seen.outage is not None:
        yield Reason(what="outage", tone="bad", values={
            "since": seen.outage.since, "why": seen.outage.reason, "next": seen.outage.next_attempt_at,
        })
    if traffic.given_up:
        yield Reason(what="given up", tone="bad", values={"number": traffic.given_up})
    if traffic.held_back:
        yield Reason(what="held back", tone="bad", values={"number": traffic.held_back})
    if seen.refused_forms:
        forms = ", ".join(each.form for each in seen.refused_forms)
        yield Reason(what="refused forms", tone="warning", values={"forms": forms})
    if traffic.waiting and seen.outage is None:
        yield Reason(what="waiting", tone="good", values={"number": traffic.waiting, "since": traffic.waits_since})


def _of_source(seen: Seen) -> Iterable[Reason]:
    for each in seen.callers:
        if each.number >= OFTEN:
            yield Reason(what="turned away", tone="warning", values={
                "number": each.number, "calling": each.calling, "host": each.host, "why": each.why,
            })


def _alarms(seen: Seen) -> Iterable[Reason]:
    """What the page says in its own words is not said again by an alarm."""
    said = {"outage": "destination", "held back": "patient", "refused forms": "form"}
    own = {said[each.what] for each in _of_destination(seen) if each.what in said}
    for each in seen.alarms:
        if each["kind"] not in own:
            tone: Tone = "warning" if each["severity"] == "warning" else "bad"
            yield Reason(what="alarm", tone=tone, values={"text": each["text"], "remedy": each["remedy"]})
