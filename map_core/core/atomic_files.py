"""Write files atomically: complete, or unchanged.

Constraint: standard library only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from map_core.core import remedies
from map_core.errors import InputError


@contextmanager
def atomic_write(path: Path, partial: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to ``path`` if nothing is raised, else remove it.

    Args:
        path: the file to replace.
        partial: the temporary file, in the same folder, which no other process writes; None for one that is named
            after this process.

    Raises:
        OSError: it cannot be renamed or removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part") if partial is None else partial
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def open_durable(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that atomically replaces ``path`` once it is synced to the disk.

    The temporary file has the same name in every run, so the next run overwrites the one that a killed run left.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    try:
        with atomic_write(path, path.with_name(path.name + ".part")) as partial, partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def write_durable(path: Path, content: bytes) -> None:
    """Write a whole file as :func:`open_durable` does."""
    with open_durable(path) as file:
        file.write(content)


def write_error(path: Path, error: OSError, option: str = "--out") -> InputError:
    """Return the error for a file that cannot be written, with what to do: another one by ``option``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"The disc is full: {path} cannot be written. Make room and {remedies.SAME_COMMAND}; what was made is kept."
        )
    return InputError(f"{path} cannot be written ({error}). {remedies.OTHER_NAME.of(option.removeprefix('--'))}")
