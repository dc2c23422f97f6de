"""Whether a series is whole, and on what grounds. Pure: clock and rows come in, a verdict goes out.

In this order:

1. A header is unread, or an association that carries the series is open and not idle: wait.
2. A missing inner slice, or an image without pixels: never complete. Held after the quiet time and the time to hold.
3. The source's own count (C-FIND): reached, complete at once; not reached, wait, and in the end hold.
4. An expected count in the images, when all of them agree on it: reached, complete once released and settled; not
   reached, only the quiet time counts, and the grounds name both numbers.
   A procedure step that ended, or a notice of what is available, that names instances of the series (MPPS, IAN): all
   here, complete once released and settled; not all, wait, and in the end hold. A step that was discontinued proves
   nothing, but is said.
5. A regular stack with instance numbers from the first without a hole: complete once released and settled. When the
   source answers C-FIND, its count gets a chance first. Several images at one position are echoes, phases or copies,
   of which more may follow: then only the quiet time counts.
6. Nothing but quiet time. Unequal steps do not block, but are said.

When the series came over more than two associations, because its sender opens one for each image, pauses between
images are normal, a count in the images may be that of one acquisition, and 4 and 5 do not apply.

A stack cannot show that a slice is missing at its end; the grounds say so whenever no count was there to tell.
"Released" alone is no ground: one study may come over several associations. An association may stay open for hours
between studies, so an idle one counts as released after the quiet time. Silence is measured by a monotonic clock: a
step of the wall clock closes nothing early and delays nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from radnode.node.series_geometry import MOST_GAPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.node.series_geometry import Geometry

Decision = Literal["wait", "complete", "hold"]

FEWEST_SLICES = 8
"""Fewer slices are regular by chance."""
MOST_ASSOCIATIONS = 2
TIMES_OF_SLICES = ("NumberOfTemporalPositions", "NumberOfTimeSlices", "NumberOfRRIntervals", "NumberOfTimeSlots")
TIME_FOR_COUNT = timedelta(seconds=5)
"""How long the source may take to answer C-FIND before the geometry decides without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """quiet: silence that ends a series by itself. settle: silence after which positive evidence is believed.
    hold_after: how much longer than `quiet` an evidently incomplete series is waited for."""

    quiet: timedelta
    settle: timedelta
    hold_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What peers say was performed. by: who says it. named: instances of the series; missing: those not here.

    discontinued: that, and why; empty if it was not.
    """

    by: str
    named: int
    missing: int
    discontinued: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEvidence:
    """What is known of an open series. None: not known."""

    received: int
    unindexed: int
    unreadable: int
    associations_open: int
    associations_seen: int
    expected_by_tags: int | None
    queried_count: int | None
    find_available: bool
    geometry: Geometry
    performed: Performed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One piece of evidence, in words, and whether it speaks for completeness (None: it cannot tell)."""

    kind: str
    text: str
    holds: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do with the series. look_again_in: when a waiting one may be judged otherwise without news."""

    decision: Decision
    grounds: tuple[Ground, ...] = ()
    reason: str = ""
    look_again_in: timedelta | None = None


def expected_count(headers: Sequence[Mapping[str, Any]]) -> int | None:
    """The number of images that the images themselves announce, when all of them announce the same.

    Number of Series Related Instances (0020,1209), Images in Acquisition (0020,1002) and Number of Slices (0054,0081)
    are optional and often stale: evidence for completeness when reached, never a proof that something is missing. One
    acquisition is not the series: its number counts for each one seen, and for each temporal position. In PET, slices
    count for each time slice, or R-R interval and time slot (PS3.3 C.8.9.1).
    """
    if (number := _announced(headers, "NumberOfSeriesRelatedInstances")) is not None:
        return number
    times = _announced(headers, "NumberOfTemporalPositions")
    if (number := _announced(headers, "ImagesInAcquisition")) is not None:
        return number * (times or 1) * len({str(header.get("AcquisitionNumber")) for header in headers})
    slices = _announced(headers, "NumberOfSlices")
    pet = all(header.get("Modality") == "PT" for header in headers)
    if slices is None or not (times or pet):
        return None
    return slices * math.prod(_announced(headers, keyword) or 1 for keyword in TIMES_OF_SLICES)


def _announced(headers: Sequence[Mapping[str, Any]], keyword: str) -> int | None:
    """The positive number that every header gives; a sender may have written text or a list."""
    values = [header.get(keyword) for header in headers]
    number = values[0] if values else None
    if not isinstance(number, int) or number <= 0 or values.count(number) < len(values):
        return None
    return number


def judge(series: SeriesEvidence, policy: Policy, quiet_for: timedelta) -> Verdict:
    """Decide. quiet_for: how long nothing new has arrived, by a monotonic clock."""
    quiet = quiet_for >= policy.quiet
    if series.unindexed or (series.associations_open and not quiet and not _counted(series)):
        return Verdict(decision="wait", look_again_in=policy.quiet - quiet_for if not quiet else None)
    if lack := _lack(series):
        return _lacking(series, policy, quiet_for, lack)
    if _counted(series):
        grounds = (_count_ground(series), *_geometry_grounds(series), *_performed_grounds(series))
        return Verdict(decision="complete", grounds=grounds)
    if quiet_for >= policy.settle:
        if _performed_proves(series):
            grounds = (*_performed_grounds(series), _released(series), *_geometry_grounds(series))
            return Verdict(decision="complete", grounds=grounds)
        if _announced_reached(series) and series.associations_seen <= MOST_ASSOCIATIONS:
            grounds = (*_announced_grounds(series), _released(series), *_geometry_grounds(series),
                       *_performed_grounds(series))
            return Verdict(decision="complete", grounds=grounds)
        if _is_whole_stack(series) and (not series.find_available or quiet_for >= policy.settle + TIME_FOR_COUNT):
            grounds = (*_geometry_grounds(series), _released(series), _ends(), *_performed_grounds(series))
            return Verdict(decision="complete", grounds=grounds)
    if quiet:
        text = f"nothing new for {quiet_for.total_seconds():.0f} s"
        ground = Ground(kind="quiet time", text=text, holds=True)
        grounds = (ground, *_announced_grounds(series), *_geometry_grounds(series), *_number_grounds(series), _ends(),
                   *_performed_grounds(series))
        return Verdict(decision="complete", grounds=grounds)
    return Verdict(decision="wait", look_again_in=_next_look(policy, quiet_for))


def as_it_is(verdict: Verdict, by: str) -> Verdict:
    """What is held is closed all the same, because somebody has said so; the grounds keep what is missing."""
    if verdict.decision != "hold":
        return verdict
    ground = Ground(kind="by hand", text=f"closed as it is, by order of {by}", holds=None)
    return Verdict(decision="complete", grounds=(*verdict.grounds, ground))


def _counted(series: SeriesEvidence) -> bool:
    return series.queried_count is not None and series.received >= series.queried_count


def _performed_proves(series: SeriesEvidence) -> bool:
    said = series.performed
    return said is not None and said.named > 0 and not said.missing and not said.discontinued


def _performed_text(said: Performed) -> str:
    return f"{said.named - said.missing} of the {said.named} instances that {said.by} names are here"


def _performed_grounds(series: SeriesEvidence) -> tuple[Ground, ...]:
    said = series.performed
    if said is None:
        return ()
    if said.discontinued:
        return (Ground(kind="performed", text=said.discontinued, holds=None),)
    return (Ground(kind="performed", text=_performed_text(said), holds=True),) if said.named else ()


def _announced_reached(series: SeriesEvidence) -> bool:
    return series.expected_by_tags is not None and series.received >= series.expected_by_tags


def _lack(series: SeriesEvidence) -> Ground | None:
    """What is evidently missing."""
    if series.unreadable:
        text = f"{series.unreadable} instances have a header that cannot be read; have the source send them again"
        return Ground(kind="unreadable", text=text, holds=False)
    if series.geometry.without_pixels:
        text = f"{series.geometry.without_pixels} images have no pixels; have the source send them again"
        return Ground(kind="pixels", text=text, holds=False)
    if gaps := series.geometry.gaps:
        places = ", ".join(f"{position:g}" for position in gaps[:10]) + (", …" if len(gaps) > 10 else "")
        number = f"{len(gaps)} or more" if len(gaps) >= MOST_GAPS else str(len(gaps))
        text = f"{number} slices are missing inside the stack, at {places} mm along its normal"
        return Ground(kind="geometry", text=text, holds=False)
    if series.queried_count is not None and series.received < series.queried_count:
        text = f"{series.received} received, the source holds {series.queried_count}"
        return Ground(kind="count at the source", text=text, holds=False)
    if series.performed and series.performed.missing:
        return Ground(kind="performed", text=_performed_text(series.performed), holds=False)
    return None


def _lacking(series: SeriesEvidence, policy: Policy, quiet_for: timedelta, lack: Ground) -> Verdict:
    """Wait for what is missing, then hold. When the source itself has no more, waiting longer brings nothing."""
    limit = policy.quiet if _counted(series) else policy.quiet + policy.hold_after
    if quiet_for < limit:
        return Verdict(decision="wait", look_again_in=limit - quiet_for)
    grounds = (lack, _count_ground(series)) if _counted(series) else (lack,)
    return Verdict(decision="hold", grounds=grounds, reason=lack.text)


def _is_whole_stack(series: SeriesEvidence) -> bool:
    geometry = series.geometry
    return (
        geometry.regular is True
        and geometry.slices >= FEWEST_SLICES
        and not geometry.duplicates
        and geometry.numbers_contiguous is True
        and series.associations_seen <= MOST_ASSOCIATIONS
        and (series.expected_by_tags is None or _announced_reached(series))
    )


def _next_look(policy: Policy, quiet_for: timedelta) -> timedelta:
    moments = (policy.settle, policy.settle + TIME_FOR_COUNT, policy.quiet)
    return min((moment - quiet_for for moment in moments if moment > quiet_for), default=policy.quiet)


def _count_ground(series: SeriesEvidence) -> Ground:
    text = f"{series.received} received, the source holds {series.queried_count}"
    return Ground(kind="count at the source", text=text, holds=True)


def _released(series: SeriesEvidence) -> Ground:
    if series.associations_open:
        text = f"{series.associations_open} of {series.associations_seen} associations open, but idle"
        return Ground(kind="associations", text=text, holds=None)
    number = series.associations_seen
    return Ground(kind="associations", text=f"{number} association{'s' * (number != 1)} released", holds=True)


def _announced_grounds(series: SeriesEvidence) -> tuple[Ground, ...]:
    if series.expected_by_tags is None:
        return ()
    text = f"{series.received} received, the images announce {series.expected_by_tags}"
    return (Ground(kind="count in the images", text=text, holds=_announced_reached(series)),)


def _ends() -> Ground:
    return Ground(kind="ends", text="no count tells whether slices are missing at the ends", holds=None)


def _geometry_grounds(series: SeriesEvidence) -> tuple[Ground, ...]:
    geometry = series.geometry
    if geometry.regular is None:
        return ()
    more = f", {geometry.duplicates} more at the same positions" if geometry.duplicates else ""
    if geometry.regular:
        text = f"{geometry.slices} slices at equal steps without a gap{more}"
        return (Ground(kind="geometry", text=text, holds=True),)
    return (Ground(kind="geometry", text=f"{geometry.slices} slices at unequal steps{more}", holds=None),)


def _number_grounds(series: SeriesEvidence) -> tuple[Ground, ...]:
    if series.geometry.numbers_contiguous is not False:
        return ()
    text = "the instance numbers do not run from the first without a hole"
    return (Ground(kind="instance numbers", text=text, holds=None),)
