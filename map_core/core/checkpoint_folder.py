"""Keep the partial results of a long run in small files, so that an interrupted run resumes where it stopped.

Each file is written durably under a temporary name and renamed, so every file in the folder is complete. The caller
decides what the files hold and which of them a run needs, and locks the result that is being made.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from map_core.core.atomic_files import write_durable, write_error
from map_core.errors import InputError


class CheckpointFolder:
    """A folder of checkpoints beside the result that they belong to.

    Args:
        path: the folder; :meth:`create` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Create the folder unless it exists.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from error

    def names(self) -> Iterator[str]:
        """Yield the names of all files, in no particular order."""
        return (path.name for path in self.path.iterdir())

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: it does not exist or cannot be read.
        """
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise self.damaged(name, error) from error

    def size(self, name: str) -> int:
        """Return the size of an existing file in bytes."""
        return (self.path / name).stat().st_size

    def write(self, name: str, content: bytes) -> None:
        """Write a file durably and atomically.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        write_durable(self.path / name, content)

    def damaged(self, name: str, error: Exception) -> InputError:
        """Return the error for a file whose content cannot be used, with what to do."""
        return InputError(
            f"{self.path / name} cannot be read ({error}). Remove it and start again; it is then made again."
        )

    def clear(self, suffix: str) -> None:
        """Delete the files whose names end in ``suffix``."""
        for name in list(self.names()):
            if name.endswith(suffix):
                (self.path / name).unlink()

    def remove(self) -> None:
        """Delete the folder and its content."""
        shutil.rmtree(self.path, ignore_errors=True)
