"""The protocol of the paper's experiments on any table.

For each number of values m, ``palettes`` random palettes are drawn: each takes m values at random and a target for
each, uniform in percentiles of the base model's replies between the base level and ``highest``. They are solved by the
published solver and by ours. Attainability is proven: a converged solve meets the targets, a dual above log K shows
that no weights do, and the certificate decides the rest. Random weights for each palette's values are a Dirichlet
direction times a uniform scale in nats per standard deviation. Sequential alignment goes through each palette's values
in the table's order. Constraint: all results but the times are determined by the seed.

Source: Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), experiments on
feasibility, random weights and sequential alignment; the draw of palettes and the units of random weights are ours.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from map_core.analysis.baselines import LARGEST, evaluate_weights, random_weights, win_rates
from map_core.analysis.sequential import sequential_paths
from map_core.core.types import Form
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.batched import Solutions, solve_many
from map_core.solver.newton import Status, solve
from map_core.studies.reproduce.paper import PAPER
from map_core.studies.reproduce.published_solver import PublishedSolution, published_solver
from map_core.studies.reproduce.results import (
    MISS,
    ROUNDS,
    ReproductionProtocol,
    ReproductionStudy,
    SequentialExample,
    SizeResult,
)

#: Number of palettes of each size that are timed.
TIMED = 7

#: Progress callback: number of finished parts, number of parts, and a description of the next part.
Report = Callable[[int, int, str], None]


def random_palettes(
    table: RewardTable,
    oracle: Oracle,
    size: int,
    count: int,
    *,
    values: Sequence[int] | None = None,
    highest: float = 1.0,
    seed: int | Sequence[int] = 0,
) -> np.ndarray:
    """Draw targets above the base model, each palette on random values.

    Args:
        table: the replies that percentiles are computed from.
        oracle: its base levels.
        size: number of values of each palette.
        count: number of palettes.
        values: indices of the values to choose from; all by default.
        highest: the highest percentile, as a share above 0, at most 1.
        seed: seed of the draw.

    Returns:
        (count, value) levels in reward units, NaN for free values.
    """
    chosen = np.arange(len(table.values)) if values is None else np.asarray(values)
    rng, percentiles = np.random.default_rng(seed), Percentiles(table)
    base = np.array([percentiles.percentile_of(j, float(level)) for j, level in enumerate(oracle.base)])
    palettes = np.full((count, len(table.values)), np.nan)
    for row in palettes:
        for j in rng.permutation(chosen)[:size]:
            percentile = base[j] + rng.random() * max(0.0, 100.0 * highest - base[j])
            row[j] = max(percentiles.level(int(j), percentile), oracle.base[j])
    return palettes


def reproduce(
    table: RewardTable,
    *,
    form: Form | None = None,
    values: Sequence[int] | None = None,
    palettes: int = 200,
    highest: float = 1.0,
    seed: int = 0,
    report: Report | None = None,
) -> ReproductionStudy:
    """Run the protocol that this module describes.

    Args:
        table: the rewards.
        form: per prompt or pooled; the table's own by default.
        values: indices of the values to draw from, in the order of the sequential example; all by default.
        palettes: number of palettes of each size, at least 1.
        highest: the highest percentile of a target, as a share above 0, at most 1.
        seed: seed of all draws, 0 or above.
        report: called before each part.

    Raises:
        InputError: a setting is outside its range, or a value is unknown or named twice.
    """
    chosen = list(range(len(table.values))) if values is None else [int(j) for j in values]
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= j < len(table.values) for j in chosen):
        raise InputError(f"values is {chosen}; expected different positions from 0 to {len(table.values) - 1}.")
    for name, setting, fits, expected in (
        ("palettes", palettes, palettes >= 1, "a whole number from 1"),
        ("highest", highest, 0.0 < highest <= 1.0, "a share above 0, at most 1"),
        ("seed", seed, seed >= 0, "a whole number from 0"),
    ):
        if not fits:
            raise InputError(f"{name} is {setting}; expected {expected}.")
    table = table.without_held_out()
    oracle = MemoryOracle.of(table, form)
    attainable = AttainableLevels(oracle)
    sizes = []
    for m in range(1, len(chosen) + 1):
        if report:
            report(m - 1, len(chosen) + 1, f"{palettes} palettes of {m} value{'s' * (m > 1)}")
        levels = random_palettes(table, oracle, m, palettes, values=chosen, highest=highest, seed=[seed, m])
        sizes.append(_size(table, oracle, attainable, m, levels=levels, seed=seed))
    if report:
        report(len(chosen), len(chosen) + 1, "one palette in sequence")
    names = tuple(table.values[j] for j in chosen)
    protocol = ReproductionProtocol(oracle.form, names, palettes, highest, seed, oracle.prompts, oracle.replies)
    return ReproductionStudy(protocol, tuple(sizes), _sequential_example(table, oracle, chosen[:3]))


def _size(
    table: RewardTable, oracle: Oracle, attainable: AttainableLevels, m: int, *, levels: np.ndarray, seed: int
) -> SizeResult:
    """Compute the results of the palettes with m values, whose targets are (row, value) ``levels`` in reward units."""
    d = oracle.standardise(levels)
    solutions = solve_many(oracle, d)
    reachable, open_rows = solutions.converged.copy(), ~solutions.converged & ~solutions.unbounded
    for row in np.flatnonzero(open_rows):
        reachable[row] = attainable.margin(d[row]).attainable

    published = _published(table, levels, oracle.form)
    pooled = published
    if oracle.form is Form.PER_PROMPT:
        pooled = _published(table, levels, Form.POOLED)
    comparable = published.solved & reachable
    random = np.zeros_like(d)
    random[~np.isnan(d)] = random_weights(len(d), m, largest=LARGEST, seed=seed).ravel()
    random_evaluation = evaluate_weights(oracle, random[reachable], d[reachable]) if reachable.any() else None
    paths = sequential_paths(oracle, d[reachable], rounds=ROUNDS) if reachable.any() else ()
    one_round = np.array([path.shortfall[min(m, path.steps)].max() for path in paths])
    all_rounds = np.array([path.shortfall[-1].max() for path in paths])
    converged = solutions.converged
    our_ms, published_ms = _times(table, oracle, d[converged][:TIMED], levels[converged][:TIMED])
    return SizeResult(
        values=m,
        palettes=len(d),
        reachable=_share(reachable),
        by_certificate=int(open_rows.sum()),
        converged=_share(converged[reachable]),
        residual=float(solutions.residual[converged].max(initial=0.0)),
        published_solved=_share(published.solved),
        published_false=_share(~reachable[published.solved]),
        published_refused=_share(~published.solved[reachable]),
        published_missed=_missed(oracle, published.weights[comparable] * oracle.scale, d[comparable]),
        safe_missed=_missed(oracle, published.weights[reachable] * oracle.scale, d[reachable]),
        pooled_missed=_missed(oracle, pooled.weights[reachable] * oracle.scale, d[reachable]),
        published_residual=_residual(oracle, published.weights[reachable] * oracle.scale, d[reachable]),
        our_missed=_missed(oracle, solutions.weights[reachable], d[reachable]),
        our_ms=our_ms,
        published_ms=published_ms,
        random_meets=random_evaluation.meets_all if random_evaluation else math.nan,
        random_improves=random_evaluation.improves_all if random_evaluation else math.nan,
        our_improves=_improves(solutions, d, converged),
        random_wins=_wins(table, oracle, random[reachable], d[reachable]),
        our_wins=_wins(table, oracle, solutions.weights[converged], d[converged]),
        one_round_missed=_share(one_round > MISS),
        rounds_missed=_share(all_rounds > MISS),
        one_round_short=float(np.median(one_round)) if len(one_round) else math.nan,
        rounds_short=float(np.median(all_rounds)) if len(all_rounds) else math.nan,
    )


def _published(table: RewardTable, levels: np.ndarray, form: Form) -> PublishedSolution:
    """Run the published solver on a table with its prompt weights."""
    return published_solver(table.rewards, table.offsets, levels, form=form, prompt_weights=table.prompt_weights)


def _share(holds: np.ndarray) -> float:
    """Return the share of the entries that are true; NaN without entries."""
    return float(np.mean(holds)) if len(holds) else math.nan


def _missed(oracle: Oracle, weights: np.ndarray, d: np.ndarray) -> float:
    """Return the share of rows in which a level is more than ``MISS`` below its target."""
    if not len(weights):
        return math.nan
    shortfall = np.nan_to_num(d - oracle.batch_moments(weights).levels)
    return _share(shortfall.max(axis=1) > MISS)


def _residual(oracle: Oracle, weights: np.ndarray, d: np.ndarray) -> float:
    """Return the median over rows of the largest violation of the optimality conditions."""
    if not len(weights):
        return math.nan
    slack = np.nan_to_num(oracle.batch_moments(weights).levels - d)
    return float(np.median(np.abs(np.minimum(weights, slack)).max(axis=1)))


def _improves(ours: Solutions, d: np.ndarray, met: np.ndarray) -> float:
    """Return the share of ``met`` rows in which every value with a target above the base level is above it."""
    above = (ours.levels > 0) | np.isnan(d) | (d <= 0)
    return _share(above[met].all(axis=1))


def _wins(table: RewardTable, oracle: Oracle, weights: np.ndarray, d: np.ndarray) -> float:
    """Return the share of rows in which every targeted value has a win rate of at least 1/2 against the base model."""
    if not len(weights):
        return math.nan
    rates = win_rates(table, weights, oracle.form)
    return _share(np.all((rates >= 0.5 - 1e-9) | np.isnan(d), axis=1))


def _times(table: RewardTable, oracle: Oracle, d: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """Return the median time of one solve in milliseconds, of our solver and of the published one on one thread."""
    import torch

    if not len(d):
        return math.nan, math.nan
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    our_ms: list[float] = []
    published_ms: list[float] = []
    try:
        for target, level in zip(d, levels, strict=True):
            began = time.perf_counter()
            solve(oracle, target)
            solved = time.perf_counter()
            _published(table, level, oracle.form)
            our_ms.append(1e3 * (solved - began))
            published_ms.append(1e3 * (time.perf_counter() - solved))
    finally:
        torch.set_num_threads(threads)
    return statistics.median(our_ms), statistics.median(published_ms)


def _sequential_example(table: RewardTable, oracle: Oracle, chosen: Sequence[int]) -> SequentialExample | None:
    """Run the paper's sequential experiment: the same quantile for each value, in one round, in five and at once."""
    percentiles = Percentiles(table, oracle.form)
    for quantile in np.arange(PAPER.quantile, 0.5, -0.05).round(2):
        levels = np.full(len(table.values), np.nan)
        levels[chosen] = [percentiles.level(j, 100.0 * quantile) for j in chosen]
        d = oracle.standardise(levels)
        simultaneous = solve(oracle, d)
        if simultaneous.status is Status.CONVERGED:
            break
    else:
        return None
    path = sequential_paths(oracle, d, [chosen], rounds=ROUNDS)[0]

    def quantiles(standardised: np.ndarray) -> tuple[float, ...]:
        # 1e-9 lower, since rounding may put a level on either side of many equal replies.
        rewards = oracle.rewards_at(standardised - 1e-9)
        return tuple(percentiles.percentile_of(j, float(rewards[j])) / 100.0 for j in chosen)

    return SequentialExample(
        values=tuple(table.values[j] for j in chosen),
        quantile=float(quantile),
        one_round=quantiles(path.levels[min(len(chosen), path.steps)]),
        five_rounds=quantiles(path.levels[-1]),
        together=quantiles(simultaneous.levels),
    )
