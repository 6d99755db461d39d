"""A child process that leaves when its parent does.

Constraint: standard library only.
"""

from __future__ import annotations

import os
import threading
import time


def exit_with_parent(parent: int, code: int) -> None:
    """Watch the parent from now on; end this process within a second of its end, whatever is being done.

    Args:
        parent: process id of the parent.
        code: exit code of this process then.
    """
    threading.Thread(target=_watch, args=(parent, code), daemon=True).start()


def _watch(parent: int, code: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(code)
