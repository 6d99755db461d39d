"""Populations of prompts to draw tables from, and the coverage of intervals over such tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from map_core.confidence import confidence
from map_core.confidence.certificate import Outcome
from map_core.confidence.certify import certify
from map_core.confidence.prompt_samples import PromptSample
from map_core.core.types import Form, Verdict
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.feasibility import margin
from map_core.feasibility.cuts import with_demands
from map_core.feasibility.demands import Demands
from map_core.feasibility.reply_distributions import worst_mix
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Status, solve


@dataclass(frozen=True, eq=False)
class Population:
    """A population of prompts with their replies.

    Args:
        name: for tables.
        rewards: (prompt, candidate, value).
    """

    name: str
    rewards: np.ndarray

    def oracle(self, prompts: np.ndarray | None = None) -> MemoryOracle:
        """Return the oracle of these prompts, (prompt,) indices that may repeat; of all by default."""
        chosen = self.rewards if prompts is None else self.rewards[prompts]
        count, candidates, size = chosen.shape
        offsets = np.arange(count + 1) * candidates
        return MemoryOracle(chosen.reshape(-1, size), offsets, tuple(f"v{j}" for j in range(size)), Form.PER_PROMPT)

    def table(self, prompts: np.ndarray) -> RewardTable:
        """Return the table of these prompts, (prompt,) indices that may repeat."""
        chosen = self.rewards[prompts]
        count, candidates, size = chosen.shape
        return RewardTable(
            values=tuple(f"v{j}" for j in range(size)),
            rewards=chosen.reshape(-1, size),
            offsets=np.arange(count + 1) * candidates,
            prompt_ids=tuple(f"p{i}" for i in range(count)),
            prompts=tuple(f"Prompt {i}" for i in range(count)),
            use_cases=("All",) * count,
        )


def synthetic(prompts: int = 4000, candidates: int = 16, values: int = 6, seed: int = 0) -> Population:
    """Return correlated rewards with a shift and a spread per prompt, the first value skewed to the left."""
    rng = np.random.default_rng(seed)
    mix = np.eye(values) + 0.35 * rng.normal(size=(values, values))
    covariance = mix @ mix.T
    root = np.linalg.cholesky(covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance))))
    between = rng.uniform(0.15, 0.6, values)
    spread = np.exp(0.25 * rng.normal(size=(prompts, 1, values)))
    z = np.sqrt(1 - between) * spread * (rng.normal(size=(prompts, candidates, values)) @ root.T)
    z += np.sqrt(between) * (rng.normal(size=(prompts, 1, values)) @ root.T)
    z[..., 0] = 1 - np.exp(-0.5 * z[..., 0])
    return Population(f"model of {prompts} prompts x {candidates}, {values} values", z)


def default_table() -> Population:
    """Return the embedded table's prompts as a population to draw from with replacement."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    count, size = len(table.prompts), len(table.values)
    return Population(f"default table, {count} prompts x 64", table.rewards.reshape(count, -1, size))


@dataclass(frozen=True, eq=False)
class Coverage:
    """Coverage of 90% intervals over many tables drawn from one population.

    Args:
        solved: tables that gave weights, out of ``tables``.
        weights: (value,) for values with weight in the population, NaN for the others.
        slack: mean over targeted values without weight in the population; NaN where there are none.
        kl, margin: one number each.
        levels: (value,) on the whole population, of the weights that the table gave.
        out: (table,) probability that each table gives to "out of reach".
        raw: (table,) the plain share of its draws.
    """

    tables: int
    solved: int
    weights: np.ndarray
    slack: float
    kl: float
    levels: np.ndarray
    margin: float
    out: np.ndarray
    raw: np.ndarray


