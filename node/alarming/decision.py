"""From facts to alarms. Pure: whatever is wrong is decided here, and only here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from radnode.node.alarming.silence import expected_time
from radnode.node.alarms import Alarm
from radnode.node.intake.admission import calls_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.config.alarms import AlarmSettings
    from radnode.config.peers import Peer
    from radnode.node.security.validity import Validity
    from radnode.storage.ledger import Balance
    from radnode.storage.symptoms import Some

DAY = timedelta(days=1)
"""What does not end by itself (a failed job, a conflict) is an alarm for so long after it last happened."""
HEADERS_WAIT = timedelta(minutes=2)
"""Reading one takes a millisecond."""
STRANGE = 3
"""Once is a mistake at a keyboard."""
ENDS_SOON, ENDS_AT_ONCE = timedelta(days=30), timedelta(days=7)
"""When the end of a certificate is an alarm, and when it is a worse one, told anew each day."""
OTHERS = "unknown senders"
"""What senders are called that no peer of the configuration describes: their names are not ours to repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What the database says. By source, pipeline or destination: how many, and since when."""

    balance: Balance
    held: Mapping[str, Some] = field(default_factory=dict)
    conflicts: Mapping[str, Some] = field(default_factory=dict)
    unreadable: Mapping[str, Some] = field(default_factory=dict)
    failed_jobs: Mapping[str, Some] = field(default_factory=dict)
    late_jobs: Mapping[str, Some] = field(default_factory=dict)
    waiting_deliveries: Mapping[str, Some] = field(default_factory=dict)
    heard: Mapping[str, datetime] = field(default_factory=dict)
    oldest_job: datetime | None = None
    oldest_header: datetime | None = None
    held_back: Mapping[str, Some] = field(default_factory=dict)
    dead_deliveries: int = 0
    partially_delivered: int = 0
    standing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known now. reported: what parts of this process say themselves. started_at: of this process.

    volume: what is wrong with the disk, empty if nothing is. refused: objects by source within the last hour.
    strangers: by address, how often within the last hour it could not show who it is.
    """

    tables: Tables
    started_at: datetime
    reported: tuple[Alarm, ...] = ()
    free_bytes: int = 0
    reserve_bytes: int = 0
    volume: str = ""
    refused: Mapping[str, int] = field(default_factory=dict)
    strangers: Mapping[str, int] = field(default_factory=dict)
    certificates: tuple[Validity, ...] = ()


def alarms(facts: Facts, settings: AlarmSettings, peers: Mapping[str, Peer], now: datetime) -> list[Alarm]:
    """Everything that is wrong. An alarm's name is its kind, or kind:subject; no two have one name."""
    found = {
        alarm.name: alarm
        for alarm in (
            *facts.reported,
            *_disk(facts, now),
            *_silence(facts, settings, peers, now),
            *_intake(facts, peers, now),
            *_strangers(facts, peers, now),
            *_certificates(facts.certificates, now),
            *_series(facts.tables, settings, peers, now),
            *_jobs(facts.tables, settings, now),
            *_deliveries(facts.tables, settings, now),
        )
    }
    return list(found.values())


def _disk(facts: Facts, now: datetime) -> Iterator[Alarm]:
    balance = facts.tables.balance
    if not balance.holds:
        yield Alarm(
            name="ledger", since=now,
            text=f"{balance.acknowledged} images were acknowledged but their states sum up to "
                 f"{sum(balance.states.values())}",
        )
    if facts.volume:
        yield Alarm(name="volume", since=now, text=facts.volume)
    free = f"{_size(facts.free_bytes)} free, the reserve is {_size(facts.reserve_bytes)}"
    if facts.free_bytes < facts.reserve_bytes:
        yield Alarm(name="disk", since=now, text=f"{free}: images are refused with A700")
    elif facts.free_bytes < 2 * facts.reserve_bytes:
        yield Alarm(name="disk-low", since=now, text=free)


def _silence(facts: Facts, settings: AlarmSettings, peers: Mapping[str, Peer], now: datetime) -> Iterator[Alarm]:
    """While the node was down nothing could come: a silence that was no alarm before is counted from its start."""
    for peer in peers.values():
        if peer.expect is None:
            continue
        name, every = f"silence:{peer.name}", peer.expect.every
        last = facts.tables.heard.get(peer.name)
        since = last or facts.started_at
        if name in facts.tables.standing:
            silent = last is None or expected_time(peer.expect, last, now, settings.zone) >= every
        else:
            silent = expected_time(peer.expect, max(since, facts.started_at), now, settings.zone) >= every
        if silent:
            heard = f"the last came {last:%Y-%m-%d %H:%M} UTC" if last else "none ever came"
            text = f"no images from {peer.name} for {_duration(every)} of its expected hours; {heard}"
            yield Alarm(name=name, since=since, text=text)


