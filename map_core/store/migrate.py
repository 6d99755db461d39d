"""The schema of a database brought up to date by the migrations that are shipped beside this file."""

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
    """Return the migrations that this version knows."""
    return ScriptDirectory(FOLDER)


def revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None for a new one."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(connection: Connection, to: str = "head") -> None:
    """Bring the schema up to date inside the connection's transaction.

    Args:
        connection: to the database, alone in it.
        to: the revision wanted; only tests ask for an earlier one.

    Raises:
        InputError: the database is of a newer version of the app.
    """
    at, newest = revision(connection), scripts().get_current_head()
    if at == newest:
        return
    if at is not None and at not in {script.revision for script in scripts().walk_revisions()}:
        raise InputError(
            f"The database {connection.engine.url.render_as_string(hide_password=True)} was made by a newer version of "
            f"Value Palette: its schema is at {at}, this version knows up to {newest}. Update Value Palette, or name "
            "another database in VALUE_PALETTE_DATABASE."
        )
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, to)
