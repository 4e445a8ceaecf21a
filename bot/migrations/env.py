"""Alembic's environment: runs the migrations on the connection that `upgrade` hands over."""

from alembic import context

from actions.tables import metadata as actions_metadata
from bot.log.tables import metadata as log_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[log_metadata, actions_metadata],
    # SQLite changes columns by copying the table.
    render_as_batch=True,
    # What is done is kept when a later one fails, and locks are held for one at a time.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
