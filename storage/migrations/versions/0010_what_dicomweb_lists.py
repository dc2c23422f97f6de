"""What DICOMweb lists of studies, series and instances, and the headers it has served."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table("listed_studies",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", TEXT, nullable=False),
        sa.Column("patient_name", TEXT, nullable=False),
        sa.Column("patient_birth_date", TEXT, nullable=False),
        sa.Column("patient_sex", TEXT, nullable=False),
        sa.Column("study_date", TEXT, nullable=False),
        sa.Column("study_time", TEXT, nullable=False),
        sa.Column("accession_number", TEXT, nullable=False),
        sa.Column("study_name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("referring", TEXT, nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.PrimaryKeyConstraint("study_id"),
        sa.UniqueConstraint("study_instance_uid"),
    )
    op.create_index(
        "ix_listed_studies_accession_number", "listed_studies", ["accession_number", "study_date", "study_time"]
    )
    op.create_index("ix_listed_studies_description", "listed_studies", ["description", "study_date", "study_time"])
    op.create_index("ix_listed_studies_patient_id", "listed_studies", ["patient_id", "study_date", "study_time"])
    op.create_index("ix_listed_studies_patient_name", "listed_studies", ["patient_name", "study_date", "study_time"])
    op.create_index("ix_listed_studies_when", "listed_studies", ["study_date", "study_time", "study_id"])
    op.create_table("listed_series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("modality", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("body_part", TEXT, nullable=False),
        sa.Column("performed_date", TEXT, nullable=False),
        sa.Column("performed_time", TEXT, nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["listed_studies.study_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_id", "series_instance_uid"),
    )
    op.create_index("ix_listed_series_modality", "listed_series", ["modality", "study_id"])
    op.create_index("ix_listed_series_series_instance_uid", "listed_series", ["series_instance_uid"])
    op.create_table("listed_instances",
        sa.Column("id", KEY, nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("instance_id", KEY, nullable=True),
        sa.Column("result_object_id", sa.Integer(), nullable=True),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"]),
        sa.ForeignKeyConstraint(["result_object_id"], ["result_objects.id"]),
        sa.ForeignKeyConstraint(["series_id"], ["listed_series.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance_id"),
        sa.UniqueConstraint("result_object_id"),
        sa.UniqueConstraint("series_id", "sop_instance_uid"),
    )
    op.create_index("ix_listed_instances_sop_instance_uid", "listed_instances", ["sop_instance_uid"])
    op.create_index(
        "ix_listed_instances_counted", "listed_instances", ["series_id", "instance_id", "result_object_id"]
    )
    op.create_table("listed_metadata",
        sa.Column("listed_instance_id", KEY, autoincrement=False, nullable=False),
        sa.Column("made_of", sa.String(length=80), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("layout", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["listed_instance_id"], ["listed_instances.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("listed_instance_id"),
    )



def downgrade() -> None:
    op.drop_table("listed_metadata")
    op.drop_table("listed_instances")
    op.drop_table("listed_series")
    op.drop_table("listed_studies")
