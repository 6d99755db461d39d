"""Lock a file against other writers.

Constraint: error messages address the person who started the writing command.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from map_core.core import remedies
from map_core.core.atomic_files import write_error
from map_core.errors import InputError


def check_output_path(out: Path, example: str = "table.parquet") -> None:
    """Refuse an output path where no file can be written.

    Args:
        out: the file to write.
        example: a file name to suggest where ``out`` is a folder.

    Raises:
        InputError: ``out`` is a folder, or its parent folder does not exist.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; give the name of a file, for example {out / example}.")
    if not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent} to write to. Make it first or choose another.")


@contextmanager
def lock(out: Path, who: str = "build", option: str = "--out") -> Iterator[None]:
    """Hold an exclusive lock file beside a file; the lock ends with the process at the latest.

    Args:
        out: the file to write.
        who: the noun for such a writer in the error message.
        option: the option that names the file, for the error message.

    Raises:
        InputError: another process holds the lock, or it cannot be written.
    """
    check_output_path(out)
    path = out.with_name(out.name + ".lock")
    file_lock = filelock.FileLock(path)
    try:
        file_lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(
            f"Another {who}{_holder(path)} is writing {out}. "
            f"{remedies.WAIT_OR_OTHER_NAME.of(option.removeprefix('--'))}"
        ) from error
    except OSError as error:
        raise write_error(out, error, option) from error
    try:
        with contextlib.suppress(OSError):
            path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # before the release, so that no waiting process locks a deleted file
        file_lock.release()


def _holder(path: Path) -> str:
    """Return the holder of the lock, for a message; "" where the file cannot be read."""
    try:
        holder = json.loads(path.read_text())
        since = time.strftime("%H:%M", time.localtime(holder["since"]))
        return f" (process {holder['pid']} on {holder['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
