"""The values of one's own that a table offers as targets: in use, scored on its replies, and with a name of their own.

Asked for at every move of a hand, so what the database says is remembered for a moment; whoever changes it here says
so with :func:`forget`, and what another process changes is seen a moment later.
"""

from __future__ import annotations

import logging
import threading
import time

from map_core.errors import PaletteError
from map_core.own_values import kept
from map_core.rewards import RewardTable
from map_core.store import database, own_values
from map_core.values import Definition, cards

REMEMBERED_SECONDS = 1.0
log = logging.getLogger("value_palette")

_lock = threading.Lock()
_known: list[tuple[float, tuple[Definition, ...]]] = []


def offered(table: RewardTable) -> tuple[Definition, ...]:
    """The definitions that the table has scores for and whose names are free, in the order of their values."""
    taken, found = {*table.values, *cards()}, []
    for one in in_use():
        if one.name not in taken and kept.path_of(kept.replies_key(table), one).is_file():
            found.append(one)
    return tuple(found)


def in_use() -> tuple[Definition, ...]:
    """The definitions that are in use on any table; none where the database does not answer."""
    with _lock:
        if _known and time.monotonic() - _known[0][0] < REMEMBERED_SECONDS:
            return _known[0][1]
        try:
            used = [one.used for one in own_values.listed(database())]
        except PaletteError as error:
            log.warning("Values of one's own are left out: %s", error)
            used = []
        _known[:] = [(time.monotonic(), tuple(one for one in used if one is not None))]
        return _known[0][1]


def forget() -> None:
    """Look at the database again the next time."""
    with _lock:
        _known.clear()
