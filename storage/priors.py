"""The priors of a job: searched for while it waits, frozen before it runs, never part of its input.

    OPEN ──▶ SETTLED     the job has what could be had; `remarks` say what could not

A job whose search is open is not leased before `until`. Whoever settles it freezes its priors, once: a second attempt
of the job gets the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, insert, select, update

from radnode.storage import catalog
from radnode.storage.catalog import SeriesState, add_event, affected
from radnode.storage.fetch_tables import JobPriorRow, PriorSearchRow
from radnode.storage.ledger import portions
from radnode.storage.tables import InstanceRow, JobRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from radnode.storage.catalog import InstanceHeader

OPEN, SETTLED = "OPEN", "SETTLED"
LATE = "Earlier studies were asked for and did not come in time; nothing was compared."


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Who somebody is: a Patient ID means nothing without its issuer (PS3.3 C.7.1.1). birth_date: "" if not known."""

    patient_id: str
    issuer: str
    birth_date: str

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Patient:
        """As an image says it: keyword -> value."""
        said = (str(attributes.get(keyword) or "").strip()
                for keyword in ("PatientID", "IssuerOfPatientID", "PatientBirthDate"))
        return cls(**dict(zip(("patient_id", "issuer", "birth_date"), said, strict=True)))

    def is_same(self, other: Patient) -> bool:
        """The same ID of the same issuer, and no other birth date. Nobody is the same without an ID."""
        born = {each for each in (self.birth_date, other.birth_date) if each}
        return (bool(self.patient_id) and (self.patient_id, self.issuer) == (other.patient_id, other.issuer)
                and len(born) < 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which studies. study_date: of the study that they are earlier than. body_part: empty for any."""

    study_instance_uid: str
    study_date: date
    patient: Patient
    modality: str
    body_part: str
    studies: int
    days: int
    wait_s: float

    @property
    def since(self) -> date:
        """The earliest Study Date."""
        return self.study_date - timedelta(days=self.days)

    def as_json(self) -> dict[str, Any]:
        """For a row."""
        return {**asdict(self), "study_date": self.study_date.isoformat()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Wanted:
        """The inverse of :meth:`as_json`."""
        return cls(**{**said, "study_date": date.fromisoformat(said["study_date"]),
                      "patient": Patient(**said["patient"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """An open search. fetches: ids of what was found; None: the archive was not asked yet."""

    job_id: int
    archive: str
    wanted: Wanted
    fetches: tuple[int, ...] | None
    reason: str
    due_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorInstance:
    """An instance of a prior: what it is, and under which digest its bytes lie."""

    study_instance_uid: str
    study_date: str
    series_instance_uid: str
    sop_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A series of a study that may be a prior. reason: why it is not closed."""

    series_instance_uid: str
    state: SeriesState
    reason: str
    headers: tuple[InstanceHeader, ...]


def ask(session: Session, job_id: int, archive: str, wanted: Wanted, now: datetime) -> None:
    """The job waits for these."""
    session.execute(insert(PriorSearchRow).values(
        job_id=job_id, archive=archive, wanted=wanted.as_json(), state=OPEN, fetches=[], remarks=[],
        reason=_NOT_ASKED, due_at=now, until=now + timedelta(seconds=wanted.wait_s),
    ))


def do_without(session: Session, job_id: int, remark: str, now: datetime) -> None:
    """Nothing can be asked for; the result says so."""
    session.execute(insert(PriorSearchRow).values(
        job_id=job_id, archive="", wanted={}, state=SETTLED, fetches=[], remarks=[remark], reason="", due_at=now,
        until=now, ended_at=now,
    ))


_NOT_ASKED = "not asked yet"


def open_searches(session: Session) -> list[Search]:
    """Those that are not settled, oldest first."""
    rows = session.scalars(
        select(PriorSearchRow).where(PriorSearchRow.state == OPEN).order_by(PriorSearchRow.job_id)
    )
    return [
        Search(
            job_id=row.job_id, archive=row.archive, wanted=Wanted.from_json(row.wanted), due_at=row.due_at,
            fetches=None if row.reason else tuple(row.fetches), reason=row.reason, until=row.until,
        )
        for row in rows
    ]


def note_found(session: Session, job_id: int, fetches: Sequence[int], remarks: Sequence[str]) -> None:
    """What the archive lists is being fetched."""
    session.execute(update(PriorSearchRow).where(PriorSearchRow.job_id == job_id).values(
        fetches=list(fetches), remarks=list(remarks), reason=""))


def found_remarks(session: Session, job_id: int) -> list[str]:
    """What was to be said when the archive had answered."""
    return [str(each) for each in session.get_one(PriorSearchRow, job_id, populate_existing=True).remarks]


def note_silence(session: Session, job_id: int, reason: str, due_at: datetime) -> None:
    """The archive gave no answer; it is asked again."""
    session.execute(
        update(PriorSearchRow).where(PriorSearchRow.job_id == job_id).values(reason=reason, due_at=due_at)
    )


def candidates(session: Session, study_instance_uid: str, modality: str) -> tuple[str, list[Candidate]]:
    """Study Date and the series of this modality of a study that is here."""
    study_date = session.scalar(select(StudyRow.study_date).where(StudyRow.study_instance_uid == study_instance_uid))
    rows = session.scalars(
        select(SeriesRow).join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(StudyRow.study_instance_uid == study_instance_uid).order_by(SeriesRow.id)
    ).all()
    found = []
    for row in rows:
        headers = tuple(catalog.headers(session, row.id))
        if row.state == SeriesState.OPEN or modality in ("", row.modality):
            found.append(Candidate(series_instance_uid=row.series_instance_uid, state=SeriesState(row.state),
                                   reason=row.reason, headers=headers))
    return study_date or "", found


def settle(
    session: Session, job_id: int, instance_ids: Iterable[int], remarks: Sequence[str], now: datetime
) -> bool:
    """Freeze the priors of a job; False when somebody has done so before, then nothing is written."""
    done = affected(
        session,
        update(PriorSearchRow).where(PriorSearchRow.job_id == job_id, PriorSearchRow.state == OPEN)
        .values(state=SETTLED, remarks=list(remarks), ended_at=now),
    ) == 1
    if not done:
        return False
    number = 0
    for some in portions(instance_ids):
        session.execute(insert(JobPriorRow), [{"job_id": job_id, "instance_id": each} for each in some])
        number += len(some)
    study_id = session.scalar(select(JobRow.study_id).where(JobRow.id == job_id))
    add_event(session, "priors settled", detail={"images": number, "remarks": list(remarks)}, now=now,
              study_id=study_id, job_id=job_id)
    return True


def given(session: Session, job_id: int, now: datetime) -> tuple[list[PriorInstance], list[str]]:
    """The priors of a job that begins, and what its result says of them; from now on they do not change."""
    row = session.get(PriorSearchRow, job_id)
    if row is None:
        return [], []
    if row.state == OPEN:
        settle(session, job_id, (), [*row.remarks, LATE], now)
        session.refresh(row)
    found = session.execute(
        select(StudyRow.study_instance_uid, StudyRow.study_date, SeriesRow.series_instance_uid,
               InstanceRow.sop_instance_uid, InstanceRow.digest)
        .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
        .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .join(JobPriorRow, JobPriorRow.instance_id == InstanceRow.id)
        .where(JobPriorRow.job_id == job_id)
        .order_by(InstanceRow.id)
    )
    instances = [
        PriorInstance(study_instance_uid=study, study_date=day or "", series_instance_uid=series,
                      sop_instance_uid=instance, digest=digest)
        for study, day, series, instance, digest in found
    ]
    return instances, [str(each) for each in row.remarks]


def waited_for(now: datetime) -> ColumnElement[bool]:
    """Of a job: that it still waits for its priors."""
    return exists().where(
        PriorSearchRow.job_id == JobRow.id, PriorSearchRow.state == OPEN, PriorSearchRow.until > now
    )


def needed(live: Collection[str]) -> ColumnElement[bool]:
    """Of an instance: that it is a prior of a job in one of these states."""
    return exists().where(
        JobPriorRow.instance_id == InstanceRow.id, JobRow.id == JobPriorRow.job_id, JobRow.state.in_(live)
    )
