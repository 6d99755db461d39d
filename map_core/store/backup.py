"""Back up the database while it is used, and restore it: a folder with all that the app keeps, and a list of hashes.

With the tables and the tuned models go the small files that say whose each of them is; without those, a private table
would come back as everybody's. SQLite is copied by its own online backup, PostgreSQL by ``pg_dump``. Constraint: a
restore checks every hash before it touches anything, and replaces nothing without being told to; one that was killed
leaves what the app refuses to open.
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
from map_core.errors import InputError, StoreError
from map_core.models.tuned import FOLDER, is_finished
from map_core.store.database import open_database, read_address, restoring_file

MANIFEST, TABLES = "backup.json", "tables"
SQLITE_FILE, POSTGRESQL_FILE = "database.sqlite", "database.dump"
#: What lies beside a table under its name: labels, a study of delivery, how promises stand.
BESIDE = (".labels.jsonl", ".delivery.json", ".promises.json")


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Args:
        made: when, in UTC.
        files: sha256 by the file's place in the folder.
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
        InputError: the folder is there already or cannot be written, or there is no such database.
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
                with suppress(FileNotFoundError):  # it was deleted meanwhile
                    shutil.copy2(path, copy)
        files = {str(path.relative_to(partial)): _sha256(path) for path in sorted(partial.rglob("*")) if path.is_file()}
        made = Backup(datetime.now(UTC).isoformat(timespec="seconds"), files)
        (partial / MANIFEST).write_text(json.dumps({"made": made.made, "files": files}, indent=1), encoding="utf-8")
        partial.rename(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error}). Make room on the disk, or name another folder."
        ) from error
    finally:  # nothing is there any more where it went well
        shutil.rmtree(partial, ignore_errors=True)
    return made


def restore(source: Path, address: str, tables: Path | None, replace: bool = False) -> Backup:
    """Put a backup in the place of a database and of tables, and bring its schema up to date; the app must not run.

    Args:
        source: the folder of a backup.
        address: of the database.
        tables: the folder of tables; None to restore none.
        replace: what is there may be replaced; a SQLite file is kept beside, as NAME.before-restore.

    Raises:
        InputError: it is no backup, a file of it is damaged, it is of another kind of database, something is there, or
            the disk cannot be written.
        StoreError: the database cannot be written.
    """
    made, url = _checked(source), read_address(address)
    file = SQLITE_FILE if url.get_backend_name() == "sqlite" else POSTGRESQL_FILE
    if file not in made.files:
        raise InputError(f"{source} holds {', '.join(made.files)} and no {file}: it is of another kind of database.")
    held = [name.removeprefix(f"{TABLES}/") for name in made.files if name.startswith(f"{TABLES}/")]
    if not replace and tables is not None and (there := [name for name in held if (tables / name).exists()]):
        raise InputError(f"{tables} has {there[0]} already. Move it away, or say --replace.")
    database = Path(str(url.database))
    try:
        if file == SQLITE_FILE:
            _prepare_sqlite(source / file, database, replace)
        else:
            clean = ["--clean", "--if-exists"] if replace else []
            options = ["--no-owner", "--exit-on-error", "--single-transaction", *clean, f"--dbname={url.database}"]
            _postgresql("pg_restore", url, [*options, str(source / file)], named=False)
        if tables is not None:
            for name in sorted(held):  # .access first: no table is there without its owner
                (tables / name).parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(tables / name) as partial:
                    shutil.copy2(source / TABLES / name, partial)
        if file == SQLITE_FILE:
            _place_sqlite(database)
    except OSError as error:
        raise InputError(
            f"The backup cannot be put in place ({error}). Make room on the disk, and restore again."
        ) from error
    open_database(address).close()
    return made


def _kept_files(tables: Path) -> list[Path]:
    """Return the tables and what lies beside them, what belongs to tuned models that are finished, and whose all are.

    In the order in which they are copied: what was made while others were copied has its owner's file as well.
    """
    tuned = [folder for folder in sorted((tables / FOLDER).glob("*")) if is_finished(folder)]
    return [
        *(path for ending in (".parquet", *BESIDE) for path in sorted(tables.glob(f"*{ending}"))),
        *(path for folder in tuned for path in sorted(folder.rglob("*")) if path.is_file()),
        *sorted(tables.glob(".access/*.json")),
    ]


def _checked(source: Path) -> Backup:
    """Read a backup's list and check every file of it."""
    try:
        content = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        made = Backup(str(content["made"]), {str(name): str(value) for name, value in content["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source} is no backup that can be read ({error}). Give one that backup made.") from error
    for name, expected in made.files.items():
        path = source / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file() or _sha256(path) != expected:
            raise InputError(f"The backup {source} is damaged: {name} is missing or has changed. Take another.")
    return made


def _copy_sqlite(path: Path, out: Path) -> None:
    """Copy a database with its own online backup, so that what is being written is in it as a whole or not at all."""
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
    """Copy a database beside the one that it will replace; as long as it lies there, the app opens neither."""
    if path.exists() and path.stat().st_size and not replace:
        raise InputError(f"There is a database {path} already. Move it away, or say --replace.")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, restoring_file(path))


def _place_sqlite(path: Path) -> None:
    """Put the copy in place; the file before gets another name, with what was written ahead of it in it."""
    if path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as live:  # where it is not damaged
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for rest in ("-wal", "-shm"):
            Path(f"{path}{rest}").unlink(missing_ok=True)
        path.rename(path.with_name(f"{path.name}.before-restore"))
    restoring_file(path).rename(path)


def _postgresql(program: str, url: URL, options: Sequence[str], named: bool = True) -> None:
    """Run one of PostgreSQL's own programs; the password goes by the environment and stands in no list of processes."""
    if shutil.which(program) is None:
        raise InputError(f"{program} is not here. Install PostgreSQL's client programs (postgresql-client).")
    where = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    socket = url.query.get("host")
    where["PGHOST"] = where["PGHOST"] or (socket if isinstance(socket, str) else None)
    environment = os.environ | {name: str(value) for name, value in where.items() if value is not None}
    command = [program, *options, *([f"--dbname={url.database}"] if named else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StoreError(f"{program} failed: {last}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
