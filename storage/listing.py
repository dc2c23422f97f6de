"""Entering what DICOMweb lists, and taking it out again: see :mod:`radnode.storage.listing_tables`.

An image is listed in the transaction that stores its header, hence after its bytes are durable. It stays listed until
it expires; whether it may be served is asked of the ledger at each request (:func:`visible`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, update
from sqlalchemy.orm import aliased

from radnode.storage.dialects import insert_for
from radnode.storage.ledger import InstanceState, portions
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow
from radnode.storage.tables import (
    IS_OBJECT,
    HeaderRow,
    InstanceRow,
    JobRow,
    ResultObjectRow,
    SeriesRow,
    StudyRow,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

SERVED = tuple(
    set(InstanceState) - {InstanceState.QUARANTINED, InstanceState.EXPIRED, InstanceState.CONFLICT}
)
"""Of an instance in conflict nobody can say which image, or whose, its UID means."""

_NOT_READ = ("NOT_PROCESSED", "FAILED")

STUDY_KEYWORDS = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "PatientName",
    "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "OtherPatientIDs", "EthnicGroup", "PatientComments", "StudyID", "InstitutionName", "TimezoneOffsetFromUTC",
    "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription", "AdditionalPatientHistory",
)
SERIES_KEYWORDS = (
    "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime", "BodyPartExamined", "Laterality",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "PerformedProcedureStepDescription",
    "ProtocolName", "OperatorsName", "PerformingPhysicianName", "PatientPosition", "FrameOfReferenceUID",
    "Manufacturer", "ManufacturerModelName", "StationName", "PresentationIntentType",
)
INSTANCE_KEYWORDS = (
    "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames", "ImageType", "ContentDate", "ContentTime",
    "AcquisitionDate", "AcquisitionTime", "AcquisitionNumber", "SliceLocation", "ImagePositionPatient",
    "ImageOrientationPatient", "ContentLabel", "ContentDescription", "CompletionFlag", "VerificationFlag",
    "ConceptNameCodeSequence", "PresentationCreationDate", "SegmentationType", "DocumentTitle",
    "PhotometricInterpretation", "PixelDataPresent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One instance to list: who it is as the ledger says it, and keyword -> value as its header does."""

    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    attributes: dict[str, Any]
    instance_id: int | None = None
    result_object_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedResult:
    """A result object that is recorded and not listed yet."""

    result_object_id: int
    digest: str


def visible() -> ColumnElement[bool]:
    """Whether a listed instance may be served now: its image is in good order, or it is a result that still holds."""
    return or_(
        exists().where(InstanceRow.id == ListedInstanceRow.instance_id, InstanceRow.state.in_(SERVED)),
        visible_result(),
    )


def visible_result() -> ColumnElement[bool]:
    """Whether a listed instance is a result that still holds.

    A note that a study was not processed, or that it failed, holds until the job, or one of a later revision, says
    otherwise.
    """
    later = aliased(JobRow)
    answered = exists().where(
        later.series_id == JobRow.series_id, later.study_id == JobRow.study_id, later.pipeline == JobRow.pipeline,
        later.revision > JobRow.revision, ~later.shadow, later.state.in_(("PRODUCED", *_NOT_READ)),
    )
    is_note = ResultObjectRow.form == "NOT-PROCESSED"
    return exists().where(
        ResultObjectRow.id == ListedInstanceRow.result_object_id, JobRow.id == ResultObjectRow.job_id,
        or_(and_(~is_note, JobRow.state == "PRODUCED"), and_(is_note, JobRow.state.in_(_NOT_READ), ~answered)),
    )


