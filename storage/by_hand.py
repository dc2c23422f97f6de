"""What people order of studies: a hold, another run, a series as it is or not at all. Each an UPDATE on what was seen.

Everything is told in the timeline of the study, with who ordered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from radnode.storage import fetches, ledger
from radnode.storage.catalog import SeriesState, add_event, affected
from radnode.storage.dialects import insert_for
from radnode.storage.jobs import JobState
from radnode.storage.ledger import InstanceState
from radnode.storage.study_tables import AsItIsRow, JobRemarkRow, RepeatRow, StudyHoldRow
from radnode.storage.tables import InstanceRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

_DECIDED = (SeriesState.CLOSED, SeriesState.DISCARDED)
_LIVE = (JobState.WAITING, JobState.RUNNING)


class NotPossible(Exception):
    """This cannot be done with the study as it is; the message says why, and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsItIs:
    """A series of which somebody has said that it is to be closed as it is in this revision."""

    revision: int
    by: str


def hold(session: Session, study_id: int, *, by: str, reason: str, now: datetime) -> None:
    """No job of the study starts from now on; what runs goes on. Raises :class:`NotPossible`."""
    held = session.scalar(
        insert_for(session, StudyHoldRow).values(study_id=study_id, by=by, reason=reason, at=now)
        .on_conflict_do_nothing(index_elements=["study_id"]).returning(StudyHoldRow.study_id)
    )
    if held is None:
        raise NotPossible("the study is on hold already")
    _tell(session, "study held", study_id, {"by": by, "reason": reason}, now)


def let_go(session: Session, study_id: int, *, by: str, reason: str, now: datetime) -> None:
    """Its jobs wait for their turn again. Raises :class:`NotPossible`."""
    if not affected(session, delete(StudyHoldRow).where(StudyHoldRow.study_id == study_id)):
        raise NotPossible("nobody holds the study")
    _tell(session, "study let go", study_id, {"by": by, "reason": reason}, now)


def run_again(session: Session, study_id: int, *, by: str, reason: str, now: datetime) -> int:
    """Have every decided series of a study judged and routed again, as if a late image had come; returns how many.

    Its jobs have new keys, so they run and their answers supersede the earlier ones. Raises :class:`NotPossible`.
    """
    if fetches.is_prior(session, study_id):
        raise NotPossible("it was fetched as a prior, which is not read by itself; fetch it as a study")
    series = _decided(session, study_id)
    if not series:
        raise NotPossible("none of its series is decided; it will be judged by itself, or wants a decision about the "
                          "incomplete one")
    _check_images(session, series)
    _check_nothing_lives(session, JobRow.study_id == study_id)
    session.execute(
        update(SeriesRow).where(SeriesRow.id.in_(series), SeriesRow.state.in_(_DECIDED))
        .values(state=SeriesState.OPEN, revision=SeriesRow.revision + 1, reason="", queried_count=None)
    )
    session.execute(update(AsItIsRow).where(AsItIsRow.series_id.in_(series)).values(revision=AsItIsRow.revision + 1))
    _repeat(session, study_id)
    _tell(session, "run again ordered", study_id, {"by": by, "reason": reason, "series": len(series)}, now)
    return len(series)


def next_revision(session: Session, study_id: int, series_id: int) -> tuple[int, int]:
    """(revision, repeat) of a job that is ordered over a closed series. Raises :class:`NotPossible`."""
    revision = session.scalar(
        update(SeriesRow)
        .where(SeriesRow.id == series_id, SeriesRow.study_id == study_id, SeriesRow.state == SeriesState.CLOSED)
        .values(revision=SeriesRow.revision + 1).returning(SeriesRow.revision)
        .execution_options(synchronize_session=False)
    )
    if revision is None:
        raise NotPossible("a pipeline runs on a complete series of this study; this one is not, or not yet")
    _check_images(session, [series_id])
    _check_nothing_lives(session, JobRow.series_id == series_id)
    return revision, _repeat(session, study_id)


def close_as_it_is(
    session: Session, study_id: int, series_id: int, *, by: str, reason: str, now: datetime
) -> None:
    """Have a held series closed although images are missing; its results say so. Raises :class:`NotPossible`."""
    seen = _held(session, study_id, series_id, (SeriesState.HELD,))
    values = {"revision": seen.revision + 1, "lacking": seen.reason, "by": by, "reason": reason, "at": now}
    _decide(session, seen, state=SeriesState.OPEN, revision=seen.revision + 1, reason="")
    session.execute(
        insert_for(session, AsItIsRow).values(series_id=series_id, **values)
        .on_conflict_do_update(index_elements=["series_id"], set_=values)
    )
    detail = {"by": by, "reason": reason, "lacking": seen.reason}
    _tell(session, "series to be closed as it is", study_id, detail, now, series_id)


