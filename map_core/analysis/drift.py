"""Drift: how the levels of one palette change when the model or the prompts change.

On another table the same weights give other levels, and other weights are needed for the same levels. A table is
a sample of prompts, so every change comes with its standard error over prompts, and only one beyond chance is drift:

    change_j  = mu'_j(lambda) - mu_j(lambda)
    error_j^2 = sum over prompts of (e'_ij - e_ij)^2 / n (n - 1)          where the prompts are the same
    error_j^2 = sum e'_ij^2 / n' (n' - 1) + sum e_ij^2 / n (n - 1)        where they are not

with e_ij = n m_i (l_ij - mu_j) from each prompt's own levels l_i and its mass m_i. Constraint: everything is in reward
units, the only ones that two tables share.

Source: influence of a prompt on a (weighted) mean over prompts, Hampel, "The Influence Curve and Its Role in Robust
Estimation", 1974; Student's t for few prompts, Bonferroni's correction for testing every value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import Assessment, assess
from map_core.oracle import MemoryOracle, Oracle

#: False alarm rate of one comparison, over all values.
FALSE_ALARMS = 0.05
#: A level this close to its target, in standard deviations, meets it: the rounding of a solve.
SOLVE_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class LevelDrift:
    """Levels before and after, in reward units, all arrays (value,).

    Args:
        before: levels on the first table.
        after: levels on the second table.
        error: standard error of their difference over prompts; infinite for a single prompt.
        real: bool, the difference is more than chance explains.
    """

    before: np.ndarray
    after: np.ndarray
    error: np.ndarray
    real: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """(value,) after less before."""
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class Drift:
    """One palette on two tables; arrays are (value,) over the values that both have, in reward units.

    Args:
        values: the values that both tables have, in the first one's order.
        only_before, only_after: values that only one of them has.
        form: the form in which both were solved.
        same_prompts: the tables have the same prompts, so that changes were taken prompt by prompt.
        targets: NaN for free values.
        base: levels of the base models.
        scale_before, scale_after: standard deviations under the base models.
        before, after: the assessments; the first with every target, the second with those that the new table has.
        weights_before, weights_after: lambda; None when out of reach.
        held: levels on both tables under the first table's weights; None when there are no such weights.
        held_kl: nats that these weights spend on the second table.
        missed: bool, targets that these weights miss on the second table by more than chance.
        short: how far each level is below its target on the second table under these weights, 0 where met.
    """

    values: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    form: Form
    same_prompts: bool
    targets: np.ndarray
    base: LevelDrift
    scale_before: np.ndarray
    scale_after: np.ndarray
    before: Assessment
    after: Assessment
    weights_before: np.ndarray | None
    weights_after: np.ndarray | None
    held: LevelDrift | None
    held_kl: float
    missed: np.ndarray
    short: np.ndarray


def drift(before: RewardTable, after: RewardTable, targets: np.ndarray, form: Form | None = None) -> Drift:
    """Compare one palette on two tables.

    Args:
        before: the first table.
        after: the second table; it may differ in model, prompts and values.
        targets: (value of the first table,) in reward units, NaN for a free value.
        form: by default the tables' own, or pooled where these differ.

    Returns:
        The comparison.

    Raises:
        InputError: no value in common, or targets or form that do not fit.
    """
    before, after = before.without_held_out(), after.without_held_out()
    values = tuple(name for name in before.values if name in after.values)
    if not values:
        raise InputError(
            f"The tables have no value in common: {', '.join(before.values)} and {', '.join(after.values)}."
        )
    targets = np.asarray(targets, dtype=float)
    if targets.shape != (len(before.values),):
        raise InputError(f"There are {targets.size} targets; expected {len(before.values)}, one per value.")
    form = form or (before.form if before.form is after.form else Form.POOLED)
    old, new = MemoryOracle.of(before, form), MemoryOracle.of(after, form)
    in_before = np.array([before.index(name) for name in values])
    in_after = np.array([after.index(name) for name in values])

    def on_second_table(by_value: np.ndarray, absent: float) -> np.ndarray:
        """Reorder (value of the first table,) numbers for the second one, whose other values get ``absent``."""
        reordered = np.full(len(after.values), absent)
        reordered[in_after] = by_value[in_before]
        return reordered

    first = assess(old, old.standardise(targets))
    second = assess(new, new.standardise(on_second_table(targets, np.nan)))
    match, fewest = _matching(before, after), min(old.prompts, new.prompts)

    def change(weights: np.ndarray) -> LevelDrift:
        left = _levels(old, weights * old.scale)
        right = _levels(new, on_second_table(weights, 0.0) * new.scale)
        influence_before, influence_after = left.influence[:, in_before], right.influence[:, in_after]
        if match is not None:
            error = np.sqrt(_squared_error(influence_after[match] - influence_before))
        else:
            error = np.sqrt(_squared_error(influence_before) + _squared_error(influence_after))
        return LevelDrift(
            left.levels[in_before],
            right.levels[in_after],
            error,
            _significant(right.levels[in_after] - left.levels[in_before], error, old.scale[in_before], fewest),
        )

    weights = first.solution.weights / old.scale if first.solution else None
    held = change(weights) if weights is not None else None
    short, missed = np.zeros(len(values)), np.zeros(len(values), dtype=bool)
    held_kl = float("nan")
    if held is not None and weights is not None:
        short = np.nan_to_num(np.maximum(0.0, targets[in_before] - held.after))
        missed = (short > 0) & _significant(short, held.error, old.scale[in_before], fewest)
        x = on_second_table(weights, 0.0) * new.scale
        held_kl = new.moments(x).kl(x)
    return Drift(
        values=values,
        only_before=tuple(name for name in before.values if name not in values),
        only_after=tuple(name for name in after.values if name not in values),
        form=form,
        same_prompts=match is not None,
        targets=targets[in_before],
        base=change(np.zeros(len(before.values))),
        scale_before=old.scale[in_before],
        scale_after=new.scale[in_after],
        before=first,
        after=second,
        weights_before=None if weights is None else weights[in_before],
        weights_after=second.solution.weights[in_after] / new.scale[in_after] if second.solution else None,
        held=held,
        held_kl=held_kl,
        missed=missed,
        short=short,
    )


@dataclass(frozen=True, eq=False)
class _Levels:
    """Levels (value,) in reward units, and each prompt's influence on them, (prompt, value)."""

    levels: np.ndarray
    influence: np.ndarray


