"""Tests, in a folder per package of the code; shared helpers are modules of this folder."""

from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).resolve().parents[1]