def list_received(session: Session, headers: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """List instances whose header was just read. headers: (instance id, keyword -> value)."""
    attributes = dict(headers)
    for some in portions(attributes):
        rows = session.execute(
            select(
                InstanceRow.id.label("instance_id"), StudyRow.id.label("study_id"), StudyRow.study_instance_uid,
                SeriesRow.series_instance_uid, InstanceRow.sop_instance_uid, InstanceRow.sop_class_uid,
                InstanceRow.transfer_syntax_uid, InstanceRow.digest, InstanceRow.size_bytes,
            )
            .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
            .join(StudyRow, StudyRow.id == SeriesRow.study_id)
            .where(InstanceRow.id.in_(some), InstanceRow.state.in_(SERVED))
        )
        _enter(session, [Entry(attributes=attributes[row.instance_id], **row._mapping) for row in rows])


def unlisted_received(session: Session, after: int, limit: int) -> list[tuple[int, dict[str, Any] | None]]:
    """Instances by number from `after` on with their headers, None where listed: a node that is older than the list."""
    rows = session.execute(
        select(HeaderRow.instance_id, HeaderRow.attributes, ListedInstanceRow.id)
        .outerjoin(ListedInstanceRow, ListedInstanceRow.instance_id == HeaderRow.instance_id)
        .where(HeaderRow.instance_id > after).order_by(HeaderRow.instance_id).limit(limit)
    )
    return [(number, None if listed else attributes) for number, attributes, listed in rows]


def unlisted_results(session: Session, after: int, limit: int) -> list[UnlistedResult]:
    """Result objects with a higher number than `after`, of listed studies, that are not listed. Messages are none of
    DICOM's: they have no SOP class. What ran in shadow is never listed: a viewer must not find it by accident.
    """
    rows = session.execute(
        select(ResultObjectRow.id, ResultObjectRow.digest)
        .join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .join(ListedStudyRow, ListedStudyRow.study_id == JobRow.study_id)
        .where(
            ResultObjectRow.id > after, IS_OBJECT, ~JobRow.shadow,
            ~exists().where(ListedInstanceRow.result_object_id == ResultObjectRow.id),
        )
        .order_by(ResultObjectRow.id).limit(limit)
    )
    return [UnlistedResult(result_object_id=number, digest=digest) for number, digest in rows]


def list_result(session: Session, result_object_id: int, attributes: dict[str, Any]) -> str:
    """List a result object in the study that it was made of, and name that. It takes the place of a copy that came
    back.
    """
    row = session.execute(
        select(
            ResultObjectRow.id.label("result_object_id"), StudyRow.id.label("study_id"), StudyRow.study_instance_uid,
            ResultObjectRow.series_instance_uid, ResultObjectRow.sop_instance_uid, ResultObjectRow.sop_class_uid,
            ResultObjectRow.transfer_syntax_uid, ResultObjectRow.digest, ResultObjectRow.size_bytes,
        )
        .join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .where(ResultObjectRow.id == result_object_id)
    ).one()
    _enter(session, [Entry(attributes=attributes, **row._mapping)])
    return str(row.study_instance_uid)


def forget(session: Session, instance_ids: Iterable[int]) -> None:
    """These images expire; a study without any leaves the list with its results, which show nothing without them."""
    for some in portions(instance_ids):
        studies = set(session.scalars(
            select(ListedSeriesRow.study_id).join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id)
            .where(ListedInstanceRow.instance_id.in_(some))
        ))
        session.execute(delete(ListedInstanceRow).where(ListedInstanceRow.instance_id.in_(some)))
        _drop_empty(session, studies)


def _drop_empty(session: Session, study_ids: set[int]) -> None:
    """Series without an instance go, and studies without a received one."""
    for some in portions(study_ids):
        session.execute(delete(ListedSeriesRow).where(
            ListedSeriesRow.study_id.in_(some), ~exists().where(ListedInstanceRow.series_id == ListedSeriesRow.id)
        ).execution_options(synchronize_session=False))
        session.execute(delete(ListedStudyRow).where(
            ListedStudyRow.study_id.in_(some),
            ~exists().where(
                ListedSeriesRow.study_id == ListedStudyRow.study_id, ListedInstanceRow.series_id == ListedSeriesRow.id,
                ListedInstanceRow.instance_id.is_not(None),
            ),
        ).execution_options(synchronize_session=False))


def _enter(session: Session, entries: Sequence[Entry]) -> None:
    """A result takes the row of a received copy; a received copy leaves the row of a result alone."""
    if not entries:
        return
    of_study = {each.study_id: each for each in reversed(entries)}
    for entry in of_study.values():
        _enter_study(session, entry)
    series = {key: _enter_series(session, entry) for key, entry in {
        (each.study_id, each.series_instance_uid): each for each in reversed(entries)
    }.items()}
    rows = [_instance(each, series[each.study_id, each.series_instance_uid]) for each in entries]
    statement, unique = insert_for(session, ListedInstanceRow), ["series_id", "sop_instance_uid"]
    received = [row for row in rows if row["result_object_id"] is None]
    if received:
        session.execute(statement.on_conflict_do_nothing(index_elements=unique), received)
    for row in rows:
        if row["result_object_id"] is not None:
            session.execute(statement.values(**row).on_conflict_do_update(index_elements=unique, set_=row))


