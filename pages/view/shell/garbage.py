"""Collect garbage every few seconds instead of after each run of a page, and exclude long-lived objects from it."""

from __future__ import annotations

import gc
import threading

#: Seconds between two full collections of an app that is used.
COLLECTED_EVERY = 15.0


def freeze_loaded() -> None:
    """Collect garbage once, and exclude what is alive now from all later collections.

    A full collection takes 100 ms and more with a table and its libraries in memory. Objects that were frozen before
    are collected first, so that a table that was closed since, and is held only by a reference cycle, is freed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def collect_regularly(seconds: float = COLLECTED_EVERY) -> threading.Event:
    """Begin to run a full collection every so many seconds in which objects were made; return an event that ends it.

    Python's own full collections come the more seldom the more objects there are: what visits leave behind in reference
    cycles would be held until then. Streamlit's collection after each run looks through the pages of all visits.
    """
    ended = threading.Event()
    threading.Thread(target=_collect, args=(seconds, ended), name="garbage", daemon=True).start()
    return ended


def _collect(seconds: float, ended: threading.Event) -> None:
    before = -1
    while not ended.wait(seconds):
        if _young_collections() != before:
            gc.collect()
            before = _young_collections()


def _young_collections() -> int:
    """Return how often the youngest objects were collected, which happens each time some hundred were made."""
    return int(gc.get_stats()[0]["collections"])
