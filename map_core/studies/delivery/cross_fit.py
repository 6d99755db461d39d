"""Delivery over many random halvings, in both directions, with one set of fresh replies to all prompts.

In every halving each prompt is solved on once and held out once. The mean over halvings therefore compares, prompt by
prompt, the forecast level with the level of fresh replies under weights that were solved without the prompt: the
assignment of prompts to halves cancels in the difference, and the noise of replies remains. To first order the noise
of the weights cancels too, since it moves forecast and delivery alike; its remainder is the optimism of solving on few
prompts, which the study measures.

Prompts count by their weights, and a half by the sum of its prompts' weights; the table's held-out prompts are left
out.

Constraint: tables in, frozen results out; all levels are in reward units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from map_core.core.types import Verdict
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.studies.delivery.split import (
    RISES,
    Delivery,
    deliver,
    prompt_masses,
    split_halves,
    standard_error,
    strata,
)

#: Draws of a bootstrap over palettes and halvings.
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class CrossFitDelivery:
    """Palettes over many halvings; levels are means over halvings and directions, in reward units.

    Where a palette is out of reach on one half, the nearest one replaces it there, also in ``targets``.

    Args:
        values: names.
        start: (value,) base level of the whole table.
        base: (value,) base level of the fresh candidates.
        scale: (value,) standard deviation of the fresh candidates.
        asked: (palette, value) requested targets, NaN for free values.
        targets: (palette, value) what the weights were solved for.
        reachable: (palette,) share of the halves on which the palette is attainable.
        forecast: (palette, value) forecast level.
        realised: (palette, value) expected level over the fresh candidates.
        picked: (palette, value) level of the picked replies.
        error: (palette, value) half the width of the interval for the realised level around the forecast.
        pooled: (palette, value) level of weights from the pooled form, over the halves where it converged.
        wins: (palette, value) win rate of aligned replies against the base model's, a tie counting half.
        kl_forecast: (palette,) nats.
        kl_realised: (palette,) nats.
        inside: (palette, halving) share of the targeted values whose realised level lies in its interval.
        improves: (palette, halving) mean of :attr:`Delivery.improves` over the directions in which the palette is
            attainable; NaN where it is attainable on neither half.
        improves_whole: (palette, halving) as ``improves``, for every target above the base level of the whole table,
            including those that the half solved on meets without weight.
        wins_all: (palette, halving) likewise of :attr:`Delivery.wins_all`.
        random_improves: (palette, halving) likewise of :attr:`Delivery.random_improves`; also NaN without rising
            targets.
        random_wins: (palette, halving) likewise of :attr:`Delivery.random_wins`.
        way_error: half the width of the interval for :meth:`way` of the realised levels.
        level: probability of the intervals.
        prompts: number of prompts with fresh replies.
        candidates: K.
    """

    values: tuple[str, ...]
    start: np.ndarray
    base: np.ndarray
    scale: np.ndarray
    asked: np.ndarray
    targets: np.ndarray
    reachable: np.ndarray
    forecast: np.ndarray
    realised: np.ndarray
    picked: np.ndarray
    error: np.ndarray
    pooled: np.ndarray
    wins: np.ndarray
    kl_forecast: np.ndarray
    kl_realised: np.ndarray
    inside: np.ndarray
    improves: np.ndarray
    improves_whole: np.ndarray
    wins_all: np.ndarray
    random_improves: np.ndarray
    random_wins: np.ndarray
    way_error: float
    level: float
    prompts: int
    candidates: int

    @property
    def halvings(self) -> int:
        """Number of halvings."""
        return self.inside.shape[1]

    @property
    def mostly_reachable(self) -> np.ndarray:
        """(palette,) bool: attainable on more than half of the halves."""
        return np.asarray(self.reachable > 0.5)

    @property
    def rising(self) -> np.ndarray:
        """(palette, value) bool: the target lies above the base level of the table."""
        return np.asarray(self.asked > self.start + RISES * self.scale)

    @property
    def improved(self) -> np.ndarray:
        """(palette,) bool: over all prompts and halvings, every value with a rising target is above its base level."""
        return np.asarray(((self.realised > self.base) | ~self.rising).all(axis=1))

    @property
    def won(self) -> np.ndarray:
        """(palette,) bool: every value with a rising target has a win rate above 1/2 against the base model."""
        return np.asarray(((self.wins > 0.5) | ~self.rising).all(axis=1))

    def way(
        self, levels: np.ndarray, *, palette: int | None = None, value: int | None = None, capped: bool = False
    ) -> float:
        """Compute the share of the way from base levels to rising targets that some levels reach.

        Gains and distances are summed over palettes and values in standard deviations; NaN without rising targets.

        Args:
            levels: (palette, value) levels, one of this object's fields.
            palette: index of the only palette to count; all that are mostly attainable by default.
            value: index of the only value to count; all by default.
            capped: count levels up to their target only, so that no value makes up for another.
        """
        chosen = self.mostly_reachable if palette is None else np.arange(len(self.asked)) == palette
        counts = self.rising & chosen[:, None] & np.isfinite(levels)
        if value is not None:
            counts &= np.arange(len(self.values)) == value
        reached = np.fmin(levels, self.targets) if capped else levels
        gain = ((reached - self.base) / self.scale)[counts].sum()
        distance = ((self.targets - self.base) / self.scale)[counts].sum()
        return float(gain / distance) if distance > 0 else math.nan


def cross_fit_delivery(
    table: RewardTable,
    fresh: RewardTable,
    palettes: Sequence[np.ndarray],
    *,
    halvings: int,
    level: float = 0.9,
    seed: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> CrossFitDelivery:
    """Solve palettes on halves of a table and realise each on fresh replies to the other half.

    Args:
        table: replies to all prompts.
        fresh: new replies to the same prompts, in any order, K to each.
        palettes: one (value,) array of targets per palette, in reward units, NaN for a free value.
        halvings: number of halvings, at least 1; the first is that of :func:`split_halves` with this seed.
        level: probability of the intervals.
        seed: seed of halves, subsamples and picks.
        report: called with the number of finished halvings and ``halvings``.

    Raises:
        InputError: there is no palette or no halving, ``fresh`` has other prompts than the table, a prompt occurs
            twice, or as :func:`deliver` raises.
    """
    if halvings < 1 or not len(palettes):
        raise InputError(f"{len(palettes)} palettes over {halvings} halvings; expected one of each at least.")
    all_prompts = set(table.prompts)
    table = table.without_held_out()
    held_out_prompts = all_prompts - set(table.prompts)
    if held_out_prompts & set(fresh.prompts):
        fresh = fresh.take([i for i, prompt in enumerate(fresh.prompts) if prompt not in held_out_prompts])
    row = {prompt: i for i, prompt in enumerate(fresh.prompts)}
    if not len(row) == len(fresh.prompts) == len(table.prompts) or set(row) != set(table.prompts):
        raise InputError(
            f"The table has {len(table.prompts)} prompts and there are fresh replies to {len(fresh.prompts)}; "
            "expected the same prompts, each of them once."
        )
    weight = dict(zip(table.prompts, prompt_masses(table), strict=True))
    if table.prompt_weights is not None:
        fresh = replace(fresh, weights=np.array([weight[prompt] for prompt in fresh.prompts]))
    runs: list[tuple[Delivery, ...]] = []
    # Total weight of the prompts solved on, for each run.
    solved_shares: list[float] = []
    # Delivered minus forecast level of each prompt, averaged over halvings.
    differences = np.zeros((len(palettes), len(row), len(table.values)))
    for halving in range(halvings):
        first, second = split_halves(table, seed + halving)
        for solved_on, held_out in ((first, second), (second, first)):
            seen, unseen = ([row[prompt] for prompt in part.prompts] for part in (solved_on, held_out))
            deliveries = deliver(solved_on, fresh.take(unseen), palettes, level=level, seed=seed + halving)
            runs.append(deliveries)
            solved_shares.append(sum(weight[prompt] for prompt in solved_on.prompts))
            for palette, delivery in enumerate(deliveries):
                differences[palette, unseen] += delivery.delivered / halvings
                differences[palette, seen] -= delivery.forecasts / halvings
        if report is not None:
            report(halving + 1, halvings)
    asked, solved = np.asarray(palettes, dtype=float), np.array(solved_shares)
    return _aggregate(table, fresh, asked, runs, solved, differences=differences, level=level)


def _aggregate(
    table: RewardTable,
    fresh: RewardTable,
    asked: np.ndarray,
    runs: Sequence[tuple[Delivery, ...]],
    solved: np.ndarray,
    *,
    differences: np.ndarray,
    level: float,
) -> CrossFitDelivery:
    """Compute means over the runs, two per halving, and the errors of these means.

    Forecasts of a run are weighted by ``solved`` and deliveries by 1 - ``solved``, so that every prompt counts by its
    weight in both means.

    Args:
        table: the table without its held-out prompts.
        fresh: fresh replies to the same prompts.
        asked: (palette, value) targets, NaN for free values.
        runs: one tuple of deliveries per run, in the order of the palettes.
        solved: (run,) total weight of the prompts solved on, as a share.
        differences: (palette, prompt, value) delivered minus forecast level, in the order of ``fresh``.
        level: probability of the intervals.
    """
    fresh_oracle, table_oracle = MemoryOracle.of(fresh), MemoryOracle.of(table)
    case_strata = strata(fresh)
    quantile = float(stdtrit(len(case_strata) - len(set(case_strata.tolist())), (1 + level) / 2))
    above = asked > table_oracle.base + RISES * fresh_oracle.scale
    attainable = np.array([[delivery.verdict is not Verdict.OUT_OF_REACH for delivery in run] for run in runs]).T

    equal_weights, fresh_masses = np.ones(len(runs)), prompt_masses(fresh)

    def field_of_runs(name: str) -> np.ndarray:
        """Return a field of every delivery, (run, palette, ...)."""
        return np.array([[getattr(delivery, name) for delivery in run] for run in runs], dtype=float)

    def mean(name: str, run_weights: np.ndarray = equal_weights) -> np.ndarray:
        """Return the weighted mean of a field over the runs in which it is not NaN, (palette, ...)."""
        return _mean(field_of_runs(name), axis=0, weights=run_weights)

    def halving_mean(of_run: np.ndarray) -> np.ndarray:
        """Average a (run, palette) array over the directions with attainable palettes: (palette, halving)."""
        return _mean(np.where(attainable, of_run.T, np.nan).reshape(len(asked), -1, 2), axis=2)

    improved = np.array(
        [
            [np.all((delivery.realised > delivery.base) | ~up) for delivery, up in zip(run, above, strict=True)]
            for run in runs
        ]
    )
    inside = np.array([[_share(delivery.inside[~np.isnan(delivery.targets)]) for delivery in run] for run in runs]).T
    targets, reachable = mean("targets"), attainable.mean(axis=1)
    errors = np.array([quantile * standard_error(palette, case_strata, fresh_masses) for palette in differences])
    rising = above & (reachable > 0.5)[:, None]
    total_way = float(((targets - fresh_oracle.base) / fresh_oracle.scale)[rising].sum())
    total_differences = (np.where(rising[:, None], differences, 0.0) / fresh_oracle.scale).sum(axis=(0, 2))[:, None]
    return CrossFitDelivery(
        values=table.values,
        start=table_oracle.base,
        base=fresh_oracle.base,
        scale=fresh_oracle.scale,
        asked=asked,
        targets=targets,
        reachable=reachable,
        forecast=mean("forecast", solved),
        realised=mean("realised", 1 - solved),
        picked=mean("picked", 1 - solved),
        error=errors,
        pooled=mean("pooled", 1 - solved),
        wins=mean("wins", 1 - solved),
        kl_forecast=mean("kl_forecast", solved),
        kl_realised=mean("kl_realised", 1 - solved),
        inside=_mean(inside.reshape(len(asked), -1, 2), axis=2),
        improves=halving_mean(field_of_runs("improves")),
        improves_whole=halving_mean(improved),
        wins_all=halving_mean(field_of_runs("wins_all")),
        random_improves=halving_mean(field_of_runs("random_improves")),
        random_wins=halving_mean(field_of_runs("random_wins")),
        way_error=quantile * float(standard_error(total_differences, case_strata, fresh_masses)[0]) / total_way
        if total_way > 0
        else math.nan,
        level=level,
        prompts=len(fresh.prompts),
        candidates=int(fresh.candidates.max()),
    )


def _mean(numbers: np.ndarray, axis: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean over an axis of entries that are not NaN, with weights of the first axis; NaN where all are."""
    present = (~np.isnan(numbers)).astype(float)
    if weights is not None:
        present *= weights.reshape(-1, *[1] * (numbers.ndim - 1))
    count = present.sum(axis=axis)
    total = (present * np.nan_to_num(numbers)).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan))


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan


def bootstrap_mean(shares: np.ndarray, level: float = 0.9, seed: int = 0) -> tuple[float, float, float]:
    """Compute the mean of a (palette, halving) array, with a bootstrap interval over palettes and halvings.

    Palettes and halvings are resampled with replacement, prompts and replies are not: the interval is for other
    palettes and other halves of the same prompts.

    Args:
        shares: (palette, halving), where NaN entries do not count.
        level: probability of the interval.
        seed: seed of the bootstrap.

    Returns:
        (mean, low, high); NaN where every entry is NaN.

    Source: Owen, "The pigeonhole bootstrap", 2007.
    """
    if np.isnan(shares).all():
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    present, filled = ~np.isnan(shares), np.nan_to_num(shares)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float) for n in shares.shape)
    total = np.einsum("dp,ph,dh->d", rows, filled, columns, optimize=True)
    count = np.einsum("dp,ph,dh->d", rows, present.astype(float), columns, optimize=True)
    drawn = total[count > 0] / count[count > 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(filled.sum() / present.sum()), float(low), float(high)