def _levels(oracle: Oracle, x: np.ndarray) -> _Levels:
    """Return the levels at weights x, in nats per standard deviation, with each prompt's influence."""
    prompts = oracle.by_prompt(x)
    mean = prompts.mass @ prompts.levels
    influence = len(prompts.mass) * prompts.mass[:, None] * (prompts.levels - mean)
    return _Levels(oracle.rewards_at(mean), influence * oracle.scale)


def _matching(before: RewardTable, after: RewardTable) -> np.ndarray | None:
    """Return (prompt,) the position of each first-table prompt in the second table.

    None where the prompts differ, or where one occurs twice, so that they cannot be paired.
    """
    first, second = (list(zip(table.use_cases, table.prompts, strict=True)) for table in (before, after))
    position = {key: index for index, key in enumerate(second)}
    if len(first) != len(second) or len(position) < len(second) or set(first) != set(position):
        return None
    return np.array([position[key] for key in first])


def _squared_error(influence: np.ndarray) -> np.ndarray:
    """Return (value,) squared standard error of a mean by (prompt, value) influences; infinite for a single prompt."""
    prompts = len(influence)
    if prompts < 2:
        return np.full(influence.shape[1], np.inf)
    return np.asarray(np.sum(influence**2, axis=0) / (prompts * (prompts - 1)))


def _significant(change: np.ndarray, error: np.ndarray, scale: np.ndarray, prompts: int) -> np.ndarray:
    """Return (value,) whether changes are significant by Student's t over this many prompts, and above rounding."""
    quantile = stdtrit(max(1, prompts - 1), 1.0 - 0.5 * FALSE_ALARMS / len(change))
    return np.asarray(np.abs(change) > np.maximum(quantile * error, SOLVE_TOLERANCE * scale))
