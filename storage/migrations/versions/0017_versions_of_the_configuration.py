"""Every version of the configuration file is kept; jobs in shadow; which series a route matched, and when."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOST = 20_000
"""Explanations that are looked through for what matched before; a page tells of days."""


def upgrade() -> None:
    op.create_table(
        "configuration_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("jobs", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    matches = op.create_table(
        "route_matches",
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"]),
        sa.PrimaryKeyConstraint("route", "series_id"),
    )
    op.create_index("ix_route_matches_at", "route_matches", ["route", "at"], unique=False)
    connection = op.get_bind()
    routings = sa.table("routings", sa.column("id", sa.Integer), sa.column("series_id", sa.Integer),
                        sa.column("at", sa.DateTime(timezone=True)), sa.column("explanations", sa.JSON))
    rows = connection.execute(
        sa.select(routings.c.series_id, routings.c.at, routings.c.explanations).order_by(routings.c.id.desc())
        .limit(MOST)
    )
    found: dict[tuple[str, int], object] = {}
    for series_id, at, explanations in rows:
        told = json.loads(explanations) if isinstance(explanations, str) else explanations
        for each in told:
            if each.get("matched"):
                found.setdefault((each["route"], series_id), at)
    if found:
        connection.execute(sa.insert(matches), [
            {"route": route, "series_id": series_id, "at": at} for (route, series_id), at in found.items()
        ])


def downgrade() -> None:
    op.drop_table("route_matches")
    op.drop_column("jobs", "shadow")
    op.drop_table("configuration_versions")
