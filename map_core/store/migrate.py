"""Migrate the schema of a database with the migrations beside this file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from map_core.errors import InputError

FOLDER = Path(__file__).resolve().parent / "migrations"


@lru_cache(maxsize=1)
def scripts() -> ScriptDirectory:
    """Return the migrations of this version of the app."""
    return ScriptDirectory(FOLDER)


def revision(connection: Connection) -> str | None:
    """Return the schema revision of a database; None for a new one."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(connection: Connection, to: str = "head") -> None:
    """Migrate the schema inside the connection's transaction.

    Args:
        connection: to the database, with the lock on migrations.
        to: the target revision; only tests give an earlier one.

    Raises:
        InputError: the database is of a newer version of the app.
    """
    current, newest = revision(connection), scripts().get_current_head()
    if current == newest:
        return
    if current is not None and current not in {script.revision for script in scripts().walk_revisions()}:
        raise InputError(
            f"The database {connection.engine.url.render_as_string(hide_password=True)} was made by a newer version of "
            f"Value Palette: its schema is at {current}, this version knows up to {newest}. Update Value Palette, or "
            "name another database in VALUE_PALETTE_DATABASE."
        )
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, to)
