"""How Alembic runs the migrations: on the connection that it is handed, in that connection's transaction.

A migration is a file in ``versions``, named after its number, and only goes forward.
"""

from __future__ import annotations

from alembic import context

from map_core.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a column by making the table anew
)
context.run_migrations()
