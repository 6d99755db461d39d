"""Bound the memory and time of this process, so that a file that expands without end kills a child, not the machine.

Two mechanisms, since neither suffices alone: the kernel refuses an allocation beyond the limit at once
(``RLIMIT_DATA``, Linux), and a thread that measures resident memory and time ends the process in the cases that the
kernel does not count or in which a library waits for ever. Constraint: standard library and psutil; where the kernel
has no such limit the thread works alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: Bytes per megabyte of a limit.
MEGABYTE = 10**6
#: Seconds between two measurements.
INTERVAL = 0.05
#: Exit codes of a process that has ended itself at a limit.
OUT_OF_MEMORY, OUT_OF_TIME = 86, 87


def resident_bytes(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, of this one by default; 0 if it has ended."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def limit_this_process(
    megabytes: float | None = None, seconds: float | None = None, on_reached: Callable[[int], None] | None = None
) -> None:
    """Bound this process's memory and time from now on; call it once libraries are loaded.

    An allocation beyond the limit raises ``MemoryError``; a process that exceeds a bound otherwise is ended.

    Args:
        megabytes: total resident memory, 10^6 bytes each; None for no bound.
        seconds: time from now on; None for no bound.
        on_reached: called with :data:`OUT_OF_MEMORY` or :data:`OUT_OF_TIME` before the process ends with it.
    """
    bytes_allowed = None if megabytes is None else int(megabytes * MEGABYTE)
    _limit_kernel(bytes_allowed)
    deadline = None if seconds is None else time.monotonic() + seconds

    def watch() -> None:
        while True:
            time.sleep(INTERVAL)
            reached = 0
            if bytes_allowed is not None and resident_bytes() > bytes_allowed:
                reached = OUT_OF_MEMORY
            elif deadline is not None and time.monotonic() > deadline:
                reached = OUT_OF_TIME
            if reached:
                try:
                    if on_reached is not None:
                        on_reached(reached)
                finally:
                    os._exit(reached)

    if bytes_allowed is not None or deadline is not None:
        threading.Thread(target=watch, name="process limits", daemon=True).start()


def ran_out_of_memory(error: BaseException | None) -> bool:
    """Return whether the error is, or was caused by, a failed allocation."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__
    return False


def _limit_kernel(bytes_allowed: int | None) -> None:
    """Make the kernel refuse allocations beyond the limit, and write no core file when a library aborts."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if bytes_allowed is not None:
            # Mapped but untouched memory (thread stacks, arenas) counts for the kernel but is not resident.
            reserved = _data_bytes()
            room = max(0, bytes_allowed - resident_bytes())
            resource.setrlimit(resource.RLIMIT_DATA, (reserved + room, reserved + room))


def _data_bytes() -> int:
    """Return the bytes that the kernel currently counts against ``RLIMIT_DATA``. Source: proc_pid_status(5), VmData."""
    with Path("/proc/self/status").open(encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))
