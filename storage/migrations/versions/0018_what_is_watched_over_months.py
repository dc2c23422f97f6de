"""What is watched over months: figures of each day, verdicts on them, feedback, comparisons."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index("ix_jobs_pipeline", "jobs", ["pipeline", "id"], unique=False)
    op.create_table(
        "unobserved",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.execute(
        "INSERT INTO unobserved (job_id) SELECT id FROM jobs "
        "WHERE state IN ('PRODUCED', 'NOT_PROCESSED', 'FAILED') AND ended_at IS NOT NULL"
    )
    op.create_table(
        "scanners",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "manufacturer", "model", "station"),
    )
    op.create_table(
        "day_figures",
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("scanner_id", sa.Integer(), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scanner_id"], ["scanners.id"]),
        sa.PrimaryKeyConstraint("pipeline", "day", "version", "scanner_id", "figure"),
    )
    op.create_index("ix_day_figures_day", "day_figures", ["day"], unique=False)
    op.create_index("ix_day_figures_figure", "day_figures", ["figure", "day"], unique=False)
    op.create_table(
        "drifts",
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("scanner_id", sa.Integer(), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.String(length=10), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("baseline", sa.String(length=21), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["scanner_id"], ["scanners.id"]),
        sa.PrimaryKeyConstraint("pipeline", "version", "scanner_id", "figure"),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("scanner_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("how", sa.String(length=8), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("structures", sa.JSON(), nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.ForeignKeyConstraint(["scanner_id"], ["scanners.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("job_id", "study_id", "at"):
        op.create_index(f"ix_feedback_{column}", "feedback", [column], unique=False)
    op.create_index("ix_feedback_pipeline", "feedback", ["pipeline", "id"], unique=False)
    op.create_table(
        "corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", BIG_KEY, nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance_id", "job_id"),
    )
    op.create_index("ix_corrections_job_id", "corrections", ["job_id"], unique=False)
    op.create_index("ix_corrections_state", "corrections", ["state"], unique=False)
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("other_job_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("structures", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["other_job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "other_job_id"),
    )
    op.create_index("ix_comparisons_other_job_id", "comparisons", ["other_job_id"], unique=False)
    op.create_index("ix_comparisons_state", "comparisons", ["state"], unique=False)


def downgrade() -> None:
    for table in ("comparisons", "corrections", "feedback", "drifts", "day_figures", "scanners", "unobserved"):
        op.drop_table(table)
    op.drop_index("ix_jobs_pipeline", "jobs")
