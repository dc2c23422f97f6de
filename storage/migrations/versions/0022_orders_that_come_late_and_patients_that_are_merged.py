"""Orders that come after their images were routed, and patients that are merged."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_NEWS = sa.text("news")


def upgrade() -> None:
    op.add_column("study_contexts", sa.Column("news", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_study_contexts_news", "study_contexts", ["study_id"], unique=False,
                    sqlite_where=_NEWS, postgresql_where=_NEWS)
    op.create_table(
        "merged_patients",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("universal_id", sa.Text(), nullable=False),
        sa.Column("survivors", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("patient_id", "authority", "universal_id"),
    )


def downgrade() -> None:
    op.drop_table("merged_patients")
    op.drop_index("ix_study_contexts_news", table_name="study_contexts")
    op.drop_column("study_contexts", "news")
