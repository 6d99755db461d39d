"""The migrations of the database's schema, which Alembic runs."""
