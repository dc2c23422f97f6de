"""Studies that are fetched from archives: wanted once for each archive, leased by who fetches, never forgotten.

    WAITING ──lease──▶ RUNNING ──▶ COMPLETE     every instance that the archive lists is here
       ▲                  │  ├───▶ INCOMPLETE   some are not; tried again when due, as WAITING is
       │                  │  ├───▶ GIVEN_UP     not within the time that it is tried for
       └──(restart)───────┘  └───▶ REFUSED      of another patient than it was asked for
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select, update

from radnode.storage import catalog
from radnode.storage.catalog import SeriesState, add_event
from radnode.storage.dialects import insert_for
from radnode.storage.fetch_tables import FetchRow, FetchState, PullRow
from radnode.storage.ledger import FILE_MISSING, InstanceState
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

STUDY, PRIOR = "study", "prior"
MOST_SHOWN = 200


DUE = (FetchState.WAITING, FetchState.INCOMPLETE)
UNDER_WAY = (*DUE, FetchState.RUNNING)
FAILED = (FetchState.INCOMPLETE, FetchState.GIVEN_UP, FetchState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A study to fetch. patient_id, issuer: whose it must be; None: anybody's. listed: how many instances it has."""

    archive: str
    study_instance_uid: str
    wanted_by: str
    purpose: str = STUDY
    pull: str | None = None
    patient_id: str | None = None
    issuer: str | None = None
    modalities: tuple[str, ...] = ()
    listed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A fetch as it is now."""

    fetch_id: int
    archive: str
    study_instance_uid: str
    purpose: str
    pull: str | None
    patient_id: str | None
    issuer: str | None
    modalities: tuple[str, ...]
    state: FetchState
    reason: str
    attempts: int
    wanted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended. due_at: when it is tried again, for what is."""

    state: FetchState
    reason: str = ""
    arrived: int = 0
    lacking: int = 0
    due_at: datetime | None = None


def want(session: Session, wish: Wish, now: datetime, *, again: bool) -> tuple[int, bool]:
    """(id, whether there is something to do now). A study is wanted once of an archive, by whomever.

    again: also look again at a study that was complete when it was asked for; else only if the archive lists another
    number of instances since. Who wants it as a study makes it one, also where it was a prior.
    """
    row = session.scalar(
        select(FetchRow)
        .where(FetchRow.archive == wish.archive, FetchRow.study_instance_uid == wish.study_instance_uid)
        .with_for_update()
    )
    if row is None:
        return _insert(session, wish, now), True
    if row.purpose == PRIOR and wish.purpose == STUDY:
        promote(session, row.id, now)
    grown = wish.listed is None or wish.listed != row.listed
    wider = bool(row.modalities) and (not wish.modalities or not set(wish.modalities) <= set(row.modalities))
    if wider:
        row.modalities = sorted({*row.modalities, *wish.modalities}) if wish.modalities else []
    if row.state in UNDER_WAY:
        if again:
            row.due_at, row.pull = now, wish.pull
        if wish.patient_id is not None:
            row.patient_id, row.issuer = wish.patient_id, wish.issuer
        return row.id, True
    if not (again or grown or wider):
        return row.id, False
    row.state, row.reason, row.attempts = FetchState.WAITING, "", 0
    row.wanted_at = row.due_at = now
    row.wanted_by, row.pull, row.listed = wish.wanted_by, wish.pull, wish.listed
    row.patient_id, row.issuer = wish.patient_id, wish.issuer
    return row.id, True


def is_wanted(session: Session, archive: str, study_instance_uid: str) -> bool:
    """Whether it was ever asked of this archive as a study, whatever came of it."""
    which = (FetchRow.archive == archive, FetchRow.study_instance_uid == study_instance_uid, FetchRow.purpose == STUDY)
    return session.scalar(select(FetchRow.id).where(*which)) is not None


