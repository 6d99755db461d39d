"""Tests, a folder for each package of the code; what several of them share lies beside them."""

from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).resolve().parents[1]
