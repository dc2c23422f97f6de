"""The tables. Typed rows, constraints and indexes; no behaviour."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

BigKey = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on either dialect; SQLite numbers rows by itself only for INTEGER."""


class AwareDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on either dialect; a naive one is a mistake of the caller."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without timezone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC, which SQLite returns without saying so."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def plain(text: str) -> str:
    """Text that every database takes: PostgreSQL refuses NUL, both refuse what is not Unicode."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


class PlainText(TypeDecorator[str]):
    """Text that a peer or a file may have written, see :func:`plain`: one bad value must not fail a whole batch."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Without what the database would refuse."""
        return None if value is None else plain(value)


class Base(DeclarativeBase):
    """The schema."""

    type_annotation_map = {datetime: AwareDateTime, dict[str, Any]: JSON, list[Any]: JSON}


class StudyRow(Base):
    """A study as received. `conflict` says why its instances contradict each other, empty if they do not."""

    __tablename__ = "studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(PlainText, index=True)
    accession_number: Mapped[str | None] = mapped_column(PlainText, index=True)
    study_date: Mapped[str | None] = mapped_column(PlainText)
    description: Mapped[str | None] = mapped_column(PlainText)
    conflict: Mapped[str] = mapped_column(Text, default="")
    first_received_at: Mapped[datetime] = mapped_column(index=True)
    last_received_at: Mapped[datetime] = mapped_column(index=True)


class SeriesRow(Base):
    """A series, its state and the grounds on which it was last decided. A late instance raises `revision`."""

    __tablename__ = "series"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    source: Mapped[str] = mapped_column(Text)
    modality: Mapped[str | None] = mapped_column(PlainText)
    description: Mapped[str | None] = mapped_column(PlainText)
    state: Mapped[str] = mapped_column(String(16), index=True)
    revision: Mapped[int]
    received: Mapped[int]
    reason: Mapped[str] = mapped_column(PlainText, default="")
    grounds: Mapped[list[Any]]
    queried_count: Mapped[int | None]
    queried_at: Mapped[datetime | None]
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("study_id", "series_instance_uid"),
        Index("ix_series_source", "source", "last_received_at"),
        Index("ix_series_modality", "modality", "study_id"),
    )


_WITHHELD = "state IN ('QUARANTINED', 'CONFLICT', 'EXPIRED')"
WITHHELD = f"instances.{_WITHHELD}"
"""Images that are not served, in the words of their index: a database uses it for a question in the same words."""


class InstanceRow(Base):
    """An acknowledged instance. `state` is its one state in the ledger; `receptions` counts identical arrivals."""

    __tablename__ = "instances"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(Text)
    association: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    receptions: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    indexed: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (
        UniqueConstraint("series_id", "sop_instance_uid", "digest"),
        Index("ix_instances_sop_instance_uid", "sop_instance_uid"),
        Index("ix_instances_state", "state", "received_at"),
        Index("ix_instances_indexed", "indexed", "id"),
        Index("ix_instances_withheld", "series_id", sqlite_where=text(_WITHHELD), postgresql_where=text(_WITHHELD)),
    )


class HeaderRow(Base):
    """The attributes of an instance, as read by the isolated header process."""

    __tablename__ = "headers"
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    attributes: Mapped[dict[str, Any]]


class LedgerEvent(Base):
    """Append-only: `acknowledged` once for each instance, then every change of its state."""

    __tablename__ = "ledger_events"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    __table_args__ = (
        Index("ix_ledger_events_kind", "kind"),
        Index("ix_ledger_events_instance_id", "instance_id"),
    )


class RemovalRow(Base):
    """The file of an expired instance may still be there; the row goes once the file is gone.

    One row for each time the file may have come, so that ending one removal never forgets another.
    """

    __tablename__ = "removals"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))


class NodeLease(Base):
    """Who among several processes may do what only one may do (`name`), until when. `token` rises with every owner."""

    __tablename__ = "node_leases"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    token: Mapped[int]
    lease_until: Mapped[datetime]


