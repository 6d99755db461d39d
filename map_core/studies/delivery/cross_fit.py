"""Many halvings, both directions of each: the same fresh replies to all prompts serve them all.

In every halving each prompt is solved on once and held out once. So the mean over halvings compares, prompt by prompt,
the forecast level with the one that fresh replies give under weights that have not seen the prompt: the assignment
of prompts to halves cancels in the difference, and the noise of replies is left. To first order the noise of the
weights cancels too, for it moves forecast and delivery alike; what remains of it is the optimism of solving on few
prompts, which is what is measured.

Each prompt counts by its weight, so a half counts as much as its prompts do; held-out prompts are left out.

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

    Where a palette is out of reach of one half, the nearest one replaces it there, in ``targets`` too.

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
        wins: (palette, value) how often an aligned reply beats one of the base model, ties half.
        kl_forecast: (palette,) nats.
        kl_realised: (palette,) nats.
        inside: (palette, halving) share of the targeted values whose realised level lies in its interval.
        improves: (palette, halving) mean over the two directions of the field of that name of :class:`Delivery`; NaN
            where the palette is not possible of both halves.
        wins_all: likewise.
        random_improves: likewise; NaN without rising targets too.
        random_wins: likewise.
        improves_whole: (palette, halving) as ``improves``, of every target above the base level of the whole table,
            including those that the half solved on meets without weight.
        way_error: half the width of the interval for :meth:`way` of the realised levels.
        level: probability of the intervals.
        prompts: with fresh replies.
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
        """How many ways of halving the prompts."""
        return self.inside.shape[1]

    @property
    def mostly_reachable(self) -> np.ndarray:
        """(palette,) bool: it is attainable on most halves."""
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
        """(palette,) bool: likewise, an aligned reply beats one of the base model more often than not."""
        return np.asarray(((self.wins > 0.5) | ~self.rising).all(axis=1))

    def way(
        self, levels: np.ndarray, *, palette: int | None = None, value: int | None = None, capped: bool = False
    ) -> float:
        """Compute the share of the way to the targets that some levels reach.

        Sums over palettes and values, in standard deviations, of rising targets; NaN without any.

        Args:
            levels: (palette, value), one of the fields.
            capped: levels count up to their target, so that no value makes up for another.
            palette: only this one; all that are attainable by default.
            value: only this one; all by default.
        """
        chosen = self.mostly_reachable if palette is None else np.arange(len(self.asked)) == palette
        counts = self.rising & chosen[:, None] & np.isfinite(levels)
        if value is not None:
            counts &= np.arange(len(self.values)) == value
        reached = np.fmin(levels, self.targets) if capped else levels
        gained, wanted = (((to - self.base) / self.scale)[counts].sum() for to in (reached, self.targets))
        return float(gained / wanted) if wanted > 0 else math.nan


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
        palettes: (value,) targets in reward units each, NaN for a free value.
        halvings: how many, at least 1; the first is that of :func:`split_halves` with this seed.
        level: probability of the intervals.
        seed: of halves, subsamples and picks.
        report: called with halvings done and all of them.

    Raises:
        InputError: no halving is asked for, nothing is asked for, ``fresh`` holds other prompts, a prompt is there
            twice, or what :func:`deliver` says.
    """
    if halvings < 1 or not len(palettes):
        raise InputError(f"{len(palettes)} palettes over {halvings} halvings; expected one of each at least.")
    kept_apart = set(table.prompts)
    table = table.without_held_out()
    kept_apart -= set(table.prompts)
    if kept_apart & set(fresh.prompts):
        fresh = fresh.take([number for number, prompt in enumerate(fresh.prompts) if prompt not in kept_apart])
    row = {prompt: number for number, prompt in enumerate(fresh.prompts)}
    if not len(row) == len(fresh.prompts) == len(table.prompts) or set(row) != set(table.prompts):
        raise InputError(
            f"The table has {len(table.prompts)} prompts and there are fresh replies to {len(fresh.prompts)}; "
            "expected the same prompts, each of them once."
        )
    weight = dict(zip(table.prompts, prompt_masses(table), strict=True))
    if table.prompt_weights is not None:
        fresh = replace(fresh, weights=np.array([weight[prompt] for prompt in fresh.prompts]))
    runs: list[tuple[Delivery, ...]] = []
    # How much the prompts that are solved on count in each run.
    solved_shares: list[float] = []
    # Delivered minus forecast, prompt by prompt.
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
    wanted, solved = np.asarray(palettes, dtype=float), np.array(solved_shares)
    return _aggregate(table, fresh, wanted, runs, solved, differences=differences, level=level)


