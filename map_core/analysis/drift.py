"""Palettes with a date, and what becomes of one when the model or the prompts change.

Levels that are right today are weights on today's table. On another table the same weights give other levels, and
other weights are needed for the same levels. A table is a sample of prompts, so every change comes with its standard
error over prompts, and only one that stands out of it is called drift:

    change_j  = mu'_j(lambda) - mu_j(lambda)
    error_j^2 = sum over prompts of (e'_ij - e_ij)^2 / n (n - 1)          where the prompts are the same
    error_j^2 = sum e'_ij^2 / n' (n' - 1) + sum e_ij^2 / n (n - 1)        where they are not

with e_ij = n m_i (l_ij - mu_j) from each prompt's own levels l_i and its mass m_i. Constraint: everything is in reward
units, the only ones that two tables share.

Source: influence of a prompt on a (weighted) mean over prompts, Hampel, "The Influence Curve and Its Role in Robust
Estimation", 1974; Student's t for few prompts,
Bonferroni's correction for looking at every value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import Assessment, assess
from map_core.oracle import MemoryOracle, Oracle

#: How often chance alone may be called drift in one comparison, over all values.
FALSE_ALARMS = 0.05
#: A level this close to its target, in standard deviations, meets it: the rounding of a solve.
SOLVED = 1e-7


@dataclass(frozen=True)
class DatedPalette:
    """A palette as it stood on a day, by the names of its values and in reward units: what is kept and compared.

    Args:
        name: what it is called.
        date: ISO date, or date and time.
        form: the form that it was solved in.
        targets: a level a targeted value.
        weights: lambda, in 1/reward; empty when it was out of reach.
        levels: what the weights realised, every value; empty when it was out of reach.
        kl: nats; None when it was out of reach.
        table: fingerprint of the table.
    """

    name: str
    date: str
    form: Form
    targets: Mapping[str, float]
    weights: Mapping[str, float]
    levels: Mapping[str, float]
    kl: float | None
    table: str

    def as_dict(self) -> dict[str, Any]:
        """The palette as plain JSON values."""
        return asdict(self) | {"form": self.form.value}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> DatedPalette:
        """The palette of :meth:`as_dict`.

        Raises:
            InputError: a part is missing or not what it should be.
        """
        try:
            kl = None if record["kl"] is None else float(record["kl"])
            name, date, form = str(record["name"]), str(record["date"]), Form(record["form"])
            targets, weights, levels = (
                {str(k): float(v) for k, v in record[part].items()} for part in ("targets", "weights", "levels")
            )
            return cls(name, date, form, targets, weights, levels, kl, str(record["table"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"This is no dated palette ({error!r}); expected what as_dict gives.") from error


def fingerprint(table: RewardTable) -> str:
    """The same text for tables of the same values, prompts and rewards, and for no others."""
    seen = hashlib.sha256(repr((table.values, table.prompts, table.use_cases)).encode())
    seen.update(np.ascontiguousarray(table.offsets).tobytes())
    seen.update(np.ascontiguousarray(table.rewards).tobytes())
    return seen.hexdigest()[:32]


def dated(name: str, date: str, table: RewardTable, targets: np.ndarray, form: Form | None = None) -> DatedPalette:
    """Solve a palette and date it.

    Args:
        name, date: what it is called, and when.
        table: the table.
        targets: (value,) in reward units, NaN for a free value.
        form: the table's own by default.

    Raises:
        InputError: targets or form that do not fit the table.
    """
    oracle = MemoryOracle.of(table, form)
    solution = assess(oracle, oracle.standardise(targets)).solution

    def named(row: np.ndarray, kept: np.ndarray) -> dict[str, float]:
        return {oracle.values[j]: float(row[j]) for j in np.flatnonzero(kept)}

    wanted = ~np.isnan(targets)
    return DatedPalette(
        name,
        date,
        oracle.form,
        named(np.asarray(targets), wanted),
        named(solution.weights / oracle.scale, wanted) if solution else {},
        named(oracle.rewards_at(solution.levels), np.ones(len(targets), dtype=bool)) if solution else {},
        solution.kl if solution else None,
        fingerprint(table),
    )


@dataclass(frozen=True, eq=False)
class Change:
    """Levels before and after, in reward units, all arrays (value,).

    Args:
        before, after: the levels.
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
        form: in which both were solved.
        same_prompts: the tables have the same prompts, so that changes were taken prompt by prompt.
        targets: NaN for free values.
        base: levels of the base models.
        scale_before, scale_after: standard deviations under the base models.
        before, after: the assessments; the first with every target, the second with those that the new table has.
        weights_before, weights_after: lambda; None when out of reach.
        held: what the first table's weights give on both; None when they do not exist.
        held_kl: nats that these weights spend on the second table.
        missed: bool, targets that these weights met and miss now, by more than chance.
        short: how far below target they leave each level on the second table, 0 where met.
    """

    values: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    form: Form
    same_prompts: bool
    targets: np.ndarray
    base: Change
    scale_before: np.ndarray
    scale_after: np.ndarray
    before: Assessment
    after: Assessment
    weights_before: np.ndarray | None
    weights_after: np.ndarray | None
    held: Change | None
    held_kl: float
    missed: np.ndarray
    short: np.ndarray


def drift(before: RewardTable, after: RewardTable, targets: np.ndarray, form: Form | None = None) -> Drift:
    """Compare one palette on two tables.

    Args:
        before, after: the tables; they may differ in model, prompts and values.
        targets: (value of the first table,) in reward units, NaN for a free value.
        form: by default the tables' own, or pooled where these differ.

    Returns:
        The comparison.

    Raises:
        InputError: no value in common, or targets or form that do not fit.
    """
    values = tuple(name for name in before.values if name in after.values)
    if not values:
        raise InputError(
            f"The tables have no value in common: {', '.join(before.values)} and {', '.join(after.values)}."
        )
    targets = np.asarray(targets, dtype=float)
    if targets.shape != (len(before.values),):
        raise InputError(f"There are {targets.size} targets; expected {len(before.values)}, one a value.")
    form = form or (before.form if before.form is after.form else Form.POOLED)
    old, new = MemoryOracle.of(before, form), MemoryOracle.of(after, form)
    a = np.array([before.index(name) for name in values])
    b = np.array([after.index(name) for name in values])

    wanted = np.full(len(after.values), np.nan)
    wanted[b] = targets[a]
    first, second = assess(old, old.standardise(targets)), assess(new, new.standardise(wanted))
    match, fewest = _matching(before, after), min(old.prompts, new.prompts)

    def change(weights: np.ndarray) -> Change:
        there = np.zeros(len(after.values))
        there[b] = weights[a]
        left, right = _levels(old, weights * old.scale), _levels(new, there * new.scale)
        e, f = left.influence[:, a], right.influence[:, b]
        if match is not None:
            error = np.sqrt(_squared_error(f[match] - e))
        else:
            error = np.sqrt(_squared_error(e) + _squared_error(f))
        return Change(
            left.levels[a], right.levels[b], error, _real(right.levels[b] - left.levels[a], error, old.scale[a], fewest)
        )

    weights = first.solution.weights / old.scale if first.solution else None
    held = change(weights) if weights is not None else None
    short, missed = np.zeros(len(values)), np.zeros(len(values), dtype=bool)
    held_kl = float("nan")
    if held is not None and weights is not None:
        short = np.nan_to_num(np.maximum(0.0, targets[a] - held.after))
        missed = (short > 0) & _real(short, held.error, old.scale[a], fewest)
        there = np.zeros(len(after.values))
        there[b] = weights[a]
        at = new.moments(there * new.scale)
        held_kl = at.kl(there * new.scale)
    return Drift(
        values=values,
        only_before=tuple(name for name in before.values if name not in values),
        only_after=tuple(name for name in after.values if name not in values),
        form=form,
        same_prompts=match is not None,
        targets=targets[a],
        base=change(np.zeros(len(before.values))),
        scale_before=old.scale[a],
        scale_after=new.scale[b],
        before=first,
        after=second,
        weights_before=None if weights is None else weights[a],
        weights_after=second.solution.weights[b] / new.scale[b] if second.solution else None,
        held=held,
        held_kl=held_kl,
        missed=missed,
        short=short,
    )


@dataclass(frozen=True, eq=False)
class _Levels:
    """Levels (value,) in reward units and each prompt's influence on them, (prompt, value)."""

    levels: np.ndarray
    influence: np.ndarray