def _enter_study(session: Session, entry: Entry) -> None:
    """What an earlier image said stays; what it did not say is filled in."""
    known = session.scalar(select(ListedStudyRow.attributes).where(ListedStudyRow.study_id == entry.study_id))
    attributes = {**_chosen(entry.attributes, STUDY_KEYWORDS), **(known or {})}
    if known == attributes:
        return
    values = {
        "patient_id": _text(attributes, "PatientID"), "patient_name": name_key(attributes.get("PatientName")),
        "patient_birth_date": _text(attributes, "PatientBirthDate"), "patient_sex": _text(attributes, "PatientSex"),
        "study_date": _text(attributes, "StudyDate"), "study_time": _text(attributes, "StudyTime"),
        "accession_number": _text(attributes, "AccessionNumber"), "study_name": _text(attributes, "StudyID"),
        "description": _text(attributes, "StudyDescription"),
        "referring": name_key(attributes.get("ReferringPhysicianName")), "attributes": attributes,
    }
    if known is None:
        session.execute(
            insert_for(session, ListedStudyRow)
            .values(study_id=entry.study_id, study_instance_uid=entry.study_instance_uid, **values)
            .on_conflict_do_nothing(index_elements=["study_id"])
        )
    else:
        session.execute(update(ListedStudyRow).where(ListedStudyRow.study_id == entry.study_id).values(**values))


def _enter_series(session: Session, entry: Entry) -> int:
    where = (ListedSeriesRow.study_id == entry.study_id,
             ListedSeriesRow.series_instance_uid == entry.series_instance_uid)
    known = session.execute(select(ListedSeriesRow.id, ListedSeriesRow.attributes).where(*where)).one_or_none()
    attributes = {**_chosen(entry.attributes, SERIES_KEYWORDS), **(known.attributes if known else {})}
    if known and known.attributes == attributes:
        return int(known.id)
    values = {
        "modality": _text(attributes, "Modality"), "number": _number(attributes, "SeriesNumber"),
        "description": _text(attributes, "SeriesDescription"), "body_part": _text(attributes, "BodyPartExamined"),
        "performed_date": _text(attributes, "PerformedProcedureStepStartDate"),
        "performed_time": _text(attributes, "PerformedProcedureStepStartTime"), "attributes": attributes,
    }
    if known:
        session.execute(update(ListedSeriesRow).where(ListedSeriesRow.id == known.id).values(**values))
        return int(known.id)
    return int(session.execute(
        insert_for(session, ListedSeriesRow)
        .values(study_id=entry.study_id, series_instance_uid=entry.series_instance_uid, **values)
        .on_conflict_do_update(
            index_elements=["study_id", "series_instance_uid"], set_={"study_id": entry.study_id}
        )
        .returning(ListedSeriesRow.id)
    ).scalar_one())


def _instance(entry: Entry, series_id: int) -> dict[str, Any]:
    return {
        "series_id": series_id, "sop_instance_uid": entry.sop_instance_uid, "sop_class_uid": entry.sop_class_uid,
        "number": _number(entry.attributes, "InstanceNumber"), "instance_id": entry.instance_id,
        "result_object_id": entry.result_object_id, "transfer_syntax_uid": entry.transfer_syntax_uid,
        "digest": entry.digest, "size_bytes": entry.size_bytes,
        "attributes": _chosen(entry.attributes, INSTANCE_KEYWORDS),
    }


def name_key(name: object) -> str:
    """A person name for comparison: lower case, each group between `=`, without empty components at its end."""
    groups = [group.strip().rstrip("^ ").casefold() for group in plain(str(name or "")).split("=")]
    return f"={'='.join(groups)}=" if any(groups) else ""


def _chosen(attributes: dict[str, Any], keywords: Sequence[str]) -> dict[str, Any]:
    return {keyword: attributes[keyword] for keyword in keywords if attributes.get(keyword) is not None}


def _text(attributes: dict[str, Any], keyword: str) -> str:
    value = attributes.get(keyword)
    if isinstance(value, list):
        value = "\\".join(str(each) for each in value)
    return plain(str(value)) if value is not None else ""


def _number(attributes: dict[str, Any], keyword: str) -> int | None:
    value = attributes.get(keyword)
    return value if isinstance(value, int) and abs(value) < 1 << 62 else None
