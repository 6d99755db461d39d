"""A file in another one's place: complete, or not there at all.

Constraint: standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what is to lie at ``path``: a file beside it, which takes its place when nothing was raised.

    Raises:
        OSError: it cannot be renamed, or what was written of it cannot be removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
