"""The levels of prompts at any weights, on both sides of a promise: those solved on, and new ones.

Constraint: levels are those of a generator that draws K candidates, in the units of the prompts solved on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, Oracle

#: Subsets of each prompt's replies where a generator draws fewer than the table holds.
SUBSETS = 8
#: Least prompts that are bet on.
LEAST_PROMPTS = 8


def can_certify(table: RewardTable, form: Form) -> bool:
    """Return whether a table holds enough prompts out, with replies to choose among."""
    enough = int(np.sum(~table.counted)) >= LEAST_PROMPTS and int(table.candidates.min()) >= 2
    return enough and form is Form.PER_PROMPT and not any(column.mix for column in table.derived)


@dataclass(frozen=True, eq=False)
class PromptSample:
    """The levels of some prompts at any weights, in the units of the prompts that were solved on.

    Args:
        at: from (value,) x to (prompt, value) levels.
        mass: (prompt,) how much each counts, with mean 1.
        range: (2, value) the lowest and the highest reward of a reply.
        candidates: K.
    """

    at: Callable[[np.ndarray], np.ndarray]
    mass: np.ndarray
    range: np.ndarray
    candidates: int


def table_samples(
    table: RewardTable, fresh: RewardTable | None = None, candidates: int | None = None
) -> tuple[Oracle, PromptSample, PromptSample]:
    """Return what a palette is solved on for K candidates, and the prompts on either side.

    Args:
        table: solved on, without its held-out prompts.
        fresh: new replies to other prompts; the table's held-out prompts by default.
        candidates: K; as many as every new prompt has by default.

    Raises:
        InputError: too few new prompts, fewer candidates than K, other values, or a mix of prompts among the columns.
    """
    if fresh is None:
        numbers = np.flatnonzero(~table.counted)
        if not len(numbers):
            raise InputError(
                "The table holds no prompts out. Give fresh replies to other prompts, such as of `verify`."
            )
        kept = replace(table.without_columns(), held_out=np.empty(0, dtype=bool)).take(numbers.tolist())
        fresh = kept.with_columns(table.derived) if table.derived else kept
    else:
        fresh = fresh.without_held_out()
    if any(column.mix for column in table.derived):
        raise InputError("A mix of prompts is that of the table's own prompts; certify the targets without it.")
    solved_on = table.without_held_out()
    if solved_on.values != fresh.values:
        raise InputError(f"The tables have {', '.join(table.values)} and {', '.join(fresh.values)}; expected the same.")
    known = set(zip(solved_on.use_cases, solved_on.prompts, strict=True))
    if shared := [p for p in zip(fresh.use_cases, fresh.prompts, strict=True) if p in known]:
        raise InputError(f"{len(shared)} of the new prompts were solved on, such as {shared[0][1]!r}. Give others.")
    if len(fresh.prompts) < LEAST_PROMPTS:
        raise InputError(f"There are {len(fresh.prompts)} new prompts; expected {LEAST_PROMPTS} or more.")
    least = int(min(fresh.candidates.min(), solved_on.candidates.min()))
    candidates = least if candidates is None else candidates
    if not 2 <= candidates <= least:
        raise InputError(
            f"A promise for {candidates} candidates needs as many replies to every prompt, and 2 or more; there are "
            f"{least}."
        )
    oracle, seen = solved_sample(solved_on, candidates)
    _, new = _sample(fresh, candidates, oracle)
    return oracle, seen, new


def solved_sample(table: RewardTable, candidates: int) -> tuple[Oracle, PromptSample]:
    """Return the oracle of a table without held-out prompts for K candidates, and the levels of its prompts."""
    return _sample(table, candidates, None)


def _sample(table: RewardTable, candidates: int, units: Oracle | None) -> tuple[Oracle, PromptSample]:
    part = subsample_candidates(table, candidates, subsets=SUBSETS)
    oracle = MemoryOracle.of(part, Form.PER_PROMPT)
    units = oracle if units is None else units
    subsets = len(part.prompts) // len(table.prompts)

    def levels(x: np.ndarray) -> np.ndarray:
        own = oracle.rewards_at(oracle.by_prompt(x / units.scale * oracle.scale).levels)
        return units.standardise(own.reshape(len(table.prompts), subsets, -1).mean(axis=1))

    mass = np.ones(len(table.prompts)) if not table.weights.size else table.weights / table.weights.mean()
    ends = units.standardise(np.stack([table.rewards.min(axis=0), table.rewards.max(axis=0)]))
    return oracle, PromptSample(levels, mass, ends, candidates)
