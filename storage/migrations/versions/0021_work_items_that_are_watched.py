"""Who is told of work items, and how one is stopped; an index of the images that are not served."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_WITHHELD = sa.text("state IN ('QUARANTINED', 'CONFLICT', 'EXPIRED')")


def upgrade() -> None:
    op.create_index("ix_instances_withheld", "instances", ["series_id"], unique=False,
                    sqlite_where=_WITHHELD, postgresql_where=_WITHHELD)
    op.add_column("work_items", sa.Column("begun", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("work_items", sa.Column("cancel_reason", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "work_item_subscriptions",
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subscriber", "uid"),
    )
    op.create_table(
        "work_item_notices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("event_type", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_work_item_notices_subscriber", "work_item_notices", ["subscriber", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("work_item_notices")
    op.drop_table("work_item_subscriptions")
    op.drop_column("work_items", "cancel_reason")
    op.drop_column("work_items", "begun")
    op.drop_index("ix_instances_withheld", table_name="instances")
