"""Entering what DICOMweb lists, and taking it out again: see :mod:`radnode.storage.listing_tables`.

An image is listed in the transaction that stores its header, hence after its bytes are durable. It stays listed until
it expires; whether it may be served is asked of the ledger at each request (:func:`visible`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
    from collections.abc import Collection, Iterable, Mapping, Sequence

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


class Received(NamedTuple):
    """An image whose header was just read."""

    instance_id: int
    series: SeriesRow
    study: StudyRow
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    state: str


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


def received(session: Session, instance_ids: Collection[int]) -> list[Received]:
    """Who these images are, as the ledger says it. Their studies and series are held as receptions hold them: studies
    by UID, each before its series, so that nobody waits for who waits for him.
    """
    found: list[Received] = []
    uid: ColumnElement[str] = StudyRow.study_instance_uid.expression
    if session.get_bind().dialect.name == "postgresql":
        uid = uid.collate("C")
    for some in portions(instance_ids):
        rows = session.execute(
            select(
                InstanceRow.id, SeriesRow, StudyRow, InstanceRow.sop_instance_uid, InstanceRow.sop_class_uid,
                InstanceRow.transfer_syntax_uid, InstanceRow.digest, InstanceRow.size_bytes, InstanceRow.state,
            )
            .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
            .join(StudyRow, StudyRow.id == SeriesRow.study_id)
            .where(InstanceRow.id.in_(some))
            .order_by(uid, InstanceRow.id)
            .with_for_update(of=(StudyRow, SeriesRow), key_share=True)
        )
        found += [Received(*row) for row in rows]
    return found


def enter(session: Session, images: Sequence[Received], attributes: Mapping[int, dict[str, Any]]) -> None:
    """List those that are served. attributes: of each image, keyword -> value."""
    _enter(session, [
        Entry(
            study_id=image.study.id, study_instance_uid=image.study.study_instance_uid,
            series_instance_uid=image.series.series_instance_uid, sop_instance_uid=image.sop_instance_uid,
            sop_class_uid=image.sop_class_uid, transfer_syntax_uid=image.transfer_syntax_uid, digest=image.digest,
            size_bytes=image.size_bytes, attributes=attributes[image.instance_id], instance_id=image.instance_id,
        )
        for image in images if image.state in SERVED
    ])


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
    studies, listed = _listed(session, entries)
    for entry in {each.study_id: each for each in reversed(entries)}.values():
        _enter_study(session, entry, studies.get(entry.study_id))
    first = {(each.study_id, each.series_instance_uid): each for each in reversed(entries)}
    numbers = {key: _enter_series(session, entry, listed.get(key)) for key, entry in first.items()}
    rows = [_instance(each, numbers[each.study_id, each.series_instance_uid]) for each in entries]
    statement, unique = insert_for(session, ListedInstanceRow), ["series_id", "sop_instance_uid"]
    received = [row for row in rows if row["result_object_id"] is None]
    if received:
        session.execute(statement.on_conflict_do_nothing(index_elements=unique), received)
    for row in rows:
        if row["result_object_id"] is not None:
            session.execute(statement.values(**row).on_conflict_do_update(index_elements=unique, set_=row))


def _listed(
    session: Session, entries: Sequence[Entry]
) -> tuple[dict[int, dict[str, Any]], dict[tuple[int, str], tuple[int, dict[str, Any]]]]:
    """What is listed of their studies already, and of their series: its number and attributes."""
    rows = session.execute(
        select(ListedStudyRow.study_id, ListedStudyRow.attributes, ListedSeriesRow.id,
               ListedSeriesRow.series_instance_uid, ListedSeriesRow.attributes)
        .outerjoin(ListedSeriesRow, and_(
            ListedSeriesRow.study_id == ListedStudyRow.study_id,
            ListedSeriesRow.series_instance_uid.in_({each.series_instance_uid for each in entries}),
        ))
        .where(ListedStudyRow.study_id.in_({each.study_id for each in entries}))
    ).all()
    return (
        {study_id: attributes for study_id, attributes, *_ in rows},
        {(study_id, uid): (number, attributes) for study_id, _, number, uid, attributes in rows if number is not None},
    )


def _enter_study(session: Session, entry: Entry, known: dict[str, Any] | None) -> None:
    """What an earlier image said stays; what it did not say is filled in. known: what is listed of the study."""
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


def _enter_series(session: Session, entry: Entry, known: tuple[int, dict[str, Any]] | None) -> int:
    """Its number. known: that and the attributes, where it is listed."""
    number, said = known or (None, {})
    attributes = {**_chosen(entry.attributes, SERIES_KEYWORDS), **said}
    if number is not None and said == attributes:
        return number
    values = {
        "modality": _text(attributes, "Modality"), "number": _number(attributes, "SeriesNumber"),
        "description": _text(attributes, "SeriesDescription"), "body_part": _text(attributes, "BodyPartExamined"),
        "performed_date": _text(attributes, "PerformedProcedureStepStartDate"),
        "performed_time": _text(attributes, "PerformedProcedureStepStartTime"), "attributes": attributes,
    }
    if number is not None:
        session.execute(update(ListedSeriesRow).where(ListedSeriesRow.id == number).values(**values))
        return number
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
