"""Lock a file against other writers, and write it so that it is whole and on the disc, or not there.

Constraint: messages are for the person who started the command that writes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import filelock

from map_core.core.atomic_files import atomic_write
from map_core.errors import InputError


def check_output_path(out: Path, example: str = "table.parquet") -> None:
    """Refuse a place where no file can be written.

    Args:
        out: the file that is to be written.
        example: of a name, for whoever gave a folder.

    Raises:
        InputError: it is a folder, or its folder is missing.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; give the name of a file, for example {out / example}.")
    if not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent} to write to. Make it first or choose another.")


@contextmanager
def lock(out: Path, who: str = "build") -> Iterator[None]:
    """Hold a file against all others that would write it; the lock ends with the process at the latest.

    Args:
        out: a table, or whatever else goes on where it was stopped.
        who: what such writers are called.

    Raises:
        InputError: another one is writing it, or it cannot be written there.
    """
    check_output_path(out)
    path = out.with_name(out.name + ".lock")
    held = filelock.FileLock(path)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(
            f"Another {who}{_holder(path)} is writing {out}. Wait for it, or give this one another --out."
        ) from error
    except OSError as error:
        raise write_error(out, error) from error
    try:
        with contextlib.suppress(OSError):
            path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # still held: whoever waits for this file sees that it is gone
        held.release()


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text())
        since = time.strftime("%H:%M", time.localtime(told["since"]))
        return f" (process {told['pid']} on {told['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_error(path: Path, error: OSError) -> InputError:
    """What to tell when a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"The disc is full: {path} cannot be written. Make room and start the same again; what is made is kept."
        )
    return InputError(f"{path} cannot be written ({error}). Choose another --out.")


@contextmanager
def open_durable(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, put in its place once it is whole and on the disc; else what was there is left.

    What a kill leaves of it has the same name in every run, so the next one writes over it.

    Raises:
        InputError: the disc is full or the folder cannot be written.
    """
    try:
        with atomic_write(path, path.with_name(path.name + ".part")) as partial, partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def write_durable(path: Path, content: bytes) -> None:
    """Put a whole file in its place, as :func:`open_durable` does."""
    with open_durable(path) as file:
        file.write(content)
