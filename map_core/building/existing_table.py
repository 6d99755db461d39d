"""Access the replies and rewards of a finished table by prompt and candidate number, for a build that continues it.

Constraint: the columns stay in Arrow, a few bytes per token; a prompt's replies become Python objects only when they
are used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.types import Reply
from map_core.data import table_columns, table_file, table_format
from map_core.data.prompts import DEFAULT_USE_CASE, Prompt
from map_core.data.reward_table import HIDDEN, READING, RewardTable
from map_core.errors import InputError
from map_core.models.cache import sha256_of


class ExistingTable:
    """A finished table.

    Args:
        data: its columns.
        metadata: its metadata.
        values: its values.
        fingerprint: a hash of its content.

    Attributes:
        reading: sentences about decisions that reading its file took; not copied to tables made from it.
    """

    def __init__(self, data: pa.Table, metadata: Mapping[str, Any], values: tuple[str, ...], fingerprint: str) -> None:
        self.metadata, self.values, self.fingerprint = dict(metadata), values, fingerprint
        self.reading = tuple(map(str, self.metadata.pop(READING, ())))
        ids = data["prompt_id"] if "prompt_id" in data.column_names else data["prompt"]
        codes = ids.combine_chunks().dictionary_encode().indices.to_numpy()
        numbers = data["candidate"].to_numpy() if "candidate" in data.column_names else _occurrence_numbers(codes)
        order = np.lexsort((numbers, codes))
        if not np.array_equal(order, np.arange(len(order))):
            data, codes, numbers = data.take(pa.array(order)), codes[order], numbers[order]
        self._data, self._numbers = data, numbers.astype(np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(codes))])

    @classmethod
    def read(cls, path: Path) -> ExistingTable:
        """Read a table's file.

        Raises:
            InputError: the file does not exist or is not a table.
        """
        metadata = table_format.load_metadata(path) if path.is_file() else {}
        values = metadata.get("values")
        if not values:
            return cls.of(table_file.load(path))
        try:
            data, fingerprint = pq.read_table(path), sha256_of(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read ({error}). Give a reward table.") from error
        lacking = [name for name in (*table_columns.REQUIRED_COLUMNS, *values) if name not in data.column_names]
        if lacking or not data.num_rows:
            raise InputError(f"{path} is no reward table: it lacks {', '.join(lacking) or 'rows'}.")
        return cls(data, metadata, tuple(values), fingerprint)

    @classmethod
    def of(cls, table: RewardTable) -> ExistingTable:
        """Wrap a table in memory."""
        texts = "\0".join((*table.prompts, *table.replies)).encode()
        fingerprint = hashlib.sha256(texts + table.rewards.tobytes()).hexdigest()
        return cls(table_format.as_arrow(table), table.metadata, table.values, fingerprint)

    @cached_property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts, in their order."""
        first = self._data.take(pa.array(self._offsets[:-1]))

        def column(name: str, default: Any) -> list[Any]:
            return first[name].to_pylist() if name in first.column_names else [default] * first.num_rows

        texts = first["prompt"].to_pylist()
        ids = column("prompt_id", None)
        columns = (ids, column("use_case", DEFAULT_USE_CASE), texts, column("weight", 1.0), column("held_out", False))
        hidden = set(map(str, self.metadata.get(HIDDEN) or ()))
        return tuple(
            Prompt(text if i is None else str(i), str(use_case), text, float(weight), bool(held_out), str(i) in hidden)
            for i, use_case, text, weight, held_out in zip(*columns, strict=True)
        )

    @cached_property
    def candidates(self) -> int:
        """K: the number after the last candidate that was drawn for any prompt, including those that were left out."""
        return max(int(self._numbers.max()) + 1, int(self.metadata.get("candidates") or 0))

    @property
    def has_replies(self) -> bool:
        """Whether any reply has text to score."""
        return any(text.as_py() for text in self._data["reply"])

    def numbers(self, prompt: int) -> list[int]:
        """Return the candidate numbers of a prompt's replies."""
        return [int(number) for number in self._numbers[self._rows(prompt)]]

    def replies(self, prompt: int) -> dict[int, Reply]:
        """Return a prompt's replies by candidate number.

        The sum of a reply's log-probabilities is spread evenly over its tokens.
        """
        rows = self._rows(prompt)
        part = self._data.slice(rows.start, rows.stop - rows.start)
        size = part.num_rows
        tokens = part["tokens"].to_pylist() if "tokens" in part.column_names else [()] * size
        totals = part["log_prob"].to_pylist() if "log_prob" in part.column_names else [None] * size
        longest = self.metadata.get("sampling", {}).get("max_new_tokens", math.inf)
        by_number = {}
        for number, text, stored, total in zip(
            self.numbers(prompt), part["reply"].to_pylist(), tokens, totals, strict=True
        ):
            ids = tuple(stored or ())
            known = ids and total is not None and math.isfinite(total)
            log_probs = (total / len(ids),) * len(ids) if known else ()
            by_number[number] = Reply(text or "", ids, log_probs, finished=len(ids) < longest)
        return by_number

    def rewards(self, prompt: int, value: str) -> dict[int, float]:
        """Return a prompt's rewards for one of the values, by candidate number."""
        rows = self._rows(prompt)
        column = self._data[value].slice(rows.start, rows.stop - rows.start).to_pylist()
        by_number = zip(self.numbers(prompt), column, strict=True)
        return {number: float(reward) for number, reward in by_number if reward is not None}

    def log_probs(self, prompt: int) -> dict[int, float]:
        """Return the log-probabilities of a prompt's replies in nats, by candidate number; NaN where unknown."""
        rows = self._rows(prompt)
        if "log_prob" not in self._data.column_names:
            return dict.fromkeys(self.numbers(prompt), math.nan)
        column = self._data["log_prob"].slice(rows.start, rows.stop - rows.start).to_pylist()
        return {
            number: math.nan if log_prob is None else log_prob
            for number, log_prob in zip(self.numbers(prompt), column, strict=True)
        }

    def _rows(self, prompt: int) -> slice:
        return slice(int(self._offsets[prompt]), int(self._offsets[prompt + 1]))


def _occurrence_numbers(codes: np.ndarray) -> np.ndarray:
    """Return each row's number, from 0, among the rows with the same code."""
    counts: dict[int, int] = {}
    numbers = np.zeros(len(codes), dtype=np.int64)
    for row, code in enumerate(codes.tolist()):
        count = counts.get(code, 0)
        numbers[row], counts[code] = count, count + 1
    return numbers
