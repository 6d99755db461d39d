"""Back up the database while it is in use, and restore it: a folder of files with a manifest of hashes.

Tables and tuned models are backed up with the small files that name their owners; without those, a private table would
come back as everybody's. SQLite is copied by its own online backup, PostgreSQL by ``pg_dump``. Constraint: a restore
checks every hash before it changes anything, and replaces nothing unless asked to; after a restore that was killed the
app refuses to open the database.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import URL

from map_core.core.atomic_files import atomic_write
from map_core.core.sidecars import SIDECARS
from map_core.errors import InputError, StoreError
from map_core.models.tuned import FOLDER, is_finished
from map_core.store.database import open_database, read_address, restoring_file

MANIFEST, TABLES = "backup.json", "tables"
SQLITE_FILE, POSTGRESQL_FILE = "database.sqlite", "database.dump"


@dataclass(frozen=True)
class Backup:
    """The manifest of a backup.

    Args:
        made: time of the backup, in UTC.
        files: SHA-256 by the file's path in the folder.
    """

    made: str
    files: dict[str, str]


def back_up(address: str, tables: Path | None, out: Path) -> Backup:
    """Copy a database that may be in use, and the tables and tuned models.

    Args:
        address: of the database.
        tables: the folder of tables, with the tuned models in it; None for none.
        out: a new folder.

    Raises:
        InputError: the folder exists already or cannot be written, or there is no such database.
        StoreError: the database cannot be copied.
    """
    if out.exists():
        raise InputError(f"{out} is there already. Give the name of a new folder.")
    url, partial = read_address(address), out.with_name(f"{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(Path(str(url.database)), partial / SQLITE_FILE)
        else:
            _postgresql("pg_dump", url, ["--format=custom", "--no-owner", f"--file={partial / POSTGRESQL_FILE}"])
        if tables is not None and tables.is_dir():
            (partial / TABLES).mkdir()
            for path in _kept_files(tables):
                copy = partial / TABLES / path.relative_to(tables)
                copy.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # deleted since the listing
                    shutil.copy2(path, copy)
        files = {str(path.relative_to(partial)): _sha256(path) for path in sorted(partial.rglob("*")) if path.is_file()}
        made = Backup(datetime.now(UTC).isoformat(timespec="seconds"), files)
        (partial / MANIFEST).write_text(json.dumps({"made": made.made, "files": files}, indent=1), encoding="utf-8")
        partial.rename(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error}). Make room on the disk, or name another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # left by a failure only
    return made


def restore(source: Path, address: str, tables: Path | None, replace: bool = False) -> Backup:
    """Restore a database and tables from a backup, and migrate the schema; the app must not run.

    Args:
        source: the folder of a backup.
        address: of the database.
        tables: the folder of tables; None to restore none.
        replace: replace existing files; a SQLite file is kept beside the new one, as NAME.before-restore.

    Raises:
        InputError: it is no backup, one of its files is damaged, it is of another kind of database, a file exists
            already, or the disk cannot be written.
        StoreError: the database cannot be written.
    """
    made, url = _read_checked(source), read_address(address)
    file = SQLITE_FILE if url.get_backend_name() == "sqlite" else POSTGRESQL_FILE
    if file not in made.files:
        raise InputError(f"{source} holds {', '.join(made.files)} and no {file}: it is of another kind of database.")
    table_files = [name.removeprefix(f"{TABLES}/") for name in made.files if name.startswith(f"{TABLES}/")]
    if not replace and tables is not None:
        existing = [name for name in table_files if (tables / name).exists()]
        if existing:
            raise InputError(f"{tables} has {existing[0]} already. Move it away, or use --replace.")
    database = Path(str(url.database))
    try:
        if file == SQLITE_FILE:
            _prepare_sqlite(source / file, database, replace)
        else:
            clean = ["--clean", "--if-exists"] if replace else []
            options = ["--no-owner", "--exit-on-error", "--single-transaction", *clean, f"--dbname={url.database}"]
            _postgresql("pg_restore", url, [*options, str(source / file)], named=False)
        if tables is not None:
            for name in sorted(table_files):  # .access sorts first, so that no table is ever without its owner
                (tables / name).parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(tables / name) as partial:
                    shutil.copy2(source / TABLES / name, partial)
        if file == SQLITE_FILE:
            _place_sqlite(database)
    except OSError as error:
        raise InputError(
            f"The backup cannot be restored ({error}). Make room on the disk, and restore again."
        ) from error
    open_database(address).close()
    return made


def _kept_files(tables: Path) -> list[Path]:
    """Return the tables and the files beside them, the files of finished tuned models, and the files naming owners.

    The owners' files come last, so that a table that is made while others are copied has its owner's file as well.
    """
    tuned = [folder for folder in sorted((tables / FOLDER).glob("*")) if is_finished(folder)]
    return [
        *(path for ending in (".parquet", *SIDECARS) for path in sorted(tables.glob(f"*{ending}"))),
        *(path for folder in tuned for path in sorted(folder.rglob("*")) if path.is_file()),
        *sorted(tables.glob(".access/*.json")),
    ]


def _read_checked(source: Path) -> Backup:
    """Read a backup's manifest and check the hash of every file."""
    try:
        content = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        made = Backup(str(content["made"]), {str(name): str(value) for name, value in content["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source} is not a backup ({error}). Give a folder that backup made.") from error
    for name, expected in made.files.items():
        path = source / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file() or _sha256(path) != expected:
            raise InputError(f"The backup {source} is damaged: {name} is missing or has changed. Take another.")
    return made


def _copy_sqlite(path: Path, out: Path) -> None:
    """Copy a database with SQLite's online backup, which contains each transaction as a whole or not at all."""
    if not path.is_file():
        raise InputError(f"There is no database {path}. Name it by VALUE_PALETTE_DATABASE.")
    try:
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(out)) as copy:
            live.backup(copy)
            state = copy.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"The database {path.name} cannot be copied ({error}).") from error
    if state != "ok":
        raise StoreError(f"The database {path.name} is damaged ({state}). Restore an earlier backup.")


def _prepare_sqlite(source: Path, path: Path, replace: bool) -> None:
    """Copy a database beside the one that it will replace; while the copy is there, the app opens neither."""
    if path.exists() and path.stat().st_size and not replace:
        raise InputError(f"There is a database {path} already. Move it away, or use --replace.")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, restoring_file(path))


def _place_sqlite(path: Path) -> None:
    """Rename the copy to the database's name; the earlier file is renamed too, with its write-ahead log merged in."""
    if path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as live:  # an error means that it is damaged
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        path.rename(path.with_name(f"{path.name}.before-restore"))
    restoring_file(path).rename(path)


def _postgresql(program: str, url: URL, options: Sequence[str], named: bool = True) -> None:
    """Run a PostgreSQL client program; the password is passed in the environment, hidden from process listings.

    Args:
        program: its name.
        url: of the database.
        options: of the program.
        named: add the option that names the database.
    """
    if shutil.which(program) is None:
        raise InputError(f"{program} is not installed. Install PostgreSQL's client programs (postgresql-client).")
    socket = url.query.get("host")
    settings = {
        "PGHOST": url.host or (socket if isinstance(socket, str) else None),
        "PGPORT": url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
    }
    environment = os.environ | {name: str(value) for name, value in settings.items() if value is not None}
    command = [program, *options, *([f"--dbname={url.database}"] if named else [])]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StoreError(f"{program} failed: {reason}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