def _intake(facts: Facts, peers: Mapping[str, Peer], now: datetime) -> Iterator[Alarm]:
    for name, number in facts.refused.items():
        if name in peers:
            yield Alarm(name=f"refusals:{name}", since=now, text=f"{number} objects of {name} were refused")
    for name, some in _known(facts.tables.unreadable, peers):
        yield Alarm(name=f"unreadable:{name}", since=some.since, text=f"{some.number} images of {name} are unreadable")
    oldest = facts.tables.oldest_header
    if oldest is not None and now - oldest >= HEADERS_WAIT:
        yield Alarm(name="headers", since=oldest, text=f"headers wait since {oldest:%H:%M} UTC to be read")


def _strangers(facts: Facts, peers: Mapping[str, Peer], now: datetime) -> Iterator[Alarm]:
    """An address is that of the source that is configured with it, or nobody's."""
    tries: Counter[str] = Counter()
    for address, number in facts.strangers.items():
        owner = next((peer.name for peer in peers.values() if peer.sends and calls_from(peer, address)), OTHERS)
        tries[owner] += number
    for name, number in tries.items():
        if number >= STRANGE:
            yield Alarm(name=f"strangers:{name}", since=now, text=f"{name} could not show {number} times who it is")


def _certificates(found: tuple[Validity, ...], now: datetime) -> Iterator[Alarm]:
    """The worst of each owner."""
    said: set[str] = set()
    for each in sorted(found, key=lambda one: one.ends_at or now):
        if each.owner in said:
            continue
        if each.ends_at is None:
            yield Alarm(name=f"certificate:{each.owner}", since=now, text=each.failure)
        elif each.ends_at - now < ENDS_SOON:
            kind = "certificate" if each.ends_at - now < ENDS_AT_ONCE else "certificate-ends"
            verb = "ended" if each.ends_at <= now else "ends"
            yield Alarm(name=f"{kind}:{each.owner}", since=now,
                        text=f"the {each.what} of {each.owner} {verb} on {each.ends_at:%d %b %Y %H:%M} UTC")
        else:
            continue
        said.add(each.owner)


def _series(tables: Tables, settings: AlarmSettings, peers: Mapping[str, Peer], now: datetime) -> Iterator[Alarm]:
    for name, some in _known(tables.held, peers):
        if now - some.since >= settings.series_held:
            yield Alarm(
                name=f"held:{name}", since=some.since,
                text=f"{some.number} series of {name} lack images and are held; nothing runs on them",
            )
    for name, some in _known(tables.conflicts, peers):
        yield Alarm(
            name=f"conflict:{name}", since=some.since,
            text=f"{some.number} series of {name} contradict themselves or others, last in study "
                 f"{some.study_instance_uid}: {some.reason}",
        )


def _jobs(tables: Tables, settings: AlarmSettings, now: datetime) -> Iterator[Alarm]:
    for pipeline, some in tables.failed_jobs.items():
        yield Alarm(name=f"jobs:{pipeline}", since=some.since, text=f"{some.number} jobs of {pipeline} failed for good")
    for pipeline, some in tables.late_jobs.items():
        yield Alarm(name=f"late:{pipeline}", since=some.since,
                    text=f"{some.number} results of {pipeline} are late, wanted by {some.since:%d %b %H:%M} UTC")
    oldest = tables.oldest_job
    if oldest is not None and now - oldest >= settings.job_waits:
        yield Alarm(name="jobs-waiting", since=oldest, text=f"a job waits for a worker since {oldest:%d %b %H:%M} UTC")


def _deliveries(tables: Tables, settings: AlarmSettings, now: datetime) -> Iterator[Alarm]:
    if tables.dead_deliveries:
        partial = f", {tables.partially_delivered} jobs are partially delivered" if tables.partially_delivered else ""
        yield Alarm(name="deliveries", since=now, text=f"{tables.dead_deliveries} not delivered, given up{partial}")
    for destination, some in tables.held_back.items():
        yield Alarm(name=f"patient:{destination}", since=some.since, text=f"{some.number} results: {some.reason}")
    for destination, some in tables.waiting_deliveries.items():
        if now - some.since >= settings.delivery_waits:
            yield Alarm(
                name=f"delivery-waits:{destination}", since=some.since,
                text=f"{some.number} results wait for {destination}, the oldest since {some.since:%d %b %H:%M} UTC",
            )


def _known(found: Mapping[str, Some], peers: Mapping[str, Peer]) -> Iterator[tuple[str, Some]]:
    """By source, all that no peer describes as one."""
    yield from ((source, some) for source, some in found.items() if source in peers)
    if others := [some for source, some in found.items() if source not in peers]:
        yield OTHERS, replace(others[-1], number=sum(each.number for each in others),
                              since=min(each.since for each in others))


def _duration(duration: timedelta) -> str:
    minutes = duration.total_seconds() / 60
    return f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes:g} min"


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
