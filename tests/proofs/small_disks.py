"""A small disk of its own that is full, or read-only; mounting it takes root."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of eight megabytes of its own: twice what SQLite writes ahead before it tidies up."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """The disk has no room left."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    yield
    ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Nothing can be written to the disk."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, capture_output=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True, capture_output=True)


Trouble = Callable[[Path], contextlib.AbstractContextManager[None]]


def may_mount(folder: Path) -> bool:
    """Whether a disk of one's own can be had here."""
    place = folder / "try"
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", place], check=True)
    return done.returncode == 0
