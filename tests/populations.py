"""Populations of prompts to draw tables from, and how often intervals hold what is true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.confidence import confidence
from map_core.core.types import Form, Verdict
from map_core.data import table_format
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Status, solve


@dataclass(frozen=True, eq=False)
class Population:
    """All prompts that there are, and their replies.

    Args:
        name: for tables.
        rewards: (prompt, candidate, value).
    """

    name: str
    rewards: np.ndarray

    def oracle(self, prompts: np.ndarray | None = None) -> MemoryOracle:
        """The oracle of these prompts, (prompt,) numbers that may repeat; of all by default."""
        chosen = self.rewards if prompts is None else self.rewards[prompts]
        count, candidates, size = chosen.shape
        offsets = np.arange(count + 1) * candidates
        return MemoryOracle(chosen.reshape(-1, size), offsets, tuple(f"v{j}" for j in range(size)), Form.PER_PROMPT)


def synthetic(prompts: int = 4000, candidates: int = 16, values: int = 6, seed: int = 0) -> Population:
    """Correlated rewards with a shift and a spread of each prompt's own, the first value skewed to the left."""
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
    """The embedded table's prompts as a population, to be drawn from with replacement."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    count, size = len(table.prompts), len(table.values)
    return Population(f"default table, {count} prompts x 64", table.rewards.reshape(count, -1, size))


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often 90% intervals held the truth, over many tables drawn from one population.

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
    whole = population.oracle()
    wanted = whole.rewards_at(np.asarray(targets, dtype=float))
    truth, edge = solve(whole, targets), margin(whole, targets)
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
        unit = float(edge.certificate @ (oracle.scale / whole.scale))
        hits["margin"].append(_holds(bars.margin, edge.value / unit))
        if bars.weights is None or bars.kl is None or bars.levels is None:
            continue
        there = bars.in_reward_units(oracle)
        assert there.weights is not None
        assert there.levels is not None
        if attainable:
            hits["weights"].append(_holds(there.weights, truth.weights / whole.scale))
            hits["kl"].append(_holds(bars.kl, truth.kl))
        levels = whole.rewards_at(whole.moments(there.weights.estimate * whole.scale).levels)
        hits["levels"].append(_holds(there.levels, levels))
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
