"""A small mounted disk that is full or read-only; mounting needs root."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of eight megabytes, twice the size of SQLite's write-ahead log before a checkpoint."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk for a ``with`` block."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    yield
    ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Make the disk read-only for a ``with`` block."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, capture_output=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True, capture_output=True)


Trouble = Callable[[Path], contextlib.AbstractContextManager[None]]


def may_mount(folder: Path) -> bool:
    """Return whether a disk can be mounted here."""
    place = folder / "try"
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", place], check=True)
    return done.returncode == 0
