"""Alembic's entry: the connection comes from :mod:`radnode.storage.database`."""

from alembic import context

from radnode.storage.tables import Base
from radnode.storage.workitem_tables import WorkItemRow  # noqa: F401 - known to the metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
