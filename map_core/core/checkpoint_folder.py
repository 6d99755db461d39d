"""Keep what a long run has made so far in small files, so that a run that was killed resumes where it stopped.

Each file is written durably under another name and renamed, so a file that is there is whole, whenever the run ends.
What a file holds, and which of them a run needs, is up to the caller, who also locks the result that is being made.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from map_core.core.atomic_files import write_durable, write_error
from map_core.errors import InputError


class CheckpointFolder:
    """A folder of checkpoints, beside the result that they are for.

    Args:
        path: of the folder; :meth:`create` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder, unless it is there.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from error

    def names(self) -> Iterator[str]:
        """Yield the names of all files, in no order."""
        return (path.name for path in self.path.iterdir())

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: it is not there or cannot be read.
        """
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise self.damaged(name, error) from error

    def size(self, name: str) -> int:
        """Return the bytes of a file that is there."""
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
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
