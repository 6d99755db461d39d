"""Find the folder in which the app keeps the tables and tuned models that it makes.

Constraint: standard library, and platformdirs where no setting names the folder; nothing is created here.
"""

from __future__ import annotations

import os
from pathlib import Path

SETTING = "VALUE_PALETTE_TABLES"


def kept_folder() -> Path:
    """Return the folder: ``VALUE_PALETTE_TABLES`` if set, else ``tables`` in the user's data folder."""
    if chosen := os.environ.get(SETTING):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_data_path("value-palette") / "tables"
