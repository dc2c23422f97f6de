"""An index of the images that are not served, so that a search counts a study without reading its images."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

_WITHHELD = sa.text("state IN ('QUARANTINED', 'CONFLICT', 'EXPIRED')")


def upgrade() -> None:
    op.create_index("ix_instances_withheld", "instances", ["series_id"], unique=False,
                    sqlite_where=_WITHHELD, postgresql_where=_WITHHELD)


def downgrade() -> None:
    op.drop_index("ix_instances_withheld", table_name="instances")