def discard_series(session: Session, study_id: int, series_id: int, *, by: str, reason: str, now: datetime) -> None:
    """A series that is held or contradicts itself is not to be read; its images stay until they expire.

    A late image opens it again. Raises :class:`NotPossible`.
    """
    seen = _held(session, study_id, series_id, (SeriesState.HELD, SeriesState.CONFLICT))
    said = f"discarded by {by}: {reason}"
    _decide(session, seen, state=SeriesState.DISCARDED, reason=said, closed_at=now)
    images = session.scalars(select(InstanceRow.id).where(InstanceRow.series_id == series_id)).all()
    ledger.move(session, images, InstanceState.NOT_ROUTED, reason=said, now=now)
    _tell(session, "series discarded", study_id, {"by": by, "reason": reason}, now, series_id)


def repeats(session: Session, study_id: int) -> int:
    """How often somebody has ordered that a study be run again."""
    return session.scalar(select(RepeatRow.number).where(RepeatRow.study_id == study_id)) or 0


def as_it_is(session: Session) -> dict[int, AsItIs]:
    """Series id -> what was ordered of it, of the open series."""
    rows = session.execute(
        select(AsItIsRow.series_id, AsItIsRow.revision, AsItIsRow.by)
        .join(SeriesRow, SeriesRow.id == AsItIsRow.series_id).where(SeriesRow.state == SeriesState.OPEN)
    )
    return {row.series_id: AsItIs(revision=row.revision, by=row.by) for row in rows}


def remark(session: Session, job_id: int, series: Sequence[tuple[int, int]]) -> None:
    """Freeze with a job what its result must say of its input. series: (id, revision) of each that it reads."""
    revisions = dict(series)
    rows = session.scalars(select(AsItIsRow).where(AsItIsRow.series_id.in_(revisions)).order_by(AsItIsRow.series_id))
    said = [
        {"job_id": job_id, "text": f"Incomplete input: {row.lacking}. It was read as it is, by order of the operator."}
        for row in rows if row.revision == revisions[row.series_id]
    ]
    if said:
        session.execute(insert(JobRemarkRow), said)


def remarks(session: Session, job_id: int) -> tuple[str, ...]:
    """What the result of a job must say of its input."""
    return tuple(session.scalars(
        select(JobRemarkRow.text).where(JobRemarkRow.job_id == job_id).order_by(JobRemarkRow.id)
    ))


def _decided(session: Session, study_id: int) -> list[int]:
    """Locked, as a receiver of a late image would."""
    return list(session.scalars(
        select(SeriesRow.id).where(SeriesRow.study_id == study_id, SeriesRow.state.in_(_DECIDED))
        .order_by(SeriesRow.id).with_for_update()
    ))


def _held(session: Session, study_id: int, series_id: int, states: Sequence[SeriesState]) -> SeriesRow:
    seen = session.scalar(
        select(SeriesRow).where(SeriesRow.id == series_id, SeriesRow.study_id == study_id, SeriesRow.state.in_(states))
    )
    if seen is None:
        raise NotPossible("this is decided of a series that is held; it is not, or not any more")
    return seen


def _decide(session: Session, seen: SeriesRow, **values: Any) -> None:
    session.expunge(seen)
    changed = affected(
        session,
        update(SeriesRow)
        .where(SeriesRow.id == seen.id, SeriesRow.state == seen.state, SeriesRow.revision == seen.revision)
        .values(**values),
    )
    if not changed:
        raise NotPossible("the series has just changed; look again")


def _check_images(session: Session, series: Sequence[int]) -> None:
    gone = session.scalar(
        select(func.count()).select_from(InstanceRow)
        .where(InstanceRow.series_id.in_(series), InstanceRow.state == InstanceState.EXPIRED)
    )
    if gone:
        raise NotPossible(f"{gone} of its images were deleted when their time was over; have the archive send it again")


def _check_nothing_lives(session: Session, which: Any) -> None:
    lives = session.scalar(
        select(JobRow.id).where(which, JobRow.state.in_(_LIVE)).order_by(JobRow.id).limit(1)
    )
    if lives is not None:
        raise NotPossible(f"job {lives} still waits or runs; discard it first, or wait for its answer")


def _repeat(session: Session, study_id: int) -> int:
    number: int = session.execute(
        insert_for(session, RepeatRow).values(study_id=study_id, number=1)
        .on_conflict_do_update(index_elements=["study_id"], set_={"number": RepeatRow.number + 1})
        .returning(RepeatRow.number)
    ).scalar_one()
    return number


def _tell(
    session: Session, kind: str, study_id: int, detail: dict[str, Any], now: datetime, series_id: int | None = None
) -> None:
    add_event(session, kind, detail=detail, now=now, study_id=study_id, series_id=series_id)


