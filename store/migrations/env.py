"""Where Alembic runs the versions: on the connection that store/upgrade.py hands over, in one transaction."""

from alembic import context

from store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # on SQLite too: upgrade.py begins the transaction itself
)
with context.begin_transaction():
    context.run_migrations()