def _insert(session: Session, wish: Wish, now: datetime) -> int:
    return int(session.execute(
        insert_for(session, FetchRow)
        .values(
            archive=wish.archive, study_instance_uid=wish.study_instance_uid, purpose=wish.purpose,
            wanted_by=wish.wanted_by, pull=wish.pull, patient_id=wish.patient_id, issuer=wish.issuer,
            modalities=list(wish.modalities), listed=wish.listed, expected={}, state=FetchState.WAITING, reason="",
            attempts=0, arrived=0, lacking=0, asked_at=now, wanted_at=now, due_at=now,
        )
        .returning(FetchRow.id)
    ).scalar_one())


def lease(session: Session, now: datetime, archives: Mapping[str, int], pulls: Collection[str]) -> Fetch | None:
    """The next fetch that is due, as RUNNING: priors first, a job waits for them.

    archives: those that may be asked, with how many fetches of each may run. pulls: those whose hours it is.
    """
    running = dict(session.execute(
        select(FetchRow.archive, func.count()).where(FetchRow.state == FetchState.RUNNING).group_by(FetchRow.archive)
    ).all())
    free = [name for name, most in archives.items() if running.get(name, 0) < most]
    row = session.scalar(
        select(FetchRow)
        .where(FetchRow.state.in_(DUE), FetchRow.due_at <= now, FetchRow.archive.in_(free),
               or_(FetchRow.pull.is_(None), FetchRow.pull.in_(pulls)))
        .order_by(FetchRow.purpose != PRIOR, FetchRow.pull.is_not(None), FetchRow.due_at, FetchRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None:
        return None
    row.state, row.attempts, row.started_at = FetchState.RUNNING, row.attempts + 1, now
    return _fetch(row)


def is_any_due(session: Session, now: datetime) -> bool:
    """Whether :func:`lease` could have something; asked first, for it locks nothing."""
    return session.scalar(
        select(FetchRow.id).where(FetchRow.state.in_(DUE), FetchRow.due_at <= now).limit(1)
    ) is not None


def get(session: Session, fetch_id: int) -> Fetch:
    """A fetch by its number."""
    return _fetch(session.get_one(FetchRow, fetch_id, populate_existing=True))


def give_back(session: Session) -> None:
    """What an earlier process of this node was fetching is due at once."""
    session.execute(
        update(FetchRow).where(FetchRow.state == FetchState.RUNNING)
        .values(state=FetchState.WAITING, reason="the node was restarted")
    )


def expect(session: Session, fetch_id: int, expected: Mapping[str, int]) -> None:
    """What the archive lists of the study: series -> instances."""
    session.execute(update(FetchRow).where(FetchRow.id == fetch_id).values(expected=dict(expected)))


def end(session: Session, fetch_id: int, ended: Ended, now: datetime) -> None:
    """Write down how an attempt ended; in the timeline of the study, if it is here."""
    row = session.get_one(FetchRow, fetch_id, populate_existing=True)
    row.state, row.reason, row.ended_at = ended.state, ended.reason, now
    row.arrived, row.lacking = ended.arrived, ended.lacking
    row.due_at = ended.due_at or row.due_at
    study_id = session.scalar(select(StudyRow.id).where(StudyRow.study_instance_uid == row.study_instance_uid))
    if study_id is not None:
        detail = {"archive": row.archive, "wanted_by": row.wanted_by, "state": ended.state, "arrived": ended.arrived,
                  "lacking": ended.lacking, "reason": ended.reason}
        add_event(session, "study fetched", detail=detail, now=now, study_id=study_id)


def held(session: Session, study_instance_uid: str) -> dict[str, set[str]]:
    """Series -> SOP Instance UIDs of a study whose bytes are here."""
    rows = session.execute(
        select(SeriesRow.series_instance_uid, InstanceRow.sop_instance_uid)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .where(StudyRow.study_instance_uid == study_instance_uid, InstanceRow.state != InstanceState.EXPIRED,
               InstanceRow.reason != FILE_MISSING)
    )
    found: dict[str, set[str]] = {}
    for series, instance in rows:
        found.setdefault(series, set()).add(instance)
    return found


def patient_of(session: Session, study_instance_uid: str) -> str | None:
    """The Patient ID in the images of a study, as it was received; None without any."""
    return session.scalar(select(StudyRow.patient_id).where(StudyRow.study_instance_uid == study_instance_uid))


def contradict(session: Session, study_instance_uid: str, reason: str) -> None:
    """Nothing runs on this study until somebody has looked: its series become conflicts."""
    session.execute(
        update(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid, StudyRow.conflict == "")
        .values(conflict=reason)
    )


def _uncounted(session: Session) -> list[tuple[int, int]]:
    """(id, instances) of open series that nobody has counted and that an archive has listed."""
    rows = session.execute(
        select(SeriesRow.id, SeriesRow.series_instance_uid, FetchRow.expected)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .join(FetchRow, FetchRow.study_instance_uid == StudyRow.study_instance_uid)
        .where(SeriesRow.state == SeriesState.OPEN, SeriesRow.queried_count.is_(None))
        .order_by(SeriesRow.id)
    )
    return [(number, int(expected[uid])) for number, uid, expected in rows if expected.get(uid)]


def has_news(session: Session) -> bool:
    """Whether :func:`note_expected` or :func:`promote` has something to write."""
    return bool(_uncounted(session) or sent_by_others(session))


def note_expected(session: Session, now: datetime) -> int:
    """Tell open series what the archive listed of them, where nobody else has counted; how many were told.

    So that what came in part is not taken for whole, whenever it is judged.
    """
    found: dict[int, int] = {}
    for number, count in _uncounted(session):
        found[number] = max(count, found.get(number, 0))
    for number, count in found.items():
        catalog.note_count(session, number, count, now)
    return len(found)


def is_prior(session: Session, study_id: int) -> bool:
    """Whether a study is here only because it was fetched as a prior. What came before it was asked for is no such."""
    return session.scalar(
        select(FetchRow.id)
        .join(StudyRow, StudyRow.study_instance_uid == FetchRow.study_instance_uid)
        .where(StudyRow.id == study_id, FetchRow.purpose == PRIOR, FetchRow.asked_at <= StudyRow.first_received_at)
        .limit(1)
    ) is not None


def sent_by_others(session: Session) -> list[int]:
    """Fetches of priors whose study has come once more since, from whomever: it is wanted as a study."""
    return list(session.scalars(
        select(FetchRow.id)
        .join(StudyRow, StudyRow.study_instance_uid == FetchRow.study_instance_uid)
        .where(FetchRow.purpose == PRIOR, FetchRow.state.not_in(UNDER_WAY),
               StudyRow.last_received_at > FetchRow.ended_at)
    ))


def promote(session: Session, fetch_id: int, now: datetime) -> None:
    """A prior becomes a study of its own: its series are judged and routed."""
    row = session.get_one(FetchRow, fetch_id)
    study = session.scalar(select(StudyRow).where(StudyRow.study_instance_uid == row.study_instance_uid))
    was_prior = study is not None and is_prior(session, study.id)
    session.execute(
        update(FetchRow).where(FetchRow.study_instance_uid == row.study_instance_uid).values(purpose=STUDY)
    )
    if study is None or not was_prior:
        return
    session.execute(
        update(SeriesRow)
        .where(SeriesRow.study_id == study.id, SeriesRow.state == SeriesState.CLOSED)
        .values(state=SeriesState.OPEN, revision=SeriesRow.revision + 1, reason="")
    )
    add_event(session, "prior became a study", detail={"fetch": fetch_id}, now=now, study_id=study.id)


def shown(session: Session) -> list[dict[str, Any]]:
    """The newest fetches, those that are under way or failed first."""
    rows = session.scalars(
        select(FetchRow)
        .order_by(FetchRow.state == FetchState.COMPLETE, FetchRow.wanted_at.desc(), FetchRow.id.desc())
        .limit(MOST_SHOWN)
    )
    return [
        {
            "fetch": row.id, "archive": row.archive, "study_instance_uid": row.study_instance_uid,
            "purpose": row.purpose, "wanted_by": row.wanted_by, "state": row.state, "reason": row.reason,
            "arrived": row.arrived, "lacking": row.lacking, "attempts": row.attempts, "wanted_at": row.wanted_at,
            "ended_at": row.ended_at, "due_at": row.due_at if row.state in DUE else None,
        }
        for row in rows
    ]


def failed(session: Session, since: datetime) -> dict[str, list[str]]:
    """Archive -> why fetches are incomplete or were given up or refused, since then."""
    rows = session.execute(
        select(FetchRow.archive, FetchRow.state, FetchRow.reason)
        .where(FetchRow.state.in_((FetchState.INCOMPLETE, FetchState.GIVEN_UP, FetchState.REFUSED)),
               FetchRow.ended_at >= since)
        .order_by(FetchRow.ended_at.desc())
    )
    found: dict[str, list[str]] = {}
    for archive, state, reason in rows:
        found.setdefault(archive, []).append(f"{FetchState(state).lower().replace('_', ' ')}: {reason}")
    return found


def newest_failed(
    session: Session, *, archive: str | None = None, pull: str | None = None, limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """The studies of an archive, or of a pull, that did not come or came in part, the latest first; no priors."""
    of = FetchRow.archive == archive if archive is not None else FetchRow.pull == pull
    rows = session.scalars(
        select(FetchRow)
        .where(of, FetchRow.purpose == STUDY, FetchRow.state.in_(FAILED))
        .order_by(FetchRow.ended_at.desc(), FetchRow.id.desc()).limit(limit).offset(offset)
    )
    return [
        {"fetch": row.id, "study_instance_uid": row.study_instance_uid, "state": row.state, "reason": row.reason,
         "arrived": row.arrived, "lacking": row.lacking, "attempts": row.attempts, "ended_at": row.ended_at,
         "due_at": row.due_at if row.state in DUE else None}
        for row in rows
    ]


def ask_again(session: Session, fetch_id: int, now: datetime) -> bool:
    """Have a study that did not come be asked for at once, also outside its pull's hours. False: it did not fail."""
    changed = session.execute(
        update(FetchRow)
        .where(FetchRow.id == fetch_id, FetchRow.purpose == STUDY, FetchRow.state.in_(FAILED))
        .values(state=FetchState.WAITING, reason="", attempts=0, pull=None, wanted_at=now, due_at=now)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def pulls(session: Session) -> dict[str, PullRow]:
    """What is known of the pulls, by name."""
    return {row.name: row for row in session.scalars(select(PullRow))}


def note_asked(session: Session, name: str, now: datetime) -> None:
    """A pull asks now. Written down before, so that a crash while it asks is no reason to ask at once again."""
    session.execute(
        insert_for(session, PullRow).values(name=name, asked_at=now, found=0, new=0, reason="", failures=0)
        .on_conflict_do_update(index_elements=["name"], set_={"asked_at": now})
    )


def note_answer(session: Session, name: str, now: datetime, *, found: int, new: int) -> None:
    """What a pull was told: so many studies, of which so many are fetched now."""
    session.execute(update(PullRow).where(PullRow.name == name).values(
        answered_at=now, found=found, new=new, reason="", failures=0))


def note_silence(session: Session, name: str, reason: str) -> int:
    """A pull got no answer; returns how often in a row."""
    row = session.get_one(PullRow, name)
    row.reason, row.failures = reason, row.failures + 1
    return row.failures


def _fetch(row: FetchRow) -> Fetch:
    return Fetch(
        fetch_id=row.id, archive=row.archive, study_instance_uid=row.study_instance_uid, purpose=row.purpose,
        pull=row.pull, patient_id=row.patient_id, issuer=row.issuer, modalities=tuple(row.modalities),
        state=FetchState(row.state), reason=row.reason, attempts=row.attempts, wanted_at=row.wanted_at,
    )


def states(session: Session, fetch_ids: Sequence[int]) -> dict[int, Fetch]:
    """Fetches by their number."""
    return {row.id: _fetch(row) for row in session.scalars(select(FetchRow).where(FetchRow.id.in_(fetch_ids)))}
