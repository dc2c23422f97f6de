"""Messages of HL7 v2, the orders and patients they tell of, and what orders say about studies."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("sender", "application", "facility", "control_id")),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.UniqueConstraint("sender", "application", "facility", "control_id"),
    )
    op.create_index("ix_messages_received_at", "messages", ["received_at"])
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("sender", "accession_number", "number")),
        sa.Column("patients", sa.JSON, nullable=False),
        sa.Column("birth_date", sa.Text, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False)
          for name in ("priority", "reason", "procedure", "patient_class", "said_at")),
        sa.Column("received_at", _TIME, nullable=False),
        sa.UniqueConstraint("sender", "accession_number", "number"),
    )
    op.create_index("ix_orders_accession_number", "orders", ["accession_number"])
    op.create_index("ix_orders_received_at", "orders", ["received_at"])
    op.create_table(
        "patient_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String(8), nullable=False),
        sa.Column("patients", sa.JSON, nullable=False),
        sa.Column("priors", sa.JSON, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
    )
    op.create_index("ix_patient_changes_message_id", "patient_changes", ["message_id"])
    op.create_table(
        "study_contexts",
        sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True, autoincrement=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("context", sa.JSON, nullable=False),
        sa.Column("conflict", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("ix_studies_accession_number", "studies", ["accession_number"])


def downgrade() -> None:
    op.drop_index("ix_studies_accession_number", "studies")
    for table in ("study_contexts", "patient_changes", "orders", "messages"):
        op.drop_table(table)
