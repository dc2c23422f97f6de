"""How far the guided first start has come; audit messages by event and by person."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guide_steps",
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("step"),
    )
    op.create_index("ix_audit_messages_event", "audit_messages", ["event", "id"], unique=False)
    op.create_index("ix_audit_messages_who", "audit_messages", ["who", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_audit_messages_who", table_name="audit_messages")
    op.drop_index("ix_audit_messages_event", table_name="audit_messages")
    op.drop_table("guide_steps")
