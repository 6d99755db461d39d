"""Models that the app has tuned: a folder for each beside the tables, found by name.

Constraint: no model library; ownership and visibility are decided in :mod:`map_core.catalog.visitor_catalog`.
"""

from __future__ import annotations

import re
from pathlib import Path

from map_core.core.kept_folder import kept_folder

#: The file that a finished tuning writes last.
RECORD = "tuning.json"
#: The folder of tuned models below the app's folder.
FOLDER = "tuned"
_NAME = re.compile(r"\w[\w \-]*")


def tuned_folder(name: str) -> Path:
    """Return the folder of a tuned model, existing or not; its name must be one of the catalog's."""
    return kept_folder() / FOLDER / name


def is_finished(folder: Path) -> bool:
    """Return whether a folder holds a model whose tuning is done."""
    return (folder / RECORD).is_file()


def find_tuned(name: str) -> Path | None:
    """Return the folder of the finished tuned model of this name; None where there is none."""
    if not _NAME.fullmatch(name):
        return None
    folder = tuned_folder(name)
    return folder if is_finished(folder) else None


def tuned_version(name: str) -> str:
    """Return what tells models apart that have had one name after the other; "" where there is no finished one now."""
    folder = find_tuned(name)
    try:
        written = None if folder is None else (folder / RECORD).stat()
    except FileNotFoundError:  # deleted in between
        written = None
    return "" if written is None else f"{written.st_mtime_ns}-{written.st_size}"
