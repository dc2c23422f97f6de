"""Taking the steps of `migrations/` that a database lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Up to the newest, in the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
