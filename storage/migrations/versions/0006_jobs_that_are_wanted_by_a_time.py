"""Jobs whose results are wanted by a time."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_jobs_due_at"), "jobs", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_jobs_due_at"), table_name="jobs")
    op.drop_column("jobs", "due_at")
