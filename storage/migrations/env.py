"""Alembic's entry: the connection comes from :mod:`radnode.storage.database`."""

from alembic import context

from radnode.storage import (  # noqa: F401 - their tables belong to the schema
    access_tables,
    configuration_tables,
    fetch_tables,
    guide_tables,
    listing_tables,
    monitoring_tables,
    order_tables,
    receiver_tables,
    schema,
    silence_tables,
    study_tables,
    subscription_tables,
    transfer_tables,
    workitem_tables,
)
from radnode.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
