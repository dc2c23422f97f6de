"""Which versions can work on the tables: asked by one that does not know their revision."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    floor = op.create_table(
        "schema_floor",
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("revision"),
    )
    op.bulk_insert(floor, [{"revision": "0024"}])


def downgrade() -> None:
    op.drop_table("schema_floor")
