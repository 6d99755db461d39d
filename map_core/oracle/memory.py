"""A table held in memory, in blocks that fit a core's cache.

Constraint: the data may be float32; what is reported is summed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise, product
from typing import TypeVar

import numpy as np

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments
from map_core.oracle.block import Block, stack_batches
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.reward_stats import RewardStats, combine_stats
from map_core.oracle.threads import available_threads, map_threads
from map_core.oracle.weighted import apply_prompt_weights

T = TypeVar("T")

#: Most and fewest numbers in a block: few enough that a pass stays in a core's cache, enough that threads seldom wait
#: for the interpreter lock. A table of more than the fewest is split so that every thread has blocks.
BLOCK, LEAST_BLOCK = 1_048_576, 131_072


class MemoryOracle(Oracle):
    """A table held in memory.

    Args:
        rewards: (reply, value), ordered by prompt; float32 is kept, all else becomes float64.
        offsets: (prompt + 1,) where each prompt's replies begin.
        values: names of the values.
        form: per prompt or pooled.
        threads: most threads that a pass may use; the cores of this machine by default.
        derived: how many of the values are derived columns, which do not change the blocks: ten of them beside the
            embedded table's values take 1.9 times a plain pass in its one block, and 2.6 times in two.

    Raises:
        InputError: the per-prompt form is asked for and no prompt has two replies.

    Example:
        >>> oracle = MemoryOracle([[0.0], [1.0]], [0, 2], ("humor",), Form.PER_PROMPT)
        >>> float(oracle.base[0])
        0.5
    """

    def __init__(
        self,
        rewards: np.ndarray,
        offsets: np.ndarray,
        values: tuple[str, ...],
        form: Form,
        *,
        threads: int | None = None,
        derived: int = 0,
    ) -> None:
        form, rewards, offsets = Form(form), np.asarray(rewards), np.asarray(offsets, dtype=np.int64)
        if rewards.dtype != np.float32:
            rewards = rewards.astype(np.float64, copy=False)
        counts = np.diff(offsets)
        check_form(form, int(counts.max()))
        threads = available_threads() if threads is None else threads
        parts = [
            (rewards[offsets[a] : offsets[b]], counts[a:b])
            for a, b in block_cuts(offsets, rewards.shape[1] - derived, threads)
        ]
        stats = combine_stats(form, map_threads(lambda part: RewardStats.of(*part, form), parts, threads))
        self._standardise(parts, values, form, stats, threads)

    @classmethod
    def part(
        cls,
        parts: Sequence[tuple[np.ndarray, np.ndarray]],
        values: tuple[str, ...],
        form: Form,
        stats: RewardStats,
        *,
        threads: int | None = None,
    ) -> MemoryOracle:
        """Return the oracle of some prompts of a table, in the units of the whole.

        Args:
            parts: rewards (reply, value) and reply counts (prompt,) of prompts in order, a block each.
            values: as for the class.
            form: as for the class.
            stats: of the whole table.
            threads: as for the class.
        """
        part = cls.__new__(cls)
        part._standardise(parts, values, form, stats, available_threads() if threads is None else threads)
        part.prompts = sum(len(counts) for _, counts in parts)
        part.replies = sum(len(rewards) for rewards, _ in parts)
        return part

    def _standardise(
        self,
        parts: Sequence[tuple[np.ndarray, np.ndarray]],
        values: tuple[str, ...],
        form: Form,
        stats: RewardStats,
        threads: int,
    ) -> None:
        self._describe(tuple(values), form, stats)
        if parts[0][0].dtype == np.float32:
            self.resolution = 1e-6
        self._hold(map_threads(lambda part: Block.of(part[0].T, part[1], stats, form), parts, threads), threads)

    def _hold(self, blocks: Sequence[Block], threads: int) -> None:
        self._blocks, self._threads = blocks, threads
        self._sizes = [block.size for block in blocks]
        self._parts: dict[float, Oracle] = {}

    @classmethod
    def of(cls, table: RewardTable, form: Form | None = None) -> Oracle:
        """Return the oracle of a table with its prompt weights and held-out flags applied.

        Args:
            table: the table.
            form: per prompt or pooled; the table's own by default.

        Returns:
            The oracle, inside a :class:`map_core.oracle.weighted.WeightedOracle` where prompts have weights.
        """
        form = table.form if form is None else form
        oracle = cls(table.rewards, table.offsets, table.values, form, derived=len(table.derived))
        return apply_prompt_weights(oracle, table.prompt_weights)

    def moments(self, weights: np.ndarray) -> Moments:
        """Return the moments at x, see :meth:`Oracle.moments`."""
        weights = np.asarray(weights, dtype=np.float64)
        return combine_moments(self.form, self._sizes, self._map_blocks(lambda block: block.moments(weights)))

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors, see :meth:`Oracle.batch_moments`."""
        weights = np.asarray(weights, dtype=np.float64)
        ends = list(accumulate((block.prompts for block in self._blocks), initial=0))
        # A large batch over one block is split over the threads.
        large = len(self._blocks) == 1 and len(weights) * self.replies >= 4 * BLOCK
        pieces = min(self._threads, len(weights)) if large else 1
        rows = list(pairwise(np.linspace(0, len(weights), pieces + 1).astype(int)))

        def evaluate(part: tuple[int, tuple[int, int]]) -> BatchMoments:
            block, (first, last) = part
            counted = None
            if multiplicity is not None:
                counted = np.asarray(multiplicity[first:last, ends[block] : ends[block + 1]], dtype=np.float64)
            return self._blocks[block].batch_moments(weights[first:last], counted, covariance)

        results = map_threads(evaluate, list(product(range(len(self._blocks)), rows)), self._threads)
        return stack_batches(results) if pieces > 1 else combine_batches(self.form, results)

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels of the best replies, see :meth:`Oracle.best`."""
        return combine_best(self.form, weights, self._sizes, self._map_blocks(lambda block: block.best(weights)))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's moments, see :meth:`Oracle.by_prompt`."""
        return combine_prompts(self.form, self._map_blocks(lambda block: block.by_prompt(weights)))

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return each prompt's best levels, see :meth:`Oracle.best_by_prompt`."""
        return np.concatenate(self._map_blocks(lambda block: block.best_by_prompt(weights)))

    def subsample(self, share: float) -> Oracle | None:
        """Return the first prompts of every block."""
        if len(self._blocks) == 1 or share > 0.5:
            return None
        if share not in self._parts:
            self._parts[share] = self._first_prompts(share)
        return self._parts[share]

    def of_values(self, which: np.ndarray) -> MemoryOracle:
        """Return an oracle of some of the values alone, see :meth:`Oracle.of_values`."""
        part = self._copy_of_values(which)
        part._hold([block.of_values(which) for block in self._blocks], self._threads)
        return part

    def _first_prompts(self, share: float) -> MemoryOracle:
        run = round(1.0 / share)
        runs = [self._blocks[first : first + run] for first in range(0, len(self._blocks), run)]
        part = self._uncached_copy()
        part._hold(map_threads(lambda run: Block.subsample(run, share), runs, self._threads), self._threads)
        part.prompts, part.replies = sum(b.prompts for b in part._blocks), sum(b.replies for b in part._blocks)
        return part

    def _map_blocks(self, evaluate: Callable[[Block], T]) -> list[T]:
        if len(self._blocks) == 1 and self.replies * len(self.values) <= LEAST_BLOCK:
            return [evaluate(self._blocks[0])]
        return map_threads(evaluate, self._blocks, self._threads)


def check_form(form: Form, most_replies: int) -> None:
    """Refuse the per-prompt form where no prompt has two replies.

    Raises:
        InputError: every prompt has one reply.
    """
    if form is Form.PER_PROMPT and most_replies == 1:
        raise InputError(
            "The per-prompt form needs prompts with two replies or more; here every prompt has one. "
            "Use the pooled form, or build the table with more candidates."
        )


def block_cuts(offsets: np.ndarray, values: int, threads: int) -> list[tuple[int, int]]:
    """Return the blocks of a table as half-open ranges of prompts, (first, end)."""
    numbers = min(BLOCK, max(LEAST_BLOCK, int(offsets[-1]) * values // (4 * threads)))
    replies = max(1, numbers // values)
    ends = np.searchsorted(offsets, np.arange(replies, offsets[-1], replies))
    inside = [int(cut) for cut in np.unique(ends) if 0 < cut < len(offsets) - 1]
    return list(pairwise([0, *inside, len(offsets) - 1]))
