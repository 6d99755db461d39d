"""The order in which work waits for its turn: a small file in the folder of each piece that waits.

Tickets are numbers that grow; no clock is read, so that a step of it changes no order. Constraint: whoever writes here
holds :func:`order_lock`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from map_core.errors import InputError

#: The file that says that work waits, and with which number.
TICKET = "waiting.json"
#: Seconds that another process may hold the order.
BUSY_SECONDS = 10


@contextmanager
def order_lock(root: Path) -> Iterator[None]:
    """Hold the lock on the order of a folder of work, and on whose names are; one thread may take it twice.

    Raises:
        InputError: another one holds it for :data:`BUSY_SECONDS`, or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / ".order.lock", timeout=BUSY_SECONDS, is_singleton=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError("Other work is being started or ended just now. Try again.") from error
    except OSError as error:
        raise InputError(f"The folder of tables cannot be written ({error}). Make room on the disk.") from error
    try:
        yield
    finally:
        lock.release()


def in_order(root: Path) -> list[Path]:
    """Return the folders of the work that waits, the first of them first."""
    homes = [path.parent for path in root.glob(f"*/{TICKET}")]
    return sorted(homes, key=lambda home: (_number(home), home.name))


def enter(home: Path) -> None:
    """Let a piece of work wait behind all others; one that waits keeps its place."""
    if not (home / TICKET).exists():
        last = max((_number(other) for other in in_order(home.parent)), default=0)
        (home / TICKET).write_text(json.dumps({"ticket": last + 1}), encoding="utf-8")


def leave(home: Path) -> bool:
    """Take a piece of work out of the order; return whether it was in it."""
    try:
        (home / TICKET).unlink()
    except FileNotFoundError:
        return False
    return True


def place(home: Path) -> int:
    """Return how many pieces of work start no later than this one, itself among them; 0 where it does not wait."""
    if not (home / TICKET).exists():
        return 0
    homes = in_order(home.parent)
    return homes.index(home) + 1 if home in homes else 0


def _number(home: Path) -> int:
    try:
        return int(json.loads((home / TICKET).read_text(encoding="utf-8"))["ticket"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