def _aggregate(
    table: RewardTable,
    fresh: RewardTable,
    wanted: np.ndarray,
    runs: Sequence[tuple[Delivery, ...]],
    solved: np.ndarray,
    *,
    differences: np.ndarray,
    level: float,
) -> CrossFitDelivery:
    """Return means over the runs, two of which are a halving, and the errors of these means.

    A run counts as much as the prompts that it is of, the share ``solved`` of which is solved on: so every prompt
    counts by its weight in what is forecast and in what is delivered.
    """
    fresh_oracle, table_oracle = MemoryOracle.of(fresh), MemoryOracle.of(table)
    case_strata = strata(fresh)
    quantile = float(stdtrit(len(case_strata) - len(set(case_strata.tolist())), (1 + level) / 2))
    above = wanted > table_oracle.base + RISES * fresh_oracle.scale
    attainable = np.array([[delivery.verdict is not Verdict.OUT_OF_REACH for delivery in run] for run in runs]).T

    masses, fresh_masses = np.ones(len(runs)), prompt_masses(fresh)

    def mean(name: str, counted: np.ndarray = masses) -> np.ndarray:
        """Return (palette, ...) the mean of a field, over the runs that have it, as each is counted."""
        of_runs = np.array([[getattr(delivery, name) for delivery in run] for run in runs], dtype=float)
        return _mean(of_runs, axis=0, weights=counted)

    def directions(of_run: np.ndarray) -> np.ndarray:
        """Return (palette, halving) the mean of a (run, palette) array over the directions with attainable palettes."""
        return _mean(np.where(attainable, of_run.T, np.nan).reshape(len(wanted), -1, 2), axis=2)

    def by_halving(name: str) -> np.ndarray:
        return directions(np.array([[getattr(delivery, name) for delivery in run] for run in runs], dtype=float))

    improved = np.array(
        [
            [np.all((delivery.realised > delivery.base) | ~up) for delivery, up in zip(run, above, strict=True)]
            for run in runs
        ]
    )
    inside = np.array([[_share(delivery.inside[~np.isnan(delivery.targets)]) for delivery in run] for run in runs]).T
    targets, reachable = mean("targets"), attainable.mean(axis=1)
    errors = np.array([quantile * standard_error(of_palette, case_strata, fresh_masses) for of_palette in differences])
    rising = above & (reachable > 0.5)[:, None]
    total_way = float(((targets - fresh_oracle.base) / fresh_oracle.scale)[rising].sum())
    total_differences = (np.where(rising[:, None], differences, 0.0) / fresh_oracle.scale).sum(axis=(0, 2))[:, None]
    return CrossFitDelivery(
        values=table.values,
        start=table_oracle.base,
        base=fresh_oracle.base,
        scale=fresh_oracle.scale,
        asked=wanted,
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
        inside=_mean(inside.reshape(len(wanted), -1, 2), axis=2),
        improves=by_halving("improves"),
        improves_whole=directions(improved),
        wins_all=by_halving("wins_all"),
        random_improves=by_halving("random_improves"),
        random_wins=by_halving("random_wins"),
        way_error=quantile * float(standard_error(total_differences, case_strata, fresh_masses)[0]) / total_way
        if total_way > 0
        else math.nan,
        level=level,
        prompts=len(fresh.prompts),
        candidates=int(fresh.candidates.max()),
    )


def _mean(numbers: np.ndarray, axis: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of the entries that are not NaN, by weights (entry of the first axis,); NaN where all are."""
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

    Both are drawn with replacement; prompts and replies are not, so the interval is over other palettes and of other
    halves of the same prompts. NaN entries do not count.

    Returns:
        mean, low, high; NaN where nothing counts.

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