def coverage(
    population: Population, targets: np.ndarray, prompts: int, tables: int, draws: int, seed: int = 1
) -> Coverage:
    """Draw tables from a population and count how often their 90% intervals hold the truth.

    Args:
        population: where prompts come from.
        targets: (value,) d in standard deviations of the population above its base, NaN for free; every table gets
            the same targets in reward units.
        prompts: of each table.
        tables: how many.
        draws: of each bootstrap.
        seed: of tables and bootstraps.
    """
    rng = np.random.default_rng(seed)
    true_oracle = population.oracle()
    wanted = true_oracle.rewards_at(np.asarray(targets, dtype=float))
    truth, edge = solve(true_oracle, targets), margin(true_oracle, targets)
    attainable = truth.status is Status.CONVERGED
    hits: dict[str, list[np.ndarray]] = {"weights": [], "kl": [], "levels": [], "margin": []}
    out, raw = [], []
    for number in range(tables):
        oracle = population.oracle(rng.integers(0, len(population.rewards), prompts))
        bars = confidence(oracle, oracle.standardise(wanted), draws=draws, seed=seed + number)
        out.append(bars.probability[Verdict.OUT_OF_REACH])
        raw.append(bars.shares[Verdict.OUT_OF_REACH])
        # The margin counts in the table's own standard deviations; to first order that is a change of units at w.
        assert bars.margin is not None
        unit = float(edge.certificate @ (oracle.scale / true_oracle.scale))
        hits["margin"].append(_holds(bars.margin, edge.value / unit))
        if bars.weights is None or bars.kl is None or bars.levels is None:
            continue
        in_rewards = bars.in_reward_units(oracle)
        assert in_rewards.weights is not None
        assert in_rewards.levels is not None
        if attainable:
            hits["weights"].append(_holds(in_rewards.weights, truth.weights / true_oracle.scale))
            hits["kl"].append(_holds(bars.kl, truth.kl))
        levels = true_oracle.rewards_at(true_oracle.moments(in_rewards.weights.estimate * true_oracle.scale).levels)
        hits["levels"].append(_holds(in_rewards.levels, levels))
    rates = {kind: np.mean(rows, axis=0) if rows else np.nan for kind, rows in hits.items()}
    targeted, active = ~np.isnan(targets), truth.weights > 0
    of_weights = np.broadcast_to(rates["weights"], active.shape)
    slack = targeted & ~active
    return Coverage(
        tables=tables,
        solved=len(hits["levels"]),
        weights=np.where(active, of_weights, np.nan),
        slack=float(of_weights[slack].mean()) if slack.any() else float("nan"),
        kl=float(rates["kl"]),
        levels=np.broadcast_to(rates["levels"], active.shape),
        margin=float(rates["margin"]),
        out=np.array(out),
        raw=np.array(raw),
    )


def _holds(interval, truth: np.ndarray | float) -> np.ndarray:
    return np.asarray((interval.low <= truth + 1e-12) & (interval.high >= truth - 1e-12))


@dataclass(frozen=True)
class Certified:
    """What certificates of random palettes came to.

    Args:
        tables: palettes that were tried, each on a table of its own.
        shown: of which at least something was promised.
        whole: of which every target was promised.
        broken: of the shown, what is promised is false of the whole population.
        factor: median of the weights' factor where every target was promised.
        nats: median of nats against those of the solution there.
        gap: medians over palettes of the forecast less what is promised, the tightest and the loosest value.
        lowered: median standard deviations, 0 where every target was promised.
    """

    tables: int
    shown: int
    whole: int
    broken: int
    factor: float
    nats: float
    gap: tuple[float, float]
    lowered: float


