"""A delivery remembers where it is aimed, so that it never goes silently to another machine under the same name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("target", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "target")
