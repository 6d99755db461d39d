"""The levels of prompts at any weights, for the prompts solved on and for the new prompts of a promise.

Constraint: levels are those of a generator that draws K candidates, in the units of the prompts solved on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from map_core.core.types import Form
from map_core.data.derived_columns import Cohort, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, Oracle

#: Subsets of each prompt's replies where a generator draws fewer than the table holds.
SUBSETS = 8
#: Minimum number of new prompts.
MIN_PROMPTS = 8


def can_certify(table: RewardTable, form: Form) -> bool:
    """Return whether a table holds out enough prompts, with replies to choose among."""
    enough = int(np.sum(~table.counted)) >= MIN_PROMPTS and int(table.candidates.min()) >= 2
    return enough and form is Form.PER_PROMPT and not _cohorts_without_prompts(table, ~table.counted)


@dataclass(frozen=True, eq=False)
class PromptSample:
    """The levels of some prompts at any weights, in the units of the prompts that were solved on.

    Args:
        at: maps (value,) x to (prompt, value) levels; for a cohort's column the level within the cohort, and for a mix
            of prompts the level of its value, since a mix has weight 1 on a prompt that is not in the table.
        mass: (prompt, value) weight of each prompt, with mean 1 over prompts; 0 outside a column's cohort.
        range: (2, value) the lowest and the highest reward of a reply.
        candidates: K.
        cohorts: positions of the columns that belong to a cohort.
        planes: positions of the columns that are mixes of prompts, which are cutting planes and not targets.
    """

    at: Callable[[np.ndarray], np.ndarray]
    mass: np.ndarray
    range: np.ndarray
    candidates: int
    cohorts: tuple[int, ...] = ()
    planes: tuple[int, ...] = ()


def table_samples(
    table: RewardTable, fresh: RewardTable | None = None, candidates: int | None = None
) -> tuple[Oracle, PromptSample, PromptSample]:
    """Return the oracle that a palette is solved on for K candidates, the prompts solved on, and the new prompts.

    Args:
        table: the table; its held-out prompts are not solved on.
        fresh: new replies to other prompts; the table's held-out prompts by default.
        candidates: K; by default as many as every prompt has replies.

    Raises:
        InputError: too few new prompts, none of a cohort that has a target, fewer candidates than K, or other values.
    """
    if fresh is None:
        held_out = np.flatnonzero(~table.counted)
        if not len(held_out):
            raise InputError("The table holds out no prompts. Give fresh replies to others, such as from `verify`.")
        plain = replace(table.without_columns(), held_out=np.empty(0, dtype=bool)).take(held_out.tolist())
    else:
        plain = fresh.without_columns().without_held_out()
    fresh = plain.with_columns(_without_mixes(table)) if table.derived else plain
    solved_on = table.without_held_out()
    if solved_on.values != fresh.values:
        raise InputError(f"The tables have {', '.join(table.values)} and {', '.join(fresh.values)}; expected the same.")
    solved_prompts = set(zip(solved_on.use_cases, solved_on.prompts, strict=True))
    if shared := [entry for entry in zip(fresh.use_cases, fresh.prompts, strict=True) if entry in solved_prompts]:
        raise InputError(f"{len(shared)} of the new prompts were solved on, such as {shared[0][1]!r}. Give others.")
    if len(fresh.prompts) < MIN_PROMPTS:
        raise InputError(f"There are {len(fresh.prompts)} new prompts; expected {MIN_PROMPTS} or more.")
    if missing := _cohorts_without_prompts(fresh, np.ones(len(fresh.prompts), dtype=bool)):
        raise InputError(f"None of the new prompts is of {missing[0]}, which has a target. Give some of those too.")
    least = int(min(fresh.candidates.min(), solved_on.candidates.min()))
    candidates = least if candidates is None else candidates
    if not 2 <= candidates <= least:
        raise InputError(
            f"A promise for {candidates} candidates needs as many replies to every prompt, and 2 or more; there are "
            f"{least}."
        )
    oracle, seen = solved_sample(solved_on, candidates)
    return oracle, seen, _sample(fresh, candidates, oracle, solved_on)


def solved_sample(table: RewardTable, candidates: int) -> tuple[Oracle, PromptSample]:
    """Return the oracle of a table without held-out prompts for K candidates, and the levels of its prompts."""
    oracle = MemoryOracle.of(subsample_candidates(table, candidates, subsets=SUBSETS), Form.PER_PROMPT)
    return oracle, _sample(table, candidates, oracle, table)


def _without_mixes(table: RewardTable) -> list[DerivedColumn]:
    return [replace(column, mix=()) for column in table.derived]


def _cohorts_without_prompts(table: RewardTable, among: np.ndarray) -> list[str]:
    """Return the cohorts of a table's columns to which none of these prompts, (prompt,) bool, belongs."""
    cohorts = [column.cohort for column in table.derived if column.cohort is not None]
    return [str(cohort) for cohort in cohorts if not np.any(_members(table, cohort)[among])]


def _members(table: RewardTable, cohort: Cohort) -> np.ndarray:
    return np.array([entry == cohort.entry for entry in table.labels_of(cohort.label)])


def _sample(table: RewardTable, candidates: int, units: Oracle, solved_on: RewardTable) -> PromptSample:
    """Return the levels of a table's prompts under weights that were solved on ``solved_on``.

    The weight of a cohort G acts as lambda_G / P(G), where P(G) is the cohort's share of the prompts solved on.
    """
    plain = table.without_columns().with_columns(_without_mixes(table)) if table.derived else table
    oracle = MemoryOracle.of(subsample_candidates(plain, candidates, subsets=SUBSETS), Form.PER_PROMPT)
    count, size = len(plain.prompts), len(plain.values)
    weight = np.ones(count) if not plain.weights.size else plain.weights / plain.weights.mean()
    mass, share, centre = np.ones((count, size)), np.ones(size), np.zeros(size)
    ends = np.stack([plain.rewards.min(axis=0), plain.rewards.max(axis=0)])
    first = size - len(plain.derived)
    for j, (column, solved) in enumerate(zip(plain.derived, solved_on.derived, strict=True), start=first):
        if column.cohort is not None:
            mass[:, j] = _members(plain, column.cohort) / column.share
            share[j], centre[j] = column.share / solved.share, column.centre
            rewards = column.transform(plain.rewards[:, plain.index(column.value)])
            ends[:, j] = rewards.min(), rewards.max()

    def levels_at(x: np.ndarray) -> np.ndarray:
        levels = oracle.by_prompt(x * share / units.scale * oracle.scale).levels
        rewards = oracle.rewards_at(levels.reshape(count, -1, size).mean(axis=1))
        within_cohort = np.divide(rewards - centre, mass, out=np.zeros_like(rewards), where=mass > 0)
        return np.asarray(units.standardise(centre + within_cohort))

    cohorts = tuple(j for j, column in enumerate(solved_on.derived, start=first) if column.cohort is not None)
    planes = tuple(j for j, column in enumerate(solved_on.derived, start=first) if column.mix)
    return PromptSample(levels_at, weight[:, None] * mass, units.standardise(ends), candidates, cohorts, planes)