def certified(
    population: Population | None = None,
    *,
    tables: int = 200,
    prompts: int = 128,
    new: int = 128,
    over_base: bool = False,
    strict: bool = False,
    any_mix: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> Certified:
    """Solve random palettes of one to three targets on drawn prompts, certify them on others, and look at all prompts.

    Args:
        population: drawn from with replacement; the synthetic one by default.
        tables: palettes.
        prompts: that each is solved on.
        new: that it is certified on.
        over_base, strict, any_mix, level: as for :func:`map_core.confidence.certify.certify`.
        seed: of all draws.
    """
    population = population or synthetic(1500)
    rng, everyone = np.random.default_rng(seed), np.arange(len(population.rewards))
    size, rows = population.rewards.shape[2], list[tuple[float, ...]]()
    while len(rows) < tables:
        oracle, seen = _prompt_sample(population, rng.integers(0, len(everyone), prompts))
        others = _prompt_sample(population, rng.integers(0, len(everyone), new), oracle)[1]
        targets = np.full(size, np.nan)
        chosen = rng.permutation(size)[: rng.integers(1, 4)]
        targets[chosen] = rng.uniform(0.05, 0.5, len(chosen))
        solution = solve(oracle, targets)
        if margin(oracle, targets).value < 0.02 or solution.status is not Status.CONVERGED:
            continue
        certificate = certify(
            oracle,
            seen,
            others,
            solution.weights,
            targets,
            over_base=over_base,
            strict=strict,
            any_mix=any_mix,
            level=level,
            seed=len(rows),
        )
        truth = _prompt_sample(population, everyone, oracle)[1]
        levels = truth.at(certificate.weights) - (truth.at(0 * certificate.weights) if over_base else 0)
        even = np.full(len(everyone), 1 / len(everyone))
        levels = np.array([worst_mix(column, even, any_mix)[1] for column in levels.T])
        gaps = (certificate.forecast - certificate.promised)[chosen]
        shown = certificate.outcome is not Outcome.NOTHING
        false = shown and bool(np.any((certificate.promised > levels + 1e-9)[chosen]))
        rows.append(
            (
                shown,
                certificate.lowered == 0,
                false,
                certificate.factor,
                certificate.kl / solution.kl,
                *_ends(gaps),
                certificate.lowered,
            )
        )
    table = np.array(rows, dtype=float)
    shown, whole = table[:, 0] > 0, table[:, 1] > 0
    factor, nats = (float(np.median(table[whole, k])) if whole.any() else math.nan for k in (3, 4))
    tight, loose, lowered = (float(np.median(table[shown, k])) for k in (5, 6, 7))
    broken = int(table[:, 2].sum())
    return Certified(tables, int(shown.sum()), int(whole.sum()), broken, factor, nats, (tight, loose), lowered)


def _ends(gaps: np.ndarray) -> tuple[float, float]:
    return float(gaps.min()), float(gaps.max())


def _prompt_sample(
    population: Population, numbers: np.ndarray, units: MemoryOracle | None = None
) -> tuple[MemoryOracle, PromptSample]:
    """Return the oracle of these prompts, and their levels in the units of another one or in its own."""
    oracle = population.oracle(numbers)
    scale, ends = units or oracle, population.rewards[numbers].reshape(-1, population.rewards.shape[2])

    def at(x: np.ndarray) -> np.ndarray:
        return scale.standardise(oracle.rewards_at(oracle.by_prompt(x / scale.scale * oracle.scale).levels))

    span = scale.standardise(np.stack([ends.min(axis=0), ends.max(axis=0)]))
    return oracle, PromptSample(at, np.ones((len(numbers), span.shape[1])), span, population.rewards.shape[1])


@dataclass(frozen=True)
class Hedged:
    """What palettes that are hedged against their prompts give on all prompts.

    Args:
        palettes: that were solved, each on a table of its own.
        kept: of which every target holds on the whole population.
        nats: median against those of the palette without a hedge.
        worst: 90th percentile of the largest miss, in standard deviations; below 0 where nothing is missed.
    """

    palettes: int
    kept: int
    nats: float
    worst: float


def hedged(population: Population, gamma: float, *, palettes: int = 200, prompts: int = 128, seed: int = 0) -> Hedged:
    """Solve random palettes for every mix of prompts within gamma^2 / (2 n) nats, and look at all prompts."""
    rng, whole, size = np.random.default_rng(seed), population.oracle(), population.rewards.shape[2]
    rows: list[tuple[float, float]] = []
    while len(rows) < palettes:
        table = population.table(rng.integers(0, len(population.rewards), prompts))
        oracle = MemoryOracle.of(table)
        targets = np.full(size, np.nan)
        chosen = rng.permutation(size)[: rng.integers(1, 4)]
        targets[chosen] = rng.uniform(0.05, 0.5, len(chosen))
        plain, asked = solve(oracle, targets), oracle.rewards_at(targets)
        if margin(oracle, targets).value < 0.05 or plain.status is not Status.CONVERGED:
            continue
        cut = with_demands(table, oracle, asked, Demands(mix=gamma**2 / (2 * prompts)))
        solution = solve(cut.oracle, cut.oracle.standardise(cut.levels))
        if solution.status is not Status.CONVERGED:  # not possible with this hedge
            rows.append((math.inf, math.inf))
            continue
        weights = (solution.weights / cut.oracle.scale)[:size]
        for column, weight in zip(cut.columns, (solution.weights / cut.oracle.scale)[size:], strict=True):
            weights[table.index(column.value)] += weight
        levels = whole.rewards_at(whole.moments(weights * whole.scale).levels)
        rows.append((float(np.max(((asked - levels) / oracle.scale)[chosen])), solution.kl / plain.kl))
    misses, nats = np.array(rows).T
    return Hedged(palettes, int(np.sum(misses <= 1e-9)), float(np.median(nats)), float(np.quantile(misses, 0.9)))
