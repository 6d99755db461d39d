"""Open the configured database and migrate its schema on first use.

SQLite by default: one file in write-ahead mode (WAL), so that readers and a writer do not wait for each other. Every
transaction that writes takes the write lock at its start, so that two of them queue instead of failing each other.
Constraint: several processes and threads may open the same new database at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from map_core.access import LOCAL, Visitor, audit
from map_core.core import remedies
from map_core.errors import InputError, StoreError

SETTING = "VALUE_PALETTE_DATABASE"
_EXPECTED = "postgresql://NAME:PASSWORD@HOST/DATABASE, or sqlite:////a/folder/palettes.sqlite"
#: Seconds that a writer waits for another one, and that connecting to a server may take.
BUSY_SECONDS, CONNECT_SECONDS = 30, 5
#: The key of PostgreSQL's advisory lock on migrations; any constant.
_MIGRATION_LOCK = 7_046_029_254

#: The key in ``session.info`` of the entries that go to the audit log after the commit.
AUDITED = "audited"


def setting() -> str:
    """Return the address of the database: ``VALUE_PALETTE_DATABASE``, or a file in the user's data folder."""
    address = os.environ.get(SETTING)
    if address:
        return address
    return f"sqlite:///{platformdirs.user_data_path('value-palette') / 'palettes.sqlite'}"


class Database:
    """An open database whose schema is up to date; any thread may use it.

    Args:
        engine: its connections.
        visitor: in whose name it is used; entries that they may not see are hidden, actions that they may not take are
            refused.
    """

    def __init__(self, engine: Engine, visitor: Visitor = LOCAL) -> None:
        self.engine = engine
        self.visitor = visitor
        self._writer = engine.execution_options(writes=True)

    @property
    def address(self) -> str:
        """Its address without the password."""
        return self.engine.url.render_as_string(hide_password=True)

    def as_visitor(self, visitor: Visitor) -> Database:
        """Return the same database, used in the name of a visitor."""
        return Database(self.engine, visitor)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads.

        Raises:
            StoreError: the database fails.
        """
        with _store_errors(self.engine.url), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session whose changes are committed at its end, all or none of them.

        Raises:
            StoreError: the database fails or refuses a change.
        """
        with _store_errors(self.engine.url), Session(self._writer) as session:
            with session.begin():
                yield session
            entries = session.info.get(AUDITED, ())
        for entry in entries:
            audit.record(self.visitor.id, *entry)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def open_database(address: str) -> Database:
    """Open a database and migrate its schema; create it if there is none.

    Args:
        address: a SQLAlchemy URL; ``postgresql://`` means the driver that comes with the app.

    Raises:
        InputError: the address is invalid, its folder cannot be created, or a newer version of the app made it.
        StoreError: the database fails.
    """
    from map_core.store.migrate import migrate

    url = read_address(address)
    engine = _engine(url)
    try:
        with _store_errors(url), _schema_lock(url):
            _refuse_unusable(url)
            if engine.dialect.name == "sqlite":
                with engine.connect() as connection:
                    connection.exec_driver_sql("COMMIT")  # the mode cannot be changed inside a transaction
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    connection.exec_driver_sql("BEGIN")
            with engine.execution_options(writes=True).begin() as connection:
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                migrate(connection)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


_opened: dict[str, Database] = {}
_opening = threading.Lock()


def database() -> Database:
    """Return the database of :func:`setting`, opened once a process.

    Raises:
        InputError: see :func:`open_database`.
        StoreError: see :func:`open_database`.
    """
    address = setting()
    with _opening:
        if address not in _opened:
            _opened[address] = open_database(address)
        return _opened[address]


def read_address(address: str) -> URL:
    """Parse the address of a database.

    Raises:
        InputError: it is invalid, of another kind than SQLite and PostgreSQL, or names no file.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"{SETTING} cannot be read as the address of a database; expected {_EXPECTED}.") from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(f"{SETTING} names a database of the kind {url.drivername!r}; expected {_EXPECTED}.")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise InputError(f"{SETTING} names no file, so nothing would be kept; expected {_EXPECTED}.")
    return url


def _engine(url: URL) -> Engine:
    """Return an engine for a database.

    Raises:
        InputError: the driver is not installed.
    """
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise InputError(
            f"{SETTING} names the driver {url.drivername!r}, which is not installed; expected {_EXPECTED}."
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, schema changes included
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")  # with WAL: a power cut may cost the last change, never the file


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _schema_lock(url: URL) -> Any:
    """Return a lock that lets one process at a time migrate a SQLite file; PostgreSQL has an advisory lock for that."""
    if url.get_backend_name() != "sqlite":
        return nullcontext()
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {path.parent} for saved palettes cannot be created ({error}). Set {SETTING}."
        ) from error
    return FileLock(f"{path}.lock", timeout=BUSY_SECONDS)


def restoring_file(path: Path) -> Path:
    """Return the path of the copy from which the database at ``path`` is being restored."""
    return path.with_name(f"{path.name}.restoring")


def _refuse_unusable(url: URL) -> None:
    """Refuse an empty file, and one whose restore is incomplete: each would silently become a new database.

    Raises:
        InputError: the file exists and is empty, or a restore has not finished.
    """
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    if restoring_file(path).exists():
        raise InputError(
            f"The database {path.name} is being restored, or a restore of it was interrupted. {remedies.RESTORE_AGAIN}"
        )
    if path.is_file() and not path.stat().st_size and not Path(f"{path}-wal").exists():
        raise InputError(
            f"The database {path.name} is a file of 0 bytes: its content is lost, or it was never written. Restore a "
            "backup; for a new database remove the file."
        )


@contextmanager
def _store_errors(url: URL) -> Iterator[None]:
    """Convert the errors of the driver to :class:`StoreError`, without the password."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        # Only the name of a file, since people read this in a browser who must not learn a server's folders.
        sqlite = url.get_backend_name() == "sqlite"
        name = Path(str(url.database)).name if sqlite else url.render_as_string(hide_password=True)
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise StoreError(f"The database {name} does not answer as it should: {reason}") from error
