"""End a child process when its parent ends.

Constraint: standard library only.
"""

from __future__ import annotations

import os
import threading
import time


def exit_with_parent(parent: int, code: int) -> None:
    """Start a thread that ends this process within a second of its parent's end.

    Args:
        parent: process id of the parent.
        code: exit code of this process.
    """
    threading.Thread(target=_watch, args=(parent, code), daemon=True).start()


def _watch(parent: int, code: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(code)
