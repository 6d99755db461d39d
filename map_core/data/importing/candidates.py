"""Read candidate numbers, which order the replies to a prompt in the table."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

_LARGEST = 2**63 - 1
#: The largest number that the table's format has.
_LARGEST_KEPT = 2**31 - 1


class CandidateNumbers:
    """A column of candidate numbers, read in chunks; an unusable column leaves the order of the file.

    Args:
        name: the column's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers = array("q")
        self._whole = True

    def add(self, cells: Iterable[Any]) -> None:
        """Add the cells of a chunk."""
        if not self._whole:
            return
        for cell in cells:
            number = _whole_number(cell)
            if number is None or abs(number) > _LARGEST:
                self._whole = False
                return
            self._numbers.append(number)

    def of_rows(self, prompt_of: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Return the number of each row among the replies to its prompt, and notes for the user.

        They are the numbers of the file, so that a label of candidate 3 still refers to that reply where earlier ones
        were left out; ranks from 0 where a number is below 0 or too large.

        Args:
            prompt_of: (row,) the index of each row's prompt.

        Returns:
            (row,) int32; empty where they are 0, 1, 2 and so on in the order of the file.
        """
        none = np.empty(0, dtype=np.int32)
        if not self._whole:
            return none, [f"{self.name!r} holds no whole numbers, so replies keep the order of the file."]
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        order = np.lexsort((numbers, prompt_of))
        same_prompt = np.diff(prompt_of[order]) == 0
        if np.any(same_prompt & (np.diff(numbers[order]) == 0)):
            return none, [f"{self.name!r} gives two replies to one prompt the same number; they keep the file's order."]
        begins = np.flatnonzero(np.concatenate([[True], ~same_prompt]))
        ranks = np.empty(len(order), dtype=np.int32)
        ranks[order] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
        in_file_order = bool(np.all(order[1:][same_prompt] > order[:-1][same_prompt]))
        fit = numbers.min(initial=0) >= 0 and numbers.max(initial=0) <= _LARGEST_KEPT
        kept = numbers.astype(np.int32) if fit else ranks
        return (none if in_file_order and np.array_equal(kept, ranks) else kept), []


def _whole_number(cell: Any) -> int | None:
    if isinstance(cell, str):
        text = cell.strip()
        return int(text) if text.isascii() and text.isdecimal() else None
    return int(cell) if isinstance(cell, int | np.integer) and not isinstance(cell, bool) else None
