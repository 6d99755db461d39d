"""Weights chosen without targets, compared with weights that are solved for.

Random weights are the baseline without a solver: a direction from the Dirichlet distribution and a uniform scale. A
single value, and all values alike, are the two extremes. All are compared by the targets that they meet, the values
that they raise above the base model, and how often a reply beats the base model's. Constraint: exact on the table,
nothing is sampled but the random weights themselves.

Source: Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), comparison with random
weights and win rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, Oracle
from map_core.oracle.weighted import apply_prompt_weights
from map_core.solver.newton import Status, solve
from map_core.solver.rays import solve_rays

#: Largest total of random weights, as the paper draws them.
LARGEST = 6.0
#: Tolerance to which a level meets its target, in standard deviations.
MET = 1e-8


def random_weights(count: int, values: int, *, largest: float = LARGEST, seed: int = 0) -> np.ndarray:
    """Draw weights of random direction and size: w ~ Dirichlet(1, ..., 1), u ~ Uniform(0, largest), weights u w.

    Args:
        count: number of weight vectors, at least 1.
        values: number of values, at least 1.
        largest: the largest total of the weights, above 0, in nats per standard deviation. To draw in nats per
            reward, as the paper does, multiply the weights by ``oracle.scale``.
        seed: of the draw.

    Returns:
        (count, values) weights.

    Raises:
        InputError: a number is out of its range.
    """
    if count < 1 or values < 1 or not (math.isfinite(largest) and largest > 0):
        raise InputError(
            f"The count is {count}, the number of values {values} and the largest total {largest}; "
            "expected whole numbers from 1 and a finite number above 0."
        )
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(values), count) * rng.uniform(0.0, largest, (count, 1))


def single_weights(values: int) -> np.ndarray:
    """Return (values, values) weights: row j is 1 for value j and 0 otherwise."""
    return np.eye(values)


def equal_weights(values: int) -> np.ndarray:
    """Return (1, values) the same weight for every value, in nats per standard deviation; they sum to 1."""
    return np.full((1, values), 1.0 / values)


def base_ranks(table: RewardTable, form: Form | None = None) -> np.ndarray:
    """Return (reply, value) the share of the base model's replies to the same prompt that a reply beats, ties half.

    In the pooled form a reply is compared with the replies to all prompts, each weighted like its prompt.
    """
    if (form or table.form) is Form.POOLED and table.prompt_weights is not None:
        return _weighted_ranks(table.rewards, np.repeat(table.prompt_weights, table.candidates))
    groups = table.offsets if (form or table.form) is Form.PER_PROMPT else np.array([0, len(table.rewards)])
    counts = np.diff(groups)
    group = np.repeat(np.arange(len(counts)), counts)
    from scipy.stats import rankdata

    columns = []
    for column in table.rewards.T:
        # Each prompt's dense ranks are shifted above those of earlier prompts, so one ranking ranks within all prompts.
        rank = rankdata(rankdata(column, method="dense") + group * len(column)) - groups[group]
        columns.append((rank - 0.5) / counts[group])
    return np.column_stack(columns)


def _weighted_ranks(rewards: np.ndarray, reply_weights: np.ndarray) -> np.ndarray:
    """Return (reply, value) the weighted share of the replies that a reply beats, ties half."""
    columns = []
    for column in rewards.T:
        level = np.unique(column, return_inverse=True)[1]
        mass = np.bincount(level, reply_weights)
        columns.append(((np.cumsum(mass) - mass / 2) / mass.sum())[level])
    return np.column_stack(columns)


def win_rates(table: RewardTable, weights: np.ndarray, form: Form | None = None) -> np.ndarray:
    """Compute how often an aligned reply beats one of the base model to the same prompt, value by value, ties half.

    mean over prompts of sum_k P_ik (share of the prompt's replies below reply k + half of those equal to it)

    Args:
        table: rewards of the base model's replies.
        weights: (value,) or (row, value) x >= 0, in nats per standard deviation of the oracle of this table and form.
        form: the table's own by default.

    Returns:
        (value,) or (row, value) probabilities; exactly one half for the base model itself.

    Example:
        >>> win_rates(table, np.zeros(2))  # doctest: +SKIP
        array([0.5, 0.5])
    """
    form = form or table.form
    weights = np.asarray(weights, dtype=float)
    size = len(table.values)
    ranks = base_ranks(table, form)
    # A win rate is a level like any other: the shares are added to the rewards as values without weight.
    names = (*table.values, *(f"share below in {name}" for name in table.values))
    oracle = apply_prompt_weights(
        MemoryOracle(np.hstack([table.rewards, ranks]), table.offsets, names, form), table.prompt_weights
    )
    rows = np.atleast_2d(weights)
    levels = oracle.batch_moments(np.hstack([rows, np.zeros_like(rows)])).levels
    rates = oracle.rewards_at(levels)[:, size:]
    return np.asarray(rates.reshape(weights.shape))


@dataclass(frozen=True, eq=False)
class WeightsEvaluation:
    """Levels, cost and targets met by a batch of weights, in standardised units.

    Args:
        weights: (row, value) x.
        levels: (row, value) in standard deviations above base.
        kl: (row,) nats.
        ess: (row,) effective number of replies per prompt; of the whole table when pooled.
        meets: (row, value) bool, the level is at its target or above; true where there is no target.
        improves: (row, value) bool, the level is above the base model's.
        compared: (row, value) bool, the values that count: those with a target, or all where none has one.
    """

    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    ess: np.ndarray
    meets: np.ndarray
    improves: np.ndarray
    compared: np.ndarray

    @property
    def row_meets(self) -> np.ndarray:
        """(row,) bool, every target is met."""
        return np.asarray(self.meets.all(axis=1))

    @property
    def row_improves(self) -> np.ndarray:
        """(row,) bool, every value that counts is above the base model."""
        return np.asarray((self.improves | ~self.compared).all(axis=1))

    @property
    def meets_all(self) -> float:
        """Share of the rows that meet every target."""
        return float(self.row_meets.mean())

    @property
    def improves_all(self) -> float:
        """Share of the rows in which every value that counts is above the base model."""
        return float(self.row_improves.mean())


def evaluate_weights(oracle: Oracle, weights: np.ndarray, targets: np.ndarray | None = None) -> WeightsEvaluation:
    """Compare weights with targets and with the base model.

    Args:
        oracle: the table.
        weights: (value,) or (row, value) x >= 0.
        targets: (value,) or (row, value) d, in standard deviations above base, NaN for a free value; none by default.

    Returns:
        Levels, nats, and which targets are met and which values improved.
    """
    x = np.atleast_2d(np.asarray(weights, dtype=float))
    d = np.full(x.shape[1], np.nan) if targets is None else oracle.deviations(targets)
    batch = oracle.batch_moments(x)
    kl = batch.kl(x)
    tolerance = max(MET, oracle.resolution)
    targeted = np.broadcast_to(~np.isnan(d), x.shape)
    return WeightsEvaluation(
        x,
        batch.levels,
        kl,
        batch.ess,
        np.isnan(d) | (batch.levels >= d - tolerance),
        batch.levels > tolerance,
        targeted | ~targeted.any(axis=1, keepdims=True),
    )


@dataclass(frozen=True, eq=False)
class Baseline:
    """One way to pick weights: a name, the evaluation of its weights, and their win rates, (row, value)."""

    name: str
    evaluation: WeightsEvaluation
    wins: np.ndarray


def compare_baselines(
    table: RewardTable,
    targets: np.ndarray,
    *,
    form: Form | None = None,
    count: int = 1000,
    largest: float = LARGEST,
    budget: float | None = None,
    seed: int = 0,
) -> tuple[Baseline, ...]:
    """Compare a solved palette with weights that are picked without solving.

    Only targeted values have weights. All but the plain random weights are scaled to spend as many nats as the palette,
    so that directions are compared and not sizes.

    Args:
        table: the rewards.
        targets: (value,) d, in standard deviations above base, NaN for a free value.
        form: the table's own by default.
        count: random weights.
        largest: their largest total, in nats per standard deviation.
        budget: nats; what the palette costs by default, or half of the most that can be spent when it is out of reach.
        seed: of the draw.

    Returns:
        "solved" (left out when the targets are out of reach), "random", "random at the same cost", "equal" and
        "only NAME" for each targeted value.

    Raises:
        InputError: nothing is targeted, or a number is out of its range.
    """
    oracle = MemoryOracle.of(table, form)
    targets = oracle.deviations(targets)
    targeted = np.flatnonzero(~np.isnan(targets))
    if not len(targeted) or targets.shape != (len(table.values),) or np.any(np.isinf(targets)):
        raise InputError(
            f"Targets are {targets.tolist()}; expected {len(table.values)} finite numbers, NaN for a free value, "
            "and one target at least."
        )
    solution = solve(oracle, targets)
    named_weights: list[tuple[str, np.ndarray]] = []
    if solution.status is Status.CONVERGED:
        named_weights.append(("solved", solution.weights[None]))
    if budget is None:
        budget = solution.kl if named_weights else 0.5 * oracle.log_candidates

    def on_targeted(weights: np.ndarray) -> np.ndarray:
        full = np.zeros((len(weights), len(targets)))
        full[:, targeted] = weights
        return full

    size = len(targeted)
    random = on_targeted(random_weights(count, size, largest=largest, seed=seed))
    directions = np.vstack([random, on_targeted(equal_weights(size)), on_targeted(single_weights(size))])
    scaled = solve_rays(oracle, directions, budget).weights[:, 0]
    named_weights += [("random", random), ("random at the same cost", scaled[:count]), ("equal", scaled[count, None])]
    single = scaled[count + 1 :]
    named_weights += [(f"only {table.values[j]}", row[None]) for j, row in zip(targeted, single, strict=True)]
    return evaluate_baselines(table, oracle, named_weights, targets)


def evaluate_baselines(
    table: RewardTable, oracle: Oracle, named_weights: Sequence[tuple[str, np.ndarray]], targets: np.ndarray
) -> tuple[Baseline, ...]:
    """Evaluate named weights, each (row, value), against the same targets, with their win rates."""
    wins = win_rates(table, np.concatenate([weights for _, weights in named_weights]), oracle.form)
    ends = np.cumsum([len(weights) for _, weights in named_weights])
    parts = np.split(wins, ends[:-1])
    return tuple(
        Baseline(name, evaluate_weights(oracle, weights, targets), part)
        for (name, weights), part in zip(named_weights, parts, strict=True)
    )
