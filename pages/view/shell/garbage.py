"""Exclude long-lived objects from garbage collection, so that no answer waits for a full collection."""

from __future__ import annotations

import gc


def freeze_loaded() -> None:
    """Collect garbage once, and exclude what is alive now from all later collections.

    A full collection takes 100 ms and more with a table and its libraries in memory. Objects that were frozen before
    are collected first, so that a table that was closed since, and is held only by a reference cycle, is freed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
