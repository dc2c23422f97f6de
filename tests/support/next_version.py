"""A version after this one: this one, with migrations that add to tables which are written to meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import ScriptDirectory

import radnode

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(radnode.__file__).parent
HEAD = """
import sqlalchemy as sa
from alembic import op
from radnode.storage import migrating

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None

"""
ADDS = '''
def upgrade() -> None:
    for table in ("instances", "ledger_events", "series"):
        op.add_column(table, sa.Column("site", sa.Text(), server_default="here", nullable=False))
    op.create_table("sites", sa.Column("series_id", sa.Integer(), nullable=False),
                    sa.ForeignKeyConstraint(["series_id"], ["series.id"]), sa.PrimaryKeyConstraint("series_id"))


def downgrade() -> None:
    op.drop_table("sites")
    for table in ("instances", "ledger_events", "series"):
        op.drop_column(table, "site")
'''
INDEXES = '''
def upgrade() -> None:
    migrating.create_index("ix_instances_site", "instances", ["site", "received_at"])


def downgrade() -> None:
    op.drop_index("ix_instances_site", table_name="instances")
'''
TAKES_AWAY = '''
def upgrade() -> None:
    migrating.raise_floor("{before}")
    op.drop_index("ix_ledger_events_kind", table_name="ledger_events")


def downgrade() -> None:
    op.create_index("ix_ledger_events_kind", "ledger_events", ["kind"], unique=False)
'''


def revisions() -> list[str]:
    """Those of this version, the first one first."""
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    return [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def write_migrations(folder: Path, *bodies: str) -> list[Path]:
    """One after the other behind the newest of this version; later ones than are there already."""
    return list(_written(folder, bodies))


def package(folder: Path) -> Path:
    """The next version as a folder for PYTHONPATH."""
    made = folder / "radnode"
    made.mkdir(parents=True)
    for each in PACKAGE.iterdir():
        if each.name == "storage":
            shutil.copytree(each, made / each.name)
        elif each.name != "__pycache__":
            (made / each.name).symlink_to(each.resolve())
    write_migrations(made / "storage" / "migrations" / "versions", ADDS, INDEXES)
    return folder


def _written(folder: Path, bodies: tuple[str, ...]) -> Iterator[Path]:
    before = revisions()[-1]
    for number, body in enumerate(bodies, int(before) + 1):
        revision = f"{number:04d}"
        path = folder / f"{revision}_next.py"
        path.write_text((HEAD + body).format(revision=revision, before=before), encoding="utf-8")
        before = revision
        yield path
