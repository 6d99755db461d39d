"""The heap of a process that runs for weeks: memory that was freed goes back, and does not stay in many places.

Constraint: standard library only; does nothing where the C library is not GNU's.
"""

from __future__ import annotations

import ctypes
import os

#: Of mallopt(3): how many arenas there are at most.
_M_ARENA_MAX = -8
#: Arenas beside each other; with one for each thread that ever ran, what one has freed is of no use to the next.
ARENAS = 2


def keep_few_arenas() -> bool:
    """Let all threads share a few arenas, unless ``MALLOC_ARENA_MAX`` says how many; whether that could be done.

    Each visit's scripts, and each start of a model process, run in threads of their own. GNU's allocator gives them up
    to eight arenas a core, each of which grows to the most that its threads have ever needed at a time.
    Source: mallopt(3).
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS))
    except (OSError, AttributeError, TypeError):  # not GNU's, or none at all
        return False
