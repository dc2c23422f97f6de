"""What DICOMweb lists: one row for each study, series and instance that can be found, with what is asked for it.

Text is compared by its bytes on either database, so that an index serves a prefix.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, BigKey

ByBytes = Text().with_variant(Text(collation="C"), "postgresql")


class ListedStudyRow(Base):
    """A study with at least one image that can be retrieved. Texts are empty where an attribute is missing.

    patient_name, referring: each component group (PS3.5 6.2.1) lower-case between `=`. attributes: keyword -> value.
    """

    __tablename__ = "listed_studies"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(ByBytes)
    patient_name: Mapped[str] = mapped_column(ByBytes)
    patient_birth_date: Mapped[str] = mapped_column(ByBytes)
    patient_sex: Mapped[str] = mapped_column(ByBytes)
    study_date: Mapped[str] = mapped_column(ByBytes)
    study_time: Mapped[str] = mapped_column(ByBytes)
    accession_number: Mapped[str] = mapped_column(ByBytes)
    study_name: Mapped[str] = mapped_column(ByBytes)
    description: Mapped[str] = mapped_column(ByBytes)
    referring: Mapped[str] = mapped_column(ByBytes)
    attributes: Mapped[dict[str, Any]]
    __table_args__ = (
        Index("ix_listed_studies_when", "study_date", "study_time", "study_id"),
        Index("ix_listed_studies_patient_id", "patient_id", "study_date", "study_time"),
        Index("ix_listed_studies_patient_name", "patient_name", "study_date", "study_time"),
        Index("ix_listed_studies_accession_number", "accession_number", "study_date", "study_time"),
        Index("ix_listed_studies_description", "description", "study_date", "study_time"),
    )


class ListedSeriesRow(Base):
    """A series of a listed study: received, or made here."""

    __tablename__ = "listed_series"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("listed_studies.study_id", ondelete="CASCADE"))
    series_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    modality: Mapped[str] = mapped_column(ByBytes)
    number: Mapped[int | None] = mapped_column(BigInteger)
    description: Mapped[str] = mapped_column(ByBytes)
    body_part: Mapped[str] = mapped_column(ByBytes)
    performed_date: Mapped[str] = mapped_column(ByBytes)
    performed_time: Mapped[str] = mapped_column(ByBytes)
    attributes: Mapped[dict[str, Any]]
    __table_args__ = (
        UniqueConstraint("study_id", "series_instance_uid"),
        Index("ix_listed_series_modality", "modality", "study_id"),
    )


class ListedInstanceRow(Base):
    """An instance whose header was read. Either `instance_id` or `result_object_id` says whose bytes they are."""

    __tablename__ = "listed_instances"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("listed_series.id", ondelete="CASCADE"))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    number: Mapped[int | None] = mapped_column(BigInteger)
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instances.id"), unique=True)
    result_object_id: Mapped[int | None] = mapped_column(ForeignKey("result_objects.id"), unique=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    attributes: Mapped[dict[str, Any]]
    __table_args__ = (
        UniqueConstraint("series_id", "sop_instance_uid"),
        Index("ix_listed_instances_counted", "series_id", "instance_id", "result_object_id"),
    )


class ListedMetadataRow(Base):
    """The whole header of an instance as it is served, made when it was first asked for.

    document: zlib of DICOM JSON. made_of: version of what made it, and digest of the file. layout: where native frames
    lie, None where they have to be looked for.
    """

    __tablename__ = "listed_metadata"
    listed_instance_id: Mapped[int] = mapped_column(
        ForeignKey("listed_instances.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    made_of: Mapped[str] = mapped_column(String(80))
    document: Mapped[bytes] = mapped_column(LargeBinary)
    layout: Mapped[dict[str, Any] | None]
