"""Alembic's entry: the connection comes from :mod:`radnode.storage.database`."""

from alembic import context

from radnode.storage import transfer_tables  # noqa: F401 - tables that are known once it is imported
from radnode.storage.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
