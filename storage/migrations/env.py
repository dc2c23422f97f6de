"""Alembic's entry: the connection comes from :mod:`radnode.storage.database`."""

from alembic import context

from radnode.storage import listing_tables  # noqa: F401 - its tables belong to the same schema
from radnode.storage.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
