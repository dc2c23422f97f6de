"""Results can be written in another form: kept findings, object names, refused forms, rewrites."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("findings_digest", sa.String(length=64), nullable=True))
    # Before, a job had one object of each form; its name is the form.
    # The default stays: taking it away makes SQLite copy the table, which it refuses while deliveries refer to it.
    op.add_column("result_objects", sa.Column("name", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE result_objects SET name = form")
    op.create_table(
        "refused_forms",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("peer_digest", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("destination", "form"),
    )
    op.create_table(
        "rewrites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("referring", sa.JSON(), nullable=False),
        sa.Column("instead", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_rewrites_job_id"), "rewrites", ["job_id"], unique=False)
    op.create_index(op.f("ix_rewrites_state"), "rewrites", ["state"], unique=False)


def downgrade() -> None:
    op.drop_table("rewrites")
    op.drop_table("refused_forms")
    op.drop_column("result_objects", "name")
    op.drop_column("jobs", "findings_digest")
