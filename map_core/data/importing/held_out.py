"""Parse cells that say whether a prompt is held out: true and false, or the name of a split.

Constraint: an unknown word is an error; an empty cell means no.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from map_core.data.importing.cells import CellFaults, is_empty
from map_core.data.text_files.excerpts import short
from map_core.errors import InputError

#: Words in lower case, with spaces for _ and dashes.
YES = frozenset({"true", "yes", "y", "1", "1.0", "test", "held out", "heldout", "holdout", "hold out", "eval"}) | {
    *("validation", "valid", "val", "dev")
}
NO = frozenset({"false", "no", "n", "0", "0.0", "train", "training", "nan", ""})


class FlagColumn:
    """A column that says which prompts are held out, read in chunks.

    Args:
        name: the column's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._faults = CellFaults()

    @property
    def valid(self) -> bool:
        """Whether every cell so far was a yes or a no."""
        return self._faults.count == 0

    def read(self, cells: Sequence[Any] | np.ndarray, positions: Sequence[int]) -> list[bool]:
        """Parse the cells of a chunk, whose rows are at these positions; record those that are neither yes nor no."""
        flags = []
        for row, cell in zip(positions, cells.tolist() if isinstance(cells, np.ndarray) else cells, strict=True):
            word = "" if is_empty(cell) else " ".join(str(cell).lower().replace("_", " ").replace("-", " ").split())
            flags.append(word in YES)
            if word not in YES and word not in NO:
                self._faults.record(cell, row)
        return flags

    def refuse(self, where: str) -> None:
        """Raise if a cell is neither yes nor no.

        Args:
            where: the file, as the error names it.

        Raises:
            InputError: there is such a cell; the message has its row.
        """
        if self.valid:
            return
        fault = self._faults.describe(where, self.name, f"is {short(self._faults.first)}")
        raise InputError(
            f"{fault}; expected true or false, yes or no, 1 or 0, or train or test, to say whether the prompt is held "
            "out. Mend it, or choose another column or none."
        )
