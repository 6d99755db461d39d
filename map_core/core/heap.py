"""Limit the arenas of GNU's memory allocator, so that a process that runs for weeks can reuse freed memory.

Constraint: standard library only; does nothing where the C library is not glibc.
"""

from __future__ import annotations

import ctypes
import os

#: Parameter of mallopt(3): the maximum number of arenas.
_M_ARENA_MAX = -8
#: Number of arenas; with many of them, memory that one thread has freed cannot be used by the next.
ARENAS = 2


def keep_few_arenas() -> bool:
    """Make all threads share :data:`ARENAS` arenas, unless ``MALLOC_ARENA_MAX`` is set; return whether it was done.

    Each visit's scripts, and each start of a model process, run in threads of their own. glibc gives them up to eight
    arenas per core, each of which grows to the largest amount that its threads have ever needed at once.
    Source: mallopt(3).
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS))
    except (OSError, AttributeError, TypeError):  # another C library, or none that can be loaded
        return False
