"""What a simulated day came to. Pure: jobs in, figures out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from radnode.node.simulating.load import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from radnode.node.simulating.day import Exam
    from radnode.node.simulating.load import Load
    from radnode.node.simulating.virtual import Read

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles in seconds; None of nothing."""

    median: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPriority:
    """Jobs of one priority. waited: for a worker. turnaround: from the last image to the result. late: how many."""

    priority: Priority
    jobs: int
    waited: Spread
    turnaround: Spread
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A run. busy: share of the workers' time. busiest_hour: share of one hour. cost: of an exam that was read."""

    days: int
    exams: int
    images: int
    gigabytes: float
    jobs: int
    jobs_a_week: float
    exams_read: int
    of: tuple[OfPriority, ...]
    busy: float
    busiest_hour: float
    longest_queue: int
    cost: float | None

    def p95_of(self, priority: Priority) -> float:
        """Seconds of turnaround; 0 without a job."""
        return next((each.turnaround.p95 or 0.0 for each in self.of if each.priority == priority), 0.0)


def figures(load: Load, exams: Sequence[Exam], reads: Sequence[Read], days: int) -> Figures:
    """Of a run of so many days."""
    spent = sum(read.ended_s - read.leased_s for read in reads)
    hours = busy_by_hour(reads)
    exams_read = len({read.exam for read in reads})
    until = max((read.ended_s for read in reads), default=0.0)
    open_s = max(days * 86_400.0, until)
    return Figures(
        days=days, exams=len(exams), images=sum(exam.images for exam in exams),
        gigabytes=sum(exam.images * load.kinds[exam.kind].image_mb for exam in exams) / 1000,
        jobs=len(reads), jobs_a_week=len(reads) / days * 7, exams_read=exams_read,
        of=tuple(_of(load, priority, [read for read in reads if read.priority == priority]) for priority in PRIORITIES),
        busy=spent / (load.workers * open_s), longest_queue=_longest(reads),
        busiest_hour=max(hours.values(), default=0.0) / (3600.0 * load.workers),
        cost=load.workers * open_s / 3600 * load.cost_an_hour / exams_read if exams_read else None,
    )


def _of(load: Load, priority: Priority, reads: Sequence[Read]) -> OfPriority:
    limit_s = load.limit_min.get(priority, math.inf) * 60
    return OfPriority(
        priority=priority, jobs=len(reads), waited=spread(read.waited_s for read in reads),
        turnaround=spread(read.turnaround_s for read in reads),
        late=sum(read.turnaround_s > limit_s for read in reads),
    )


def spread(values: Iterable[float]) -> Spread:
    """The nearest rank of each percentile."""
    ranked = sorted(values)
    median, p95, p99 = (ranked[math.ceil(share * len(ranked)) - 1] if ranked else None for share in (0.5, 0.95, 0.99))
    return Spread(median=median, p95=p95, p99=p99)


def busy_by_hour(reads: Sequence[Read]) -> Counter[int]:
    """Hour since the first midnight -> seconds that workers were busy in it."""
    hours: Counter[int] = Counter()
    for read in reads:
        begin = read.leased_s
        while begin < read.ended_s:
            end = min(read.ended_s, (begin // 3600 + 1) * 3600)
            hours[int(begin // 3600)] += end - begin  # type: ignore[assignment]
            begin = end
    return hours


def queue_over_time(reads: Sequence[Read]) -> list[tuple[float, int]]:
    """Seconds, and how many jobs wait for a worker from then on."""
    changes = sorted([(read.ready_s, 1) for read in reads] + [(read.leased_s, -1) for read in reads])
    waiting, steps = 0, []
    for when, change in changes:
        waiting += change
        steps.append((when, waiting))
    return steps


def _longest(reads: Sequence[Read]) -> int:
    return max((waiting for _, waiting in queue_over_time(reads)), default=0)