def _levels(oracle: Oracle, x: np.ndarray) -> _Levels:
    of_prompt = oracle.by_prompt(x)
    mean = of_prompt.mass @ of_prompt.levels
    apart = len(of_prompt.mass) * of_prompt.mass[:, None] * (of_prompt.levels - mean)
    return _Levels(oracle.rewards_at(mean), apart * oracle.scale)


def _matching(before: RewardTable, after: RewardTable) -> np.ndarray | None:
    """(prompt,) where each prompt of the first table stands in the second; None unless both have the same."""
    keys = [list(zip(table.use_cases, table.prompts, strict=True)) for table in (before, after)]
    place = {key: number for number, key in enumerate(keys[1])}
    if len(keys[0]) != len(keys[1]) or len(place) < len(keys[1]) or set(keys[0]) != set(place):
        return None
    return np.array([place[key] for key in keys[0]])


def _squared_error(influence: np.ndarray) -> np.ndarray:
    """(value,) squared standard error of a mean from (prompt, value) influences; infinite for a single prompt."""
    prompts = len(influence)
    if prompts < 2:
        return np.full(influence.shape[1], np.inf)
    return np.asarray(np.sum(influence**2, axis=0) / (prompts * (prompts - 1)))


def _real(change: np.ndarray, error: np.ndarray, scale: np.ndarray, prompts: int) -> np.ndarray:
    """Whether changes stand out of their errors, from so many prompts; one of rounding size never does."""
    away = stdtrit(max(1, prompts - 1), 1.0 - 0.5 * FALSE_ALARMS / len(change))
    return np.asarray(np.abs(change) > np.maximum(away * error, SOLVED * scale))
