"""Run the migrations with Alembic, on the caller's connection and in its transaction.

A migration is a file in ``versions``, named after its number; there are no downgrades.
"""

from __future__ import annotations

from alembic import context

from map_core.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite can change a column only by recreating the table
)
context.run_migrations()
