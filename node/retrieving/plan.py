"""What to ask an archive for, when, and how an attempt ended. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from apscheduler.triggers.cron import CronTrigger

from radnode.config.durations import DAYS
from radnode.node.retrieving.archive import Request
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import PRIOR, Ended

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from radnode.config.pulls import Pull
    from radnode.storage.fetches import Fetch

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
TRIED_FOR = timedelta(hours=48)
PRIORS_TRIED_FOR = timedelta(hours=1)
AT_ONCE = 200
"""SOP Instance UIDs in one request: 13 kB, where some archives stop at 64 kB."""


def requests(
    study_instance_uid: str, series_instance_uid: str, listed: Mapping[str, str], held: Collection[str],
    images_per_minute: int | None,
) -> Iterator[Request]:
    """What is missing of a series. As a whole where nothing of it is here and nothing limits the pace.

    listed: SOP Instance UID -> SOP Class UID. With a limit, a request is of ten seconds' worth.
    """
    missing = [each for each in listed if each not in held]
    if missing and len(missing) == len(listed) and images_per_minute is None:
        yield Request(study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid,
                      instances=listed, whole=True)
        return
    size = AT_ONCE if images_per_minute is None else max(1, min(AT_ONCE, images_per_minute // 6))
    for at in range(0, len(missing), size):
        some = {each: listed[each] for each in missing[at : at + size]}
        yield Request(study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid,
                      instances=some, whole=False)


def singles(request: Request, held: Collection[str]) -> Iterator[Request]:
    """What is still missing of a request that failed, one by one. Of a request for one, nothing."""
    if len(request.instances) == 1:
        return
    for uid, sop_class in request.instances.items():
        if uid not in held:
            yield replace(request, instances={uid: sop_class}, whole=False)


def lacking(listed: Mapping[str, Collection[str]], held: Mapping[str, Collection[str]]) -> int:
    """How many instances that the archive lists are not here. Both: series -> SOP Instance UIDs."""
    return sum(len(set(uids) - set(held.get(series, ()))) for series, uids in listed.items())


def ended(fetch: Fetch, reason: str, *, listed: int, missing: int, now: datetime) -> Ended:
    """How an attempt ended. reason: what went wrong, empty if nothing did.

    listed: None of it means that the archive did not even say what there is. What is not whole is tried again after a
    time that doubles up to an hour, for two days; a prior for an hour.
    """
    arrived = listed - missing
    if not reason and not missing:
        return Ended(state=FetchState.COMPLETE, arrived=arrived)
    said = f"{missing} of {listed} images are not here" if missing else ""
    why = "; ".join(each for each in (said, reason) if each)
    horizon = PRIORS_TRIED_FOR if fetch.purpose == PRIOR else TRIED_FOR
    wait = min(FIRST_WAIT * (1 << min(fetch.attempts - 1, 12)), LONGEST_WAIT)
    if now + wait > fetch.wanted_at + horizon:
        return Ended(state=FetchState.GIVEN_UP, reason=why, arrived=arrived, lacking=missing)
    return Ended(state=FetchState.INCOMPLETE, reason=why, arrived=arrived, lacking=missing, due_at=now + wait)


def is_due(pull: Pull, asked_at: datetime | None, failures: int, now: datetime) -> bool:
    """Whether a pull is to ask. now: local time with its zone.

    One that never asked does so at once, one that missed several times (the node was down) asks once, and one that got
    no answer (failures: how often in a row) asks again before its time.
    """
    if not (pull.enabled and in_hours(pull, now)):
        return False
    if asked_at is None:
        return True
    if failures and asked_at + min(FIRST_WAIT * (1 << min(failures, 12)), LONGEST_WAIT) <= now:
        return True
    trigger = CronTrigger.from_crontab(pull.schedule, timezone=now.tzinfo)
    due: datetime | None = trigger.get_next_fire_time(None, asked_at + timedelta(seconds=1))
    return due is not None and due <= now


def in_hours(pull: Pull, now: datetime) -> bool:
    """Whether these are hours of the pull. now: local time. Hours over midnight belong to the day they begin on."""
    if pull.between is None:
        return DAYS[now.weekday()] in pull.days
    first, last = (time.fromisoformat(each) for each in pull.between.split("-"))
    clock = now.time()
    if first < last:
        return first <= clock < last and DAYS[now.weekday()] in pull.days
    if clock >= first:
        return DAYS[now.weekday()] in pull.days
    return clock < last and DAYS[(now - timedelta(days=1)).weekday()] in pull.days
