"""The folder in which the app keeps what it makes: tables, and models that were tuned.

Constraint: standard library, and platformdirs where no setting names the folder; nothing is made here.
"""

from __future__ import annotations

import os
from pathlib import Path

SETTING = "VALUE_PALETTE_TABLES"


def kept_folder() -> Path:
    """Return the folder in force: ``VALUE_PALETTE_TABLES``, or ``tables`` in this person's data folder."""
    if chosen := os.environ.get(SETTING):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_data_path("value-palette") / "tables"
