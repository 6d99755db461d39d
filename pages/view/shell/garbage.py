"""Keep the garbage collector away from what stays loaded, so that no answer waits for a look through all of it."""

from __future__ import annotations

import gc


def freeze_loaded() -> None:
    """Collect garbage once, and leave what is alive now out of all later collections.

    Streamlit runs a full collection after each script run, which takes 100 ms and more with a table and its libraries
    in memory. What was frozen before is looked through again first: a table that has been closed since, and is held by
    nothing but a cycle of its own, is freed here and not kept for ever.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
