"""What the node fetches from archives, by which pull, and the priors of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "fetches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("wanted_by", sa.Text(), nullable=False),
        sa.Column("pull", sa.Text(), nullable=True),
        sa.Column("patient_id", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("modalities", sa.JSON(), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=True),
        sa.Column("expected", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("arrived", sa.Integer(), nullable=False),
        sa.Column("lacking", sa.Integer(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("wanted_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("archive", "study_instance_uid"),
    )
    op.create_index("ix_fetches_state", "fetches", ["state", "due_at"], unique=False)
    op.create_index("ix_fetches_study_instance_uid", "fetches", ["study_instance_uid"], unique=False)
    op.create_table(
        "pulls",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "prior_searches",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False, autoincrement=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("fetches", sa.JSON(), nullable=False),
        sa.Column("remarks", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("ix_prior_searches_state", "prior_searches", ["state"], unique=False)
    op.create_table(
        "job_priors",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.ForeignKey("instances.id"),
                  nullable=False),
        sa.PrimaryKeyConstraint("job_id", "instance_id"),
    )
    op.create_index("ix_job_priors_instance_id", "job_priors", ["instance_id"], unique=False)


def downgrade() -> None:
    for table in ("job_priors", "prior_searches", "pulls", "fetches"):
        op.drop_table(table)
