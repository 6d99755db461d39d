"""The queue of waiting jobs: a small ticket file in the folder of each of them.

Tickets are increasing numbers; no clock is used, so that a change of the clock does not change the order. Constraint:
callers that write hold :func:`order_lock`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from map_core.errors import InputError

#: The file that marks a waiting job and holds its number.
TICKET = "waiting.json"
#: Seconds to wait for another process that holds the lock.
BUSY_SECONDS = 10


@contextmanager
def order_lock(root: Path) -> Iterator[None]:
    """Lock the queue and the names of a folder of jobs; reentrant within a thread.

    Raises:
        InputError: another process holds it for :data:`BUSY_SECONDS`, or the folder cannot be written.
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
    """Return the folders of the waiting jobs in the order of the queue."""
    homes = [path.parent for path in root.glob(f"*/{TICKET}")]
    return sorted(homes, key=lambda home: (_number(home), home.name))


def enter(home: Path) -> None:
    """Add a job to the end of the queue; one that already waits keeps its position."""
    if not (home / TICKET).exists():
        last = max((_number(other) for other in in_order(home.parent)), default=0)
        (home / TICKET).write_text(json.dumps({"ticket": last + 1}), encoding="utf-8")


def leave(home: Path) -> bool:
    """Remove a job from the queue; return whether it was in it."""
    try:
        (home / TICKET).unlink()
    except FileNotFoundError:
        return False
    return True


def place(home: Path) -> int:
    """Return the position of a job in the queue, from 1; 0 if it does not wait."""
    if not (home / TICKET).exists():
        return 0
    homes = in_order(home.parent)
    return homes.index(home) + 1 if home in homes else 0


def _number(home: Path) -> int:
    try:
        return int(json.loads((home / TICKET).read_text(encoding="utf-8"))["ticket"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