class EventRow(Base):
    """The timeline of a study. Append-only."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    detail: Mapped[dict[str, Any]]


class RoutingRow(Base):
    """Why each route did or did not run for one revision of a series."""

    __tablename__ = "routings"
    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    revision: Mapped[int]
    at: Mapped[datetime]
    configuration_digest: Mapped[str] = mapped_column(String(64))
    explanations: Mapped[list[Any]]
    __table_args__ = (UniqueConstraint("series_id", "revision"),)


class StudyRoutingRow(Base):
    """Why each pipeline that reads several series of a study did or did not run when the study was last whole.

    pending: it is to be judged (again). asked: rises with every series that closes.
    """

    __tablename__ = "study_routings"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    pending: Mapped[bool] = mapped_column(index=True)
    asked: Mapped[int]
    at: Mapped[datetime | None]
    configuration_digest: Mapped[str] = mapped_column(String(64))
    explanations: Mapped[list[Any]]


class JobRow(Base):
    """One pipeline over one frozen set of instances. `token` rises with every lease.

    findings_digest: the kept file of what was found, so that it can be written in another form. shadow: its results are
    kept and go to nobody; destinations are those that would get them.

    turn_at: when it was inserted plus a minute for each step of its priority; the earliest is leased first. Urgent jobs
    overtake by as many minutes as they are ahead in priority, so nothing that waits is overtaken for ever. A job that
    is wanted earlier than that (due_at) has that as its turn: the earliest deadline first.
    """

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    revision: Mapped[int]
    pipeline: Mapped[str] = mapped_column(Text)
    pipeline_version: Mapped[str] = mapped_column(Text)
    route_names: Mapped[list[Any]]
    destinations: Mapped[list[Any]]
    priority: Mapped[int]
    turn_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    configuration_digest: Mapped[str] = mapped_column(String(64))
    input_digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    report: Mapped[dict[str, Any]]
    findings_digest: Mapped[str | None] = mapped_column(String(64))
    shadow: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_jobs_state", "state", "turn_at"), Index("ix_jobs_ended_at", "ended_at", "state"),
        Index("ix_jobs_pipeline", "pipeline", "id"),
    )


class JobInputRow(Base):
    """The frozen input of a job."""

    __tablename__ = "job_inputs"
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), primary_key=True, index=True)


class ResultObjectRow(Base):
    """One encoded result that passed the gate; its bytes lie under `digest` and never change."""

    __tablename__ = "result_objects"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    form: Mapped[str] = mapped_column(Text)
    send_order: Mapped[int]
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    references: Mapped[list[Any]]


IS_OBJECT = ResultObjectRow.sop_class_uid != ""
"""That a result is a DICOM object, not a message of HL7 v2 or FHIR, which have no SOP class."""


class RefusedFormRow(Base):
    """A result form that a destination does not take. It holds as long as the peer is configured as it was then."""

    __tablename__ = "refused_forms"
    destination: Mapped[str] = mapped_column(Text, primary_key=True)
    form: Mapped[str] = mapped_column(Text, primary_key=True)
    peer_digest: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(PlainText)
    refused_at: Mapped[datetime]


class RewriteRow(Base):
    """The kept findings of a job, to be written as these objects for the destination that refused one.

    delivery_id: what was refused. referring: the deliveries that referred to it. instead: the form that says the same.
    """

    __tablename__ = "rewrites"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    destination: Mapped[str] = mapped_column(Text)
    names: Mapped[list[Any]]
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    referring: Mapped[list[Any]]
    instead: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(PlainText, default="")
    losses: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class CommitmentRow(Base):
    """A transaction of storage commitment: a destination was asked about the results of a job.

    status: the answer to the N-ACTION, None before it.
    """

    __tablename__ = "commitments"
    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime]
    status: Mapped[int | None]
    reported_at: Mapped[datetime | None]
    reported_by: Mapped[str | None] = mapped_column(PlainText)
    __table_args__ = (Index("ix_commitments_state", "state", "asked_at"),)


class CommitmentRequestRow(Base):
    """A source asked this node for storage commitment. references: [SOP class, SOP instance] UIDs, as it asked."""

    __tablename__ = "commitment_requests"
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    references: Mapped[list[Any]]
    requested_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(PlainText)
    __table_args__ = (
        UniqueConstraint("source", "transaction_uid"),
        Index("ix_commitment_requests_state", "state", "due_at"),
    )


class DeliveryRow(Base):
    """One result object on its way to one destination. target: the machine meant by that name when it was queued.

    transaction_uid: of the last :class:`CommitmentRow` that asked about it. asked_at: when one first did since it was
    sent. proof: what its arrival waits for (:class:`~radnode.storage.outbox.Proof`). released_at: when somebody said
    that it is to go although its patient is another there.
    """

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(primary_key=True)
    result_object_id: Mapped[int] = mapped_column(ForeignKey("result_objects.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    send_order: Mapped[int]
    destination: Mapped[str] = mapped_column(Text)
    target: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText, default="")
    token: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    sent_at: Mapped[datetime | None]
    confirm_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    confirmed_how: Mapped[str | None] = mapped_column(Text)
    transaction_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    asked_at: Mapped[datetime | None]
    proof: Mapped[str | None] = mapped_column(String(16))
    released_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("result_object_id", "destination"),
        Index("ix_deliveries_state", "state", "destination", "due_at"),
        Index("ix_deliveries_sent_at", "sent_at", "job_id"),
    )


class AlarmRow(Base):
    """Something that is or was wrong. name: the kind, or kind:subject. cleared_at: None while it holds."""

    __tablename__ = "alarms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(PlainText)
    severity: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(PlainText)
    since: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None] = mapped_column(index=True)


class AlarmTellingRow(Base):
    """What a sink (mail, webhook) was told of an alarm last, and when; no row before the first time."""

    __tablename__ = "alarm_tellings"
    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarms.id", ondelete="CASCADE"), primary_key=True)
    sink: Mapped[str] = mapped_column(String(16), primary_key=True)
    event: Mapped[str] = mapped_column(String(16))
    told_at: Mapped[datetime]
