"""Indexes by time, so that an hour's work is counted without reading whole tables; silences of alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_studies_first_received_at", "studies", ["first_received_at"], unique=False)
    op.create_index("ix_jobs_ended_at", "jobs", ["ended_at", "state"], unique=False)
    op.create_index("ix_deliveries_sent_at", "deliveries", ["sent_at", "job_id"], unique=False)
    op.create_table(
        "alarm_silences",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("alarm_silences")
    op.drop_index("ix_deliveries_sent_at", table_name="deliveries")
    op.drop_index("ix_jobs_ended_at", table_name="jobs")
    op.drop_index("ix_studies_first_received_at", table_name="studies")
