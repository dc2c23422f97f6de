"""Indexes by time: what was received, run and sent in an hour is counted without reading the whole tables."""

from alembic import op

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_studies_first_received_at", "studies", ["first_received_at"], unique=False)
    op.create_index("ix_jobs_ended_at", "jobs", ["ended_at", "state"], unique=False)
    op.create_index("ix_deliveries_sent_at", "deliveries", ["sent_at", "job_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_deliveries_sent_at", table_name="deliveries")
    op.drop_index("ix_jobs_ended_at", table_name="jobs")
    op.drop_index("ix_studies_first_received_at", table_name="studies")
