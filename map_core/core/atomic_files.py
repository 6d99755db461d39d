"""A file in another one's place: complete, or not there at all.

Constraint: standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, partial: Path | None = None) -> Iterator[Path]:
    """Where to write what is to lie at ``path``: a file beside it, which takes its place when nothing was raised.

    Args:
        path: of the file.
        partial: the file beside it, where nobody else writes; one of this process's own when None.

    Raises:
        OSError: it cannot be renamed, or what was written of it cannot be removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part") if partial is None else partial
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
