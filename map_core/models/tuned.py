"""Models that the app has tuned: a folder each beside the tables, found by its name.

Constraint: no model library; whose a model is and who sees it is decided in :mod:`map_core.catalog.visitor_catalog`.
"""

from __future__ import annotations

import re
from pathlib import Path

from map_core.core.kept_folder import kept_folder

#: What a finished tuning writes last.
RECORD = "tuning.json"
#: Below the folder that the app keeps.
FOLDER = "tuned"
_NAME = re.compile(r"\w[\w \-]*")


def tuned_folder(name: str) -> Path:
    """Return the folder of a tuned model, whether it is there or not; its name is one of the catalog's."""
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
