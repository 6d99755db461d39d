"""Find the files that are shipped beside the code: the embedded table, presets, labels, fonts, pages.

In a checkout they are beside ``map_core``; in an installed wheel they are in ``value_palette_app``, also beside it.
Constraint: standard library only; no other module computes where the project is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from map_core.errors import InputError

#: The folder of an installed wheel with the files outside ``map_core``: ``app.py``, ``pages``, ``assets``.
INSTALLED = "value_palette_app"
#: The folder that holds ``map_core``: the checkout, or site-packages.
CODE_FOLDER = Path(__file__).resolve().parents[2]


def app_folder(root: Path = CODE_FOLDER) -> Path:
    """Return the folder with ``app.py``, ``pages`` and ``assets``.

    Args:
        root: the folder that holds ``map_core``: the checkout, or site-packages.
    """
    return root if (root / "app.py").is_file() and (root / "assets").is_dir() else root / INSTALLED


#: The folder of the shipped files; :func:`asset` checks that a file exists.
ASSETS = app_folder() / "assets"
#: Environment variable: a folder whose four files, named as in ``assets``, replace the embedded default.
DEFAULTS_SETTING = "VALUE_PALETTE_DEFAULTS"
#: The folder of the default table, its presets, its labels and its delivery study.
DEFAULTS = Path(os.environ.get(DEFAULTS_SETTING) or ASSETS)


def asset(*names: str, folder: Path = ASSETS) -> Path:
    """Return the path of a shipped file.

    Args:
        names: its path below ``assets``, such as ``"fonts", "newsreader-latin.woff2"``.
        folder: the folder of the shipped files.

    Raises:
        InputError: there is no such file.
    """
    path = folder.joinpath(*names)
    if not path.exists():
        raise InputError(f"{path} is missing. Restore the checkout, or install Value Palette again.")
    return path
