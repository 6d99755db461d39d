"""A table held in memory, in blocks that fit a core's cache.

Constraint: the data may be float32; what is reported is summed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from itertools import accumulate, pairwise, product
from typing import TypeVar

import numpy as np

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments, is_singular
from map_core.oracle.block import Block, stack_batches
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.reward_stats import Spread, combine_spreads
from map_core.oracle.threads import available_threads, each
from map_core.oracle.weighted import apply_prompt_weights

T = TypeVar("T")

#: Numbers in a block: few enough that what a pass adds to it stays near the core, and enough of them that threads
#: seldom wait for Python. A table that is larger than the least has blocks for every thread.
BLOCK, LEAST_BLOCK = 1_048_576, 131_072
#: The share of the prompts that is asked first whether values are redundant.
CLEARING = 1 / 64


class MemoryOracle(Oracle):
    """A table held in memory.

    Args:
        rewards: (reply, value), ordered by prompt; float32 is kept as it is, all else becomes float64.
        offsets: (prompt + 1,) where each prompt's replies begin.
        values: names of the values.
        form: per prompt or pooled.
        threads: most threads that a pass may use; the cores of this machine by default.

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
    ) -> None:
        form, rewards, offsets = Form(form), np.asarray(rewards), np.asarray(offsets, dtype=np.int64)
        if rewards.dtype != np.float32:
            rewards = rewards.astype(np.float64, copy=False)
        counts = np.diff(offsets)
        check_form(form, int(counts.max()))
        threads = available_threads() if threads is None else threads
        parts = [
            (rewards[offsets[a] : offsets[b]], counts[a:b]) for a, b in block_cuts(offsets, rewards.shape[1], threads)
        ]
        spread = combine_spreads(form, each(lambda part: Spread.of(*part, form), parts, threads))
        self._standardise(parts, values, form, spread, threads)

    @classmethod
    def part(
        cls,
        parts: Sequence[tuple[np.ndarray, np.ndarray]],
        values: tuple[str, ...],
        form: Form,
        spread: Spread,
        *,
        threads: int | None = None,
    ) -> MemoryOracle:
        """The oracle of some prompts of a table, in the units of the whole.

        Args:
            parts: rewards (reply, value) and reply counts (prompt,) of prompts in order, a block each.
            values, form: as above.
            spread: that of the whole table.
            threads: as above.
        """
        part = cls.__new__(cls)
        part._standardise(parts, values, form, spread, available_threads() if threads is None else threads)
        part.prompts = sum(len(counts) for _, counts in parts)
        part.replies = sum(len(rewards) for rewards, _ in parts)
        return part

    def _standardise(
        self,
        parts: Sequence[tuple[np.ndarray, np.ndarray]],
        values: tuple[str, ...],
        form: Form,
        spread: Spread,
        threads: int,
    ) -> None:
        self._describe(tuple(values), form, spread)
        if parts[0][0].dtype == np.float32:
            self.resolution = 1e-6
        self._hold(each(lambda part: Block.of(part[0].T, part[1], spread, form), parts, threads), threads)

    def _hold(self, blocks: Sequence[Block], threads: int) -> None:
        self._blocks, self._threads = blocks, threads
        self._sizes = [block.size for block in blocks]
        self._parts: dict[float, Oracle] = {}

    @classmethod
    def of(cls, table: RewardTable, form: Form | None = None) -> Oracle:
        """The oracle of a table, in the table's own form unless another is asked for.

        Where its prompts have weights or some are held out, each counts by that, see :mod:`map_core.oracle.weighted`.
        """
        form = table.form if form is None else form
        return apply_prompt_weights(cls(table.rewards, table.offsets, table.values, form), table.prompt_weights)

    def moments(self, weights: np.ndarray) -> Moments:
        weights = np.asarray(weights, dtype=np.float64)
        return combine_moments(self.form, self._sizes, self._each(lambda block: block.moments(weights)))

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        weights = np.asarray(weights, dtype=np.float64)
        ends = list(accumulate((block.prompts for block in self._blocks), initial=0))
        # One block answers a large batch in as many pieces as there are threads.
        large = len(self._blocks) == 1 and len(weights) * self.replies >= 4 * BLOCK
        pieces = min(self._threads, len(weights)) if large else 1
        rows = list(pairwise(np.linspace(0, len(weights), pieces + 1).astype(int)))

        def ask(part: tuple[int, tuple[int, int]]) -> BatchMoments:
            number, (first, last) = part
            counted = None
            if multiplicity is not None:
                counted = np.asarray(multiplicity[first:last, ends[number] : ends[number + 1]], dtype=np.float64)
            return self._blocks[number].batch_moments(weights[first:last], counted, covariance)

        answers = each(ask, list(product(range(len(self._blocks)), rows)), self._threads)
        return stack_batches(answers) if pieces > 1 else combine_batches(self.form, answers)

    def best(self, weights: np.ndarray) -> np.ndarray:
        return combine_best(self.form, weights, self._sizes, self._each(lambda block: block.best(weights)))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        return combine_prompts(self.form, self._each(lambda block: block.by_prompt(weights)))

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate(self._each(lambda block: block.best_by_prompt(weights)))

    def subsample(self, share: float) -> Oracle | None:
        """The first prompts of every block."""
        if len(self._blocks) == 1 or share > 0.5:
            return None
        if share not in self._parts:
            self._parts[share] = self._beginnings(share)
        return self._parts[share]

    @cached_property
    def has_redundant_values(self) -> bool:
        return not shows_full_rank(self.subsample(CLEARING)) and is_singular(self.base_moments.covariance)

    def _beginnings(self, share: float) -> MemoryOracle:
        run = round(1.0 / share)
        runs = [self._blocks[first : first + run] for first in range(0, len(self._blocks), run)]
        part = copy(self)
        for cached in ("base_moments", "has_redundant_values"):
            part.__dict__.pop(cached, None)
        part._hold(each(lambda run: Block.subsample(run, share), runs, self._threads), self._threads)
        part.prompts, part.replies = sum(b.prompts for b in part._blocks), sum(b.replies for b in part._blocks)
        return part

    def _each(self, ask: Callable[[Block], T]) -> list[T]:
        if len(self._blocks) == 1 and self.replies * len(self.values) <= LEAST_BLOCK:
            return [ask(self._blocks[0])]
        return each(ask, self._blocks, self._threads)


def shows_full_rank(part: Oracle | None) -> bool:
    """Whether a part of a table shows that no values are redundant, so that the whole need not be asked.

    The covariance of the whole is at least that of the part times its share.
    """
    return part is not None and bool(np.linalg.eigvalsh(part.base_moments.covariance)[0] > 1e-3)


def check_form(form: Form, most: int) -> None:
    """Refuse the per-prompt form where no prompt has two replies.

    Raises:
        InputError: it is so.
    """
    if form is Form.PER_PROMPT and most == 1:
        raise InputError(
            "The per-prompt form needs prompts with two replies or more; here every prompt has one. "
            "Use the pooled form, or build the table with more candidates."
        )


def block_cuts(offsets: np.ndarray, values: int, threads: int) -> list[tuple[int, int]]:
    """First prompts of the blocks of a table, and the prompts after their last ones."""
    numbers = min(BLOCK, max(LEAST_BLOCK, int(offsets[-1]) * values // (4 * threads)))
    replies = max(1, numbers // values)
    wanted = np.searchsorted(offsets, np.arange(replies, offsets[-1], replies))
    inside = [int(cut) for cut in np.unique(wanted) if 0 < cut < len(offsets) - 1]
    return list(pairwise([0, *inside, len(offsets) - 1]))
