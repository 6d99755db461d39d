"""Two palettes or models on the same prompts: who is better on each value, how often, and by how much.

Each answers a prompt with a distribution over replies: a palette of a table with softmax(lambda . r) over the prompt's
candidates, a file of answers with the probabilities in it. For one prompt, with independent replies a and b,

    win    P(r_a > r_b) + P(r_a = r_b) / 2,  and the ties P(r_a = r_b) beside it
    gain   E r_a - E r_b

exactly, without drawing; means over prompts, each by its weight, have paired t intervals, since both answer the same
prompts.
Constraint: arrays in, frozen results out; nothing is generated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from map_core.confidence.interval import Interval, t_interval
from map_core.core.softmax import softmax
from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Contender:
    """One palette or model and its replies.

    Args:
        name: as people know it.
        values: names of the values.
        prompts: texts or names, each once.
        rewards: one (reply, value) array a prompt.
        probabilities: one (reply,) array a prompt, with sum 1.
        weights: (prompt,) how often each occurs in use, above 0; empty where that is not known.
    """

    name: str
    values: tuple[str, ...]
    prompts: tuple[str, ...]
    rewards: tuple[np.ndarray, ...]
    probabilities: tuple[np.ndarray, ...]
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """The first against the second; intervals are (value,) arrays.

    Args:
        first, second: names.
        values: that both are scored on.
        prompts: that both answered.
        wins: how often a reply of the first is better, ties counting half.
        ties: (value,) how often both are worth the same.
        gains: mean reward of the first less that of the second, in reward units.
    """

    first: str
    second: str
    values: tuple[str, ...]
    prompts: int
    wins: Interval
    ties: np.ndarray
    gains: Interval


def prompts_to_compare(table: RewardTable) -> RewardTable:
    """Return the prompts that the table holds out, or the table itself where these are fewer than two."""
    away = np.flatnonzero(~table.counted)
    if len(away) < 2:
        return table
    return replace(table, held_out=np.empty(0, dtype=bool)).take(away.tolist())


def table_contender(table: RewardTable, name: str, weights: np.ndarray) -> Contender:
    """Return a palette of a table, by its weights lambda, (value,) in 1/reward; zeros for the base model."""
    rewards = tuple(table.rewards[table.rows(i)] for i in range(len(table.prompts)))
    shares = tuple(softmax(r @ weights).probabilities for r in rewards)
    return Contender(name, table.values, table.prompt_ids, rewards, shares, table.weights)


def read_answers(path: Path, name: str | None = None) -> Contender:
    """Read a file of ``generate --prompts ... --out`` as a contender, by all candidates and their probabilities.

    Raises:
        InputError: a line is no answer, a prompt comes twice, or no value is scored throughout.
    """
    prompts, rewards, probabilities, values = [], [], [], None
    for where, entry in json_records(read_text(path), path, "one per answer"):
        try:
            candidates = [c for c in entry["candidates"] if None not in c["rewards"].values()]
            scored = tuple(candidates[0]["rewards"])
            prompts.append(str(entry["prompt"]))
            rewards.append(np.array([[c["rewards"][value] for value in scored] for c in candidates], dtype=float))
            probabilities.append(np.array([c["probability"] for c in candidates], dtype=float))
        except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"{where} is no answer ({error!r}); expected a line of `generate --prompts`.") from error
        share = probabilities[-1].sum()
        if not (np.isfinite(rewards[-1]).all() and (probabilities[-1] >= 0.0).all() and 0.0 < share < np.inf):
            raise InputError(
                f"{where} has a reward that is no finite number, or no candidate with a probability above 0; expected "
                "a line of `generate --prompts`."
            )
        if values not in (None, scored):
            raise InputError(
                f"{where} is scored on {', '.join(scored)}; the lines before on {', '.join(values or ())}."
            )
        values = scored
    if not values or len(set(prompts)) < len(prompts):
        raise InputError(f"{path} holds no scored answers, or a prompt twice; expected one answer per prompt.")
    shares = tuple(p / p.sum() for p in probabilities)
    return Contender(name or path.stem, values, tuple(prompts), tuple(rewards), shares)


def compare(first: Contender, second: Contender, level: float = 0.95) -> PairedComparison:
    """Compare two contenders on the prompts and values that they share.

    Args:
        first: the one.
        second: the other.
        level: probability of the intervals, between 0 and 1.

    Raises:
        InputError: fewer than two prompts or no value in common, or a level outside 0 and 1.
    """
    place = {prompt: number for number, prompt in enumerate(second.prompts)}
    shared = [(i, place[prompt]) for i, prompt in enumerate(first.prompts) if prompt in place]
    values = tuple(value for value in first.values if value in second.values)
    if len(shared) < 2 or not values or not 0.0 < level < 1.0:
        raise InputError(
            f"{first.name} and {second.name} share {len(shared)} prompts and {len(values)} values, and the level is "
            f"{level}; expected two prompts, one value, and a number between 0 and 1."
        )
    of_first, of_second = zip(*shared, strict=True)
    weights = np.ones(len(shared))
    if first.weights.size or second.weights.size:
        weights = first.weights[list(of_first)] if first.weights.size else second.weights[list(of_second)]
    mass = weights / weights.sum()
    columns = [[contender.values.index(value) for value in values] for contender in (first, second)]
    wins, ties, gains = np.empty((3, len(shared), len(values)))
    for row, (i, j) in enumerate(shared):
        p, q = first.probabilities[i], second.probabilities[j]
        a, b = first.rewards[i][:, columns[0]], second.rewards[j][:, columns[1]]
        gains[row] = p @ a - q @ b
        for column in range(len(values)):
            better, same = _chances(a[:, column], p, b[:, column], q)
            wins[row, column], ties[row, column] = better + same / 2, same
    return PairedComparison(
        first.name, second.name, values, len(shared), _mean(wins, mass, level), mass @ ties, _mean(gains, mass, level)
    )


def compare_all(contenders: Sequence[Contender], level: float = 0.95) -> tuple[PairedComparison, ...]:
    """Compare every two contenders, in their order."""
    return tuple(compare(first, second, level) for first, second in combinations(contenders, 2))


def _chances(a: np.ndarray, p: np.ndarray, b: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Return P(a > b) and P(a = b)."""
    order = np.argsort(b)
    mass = np.concatenate([[0.0], np.cumsum(q[order])])
    below, until = (mass[np.searchsorted(b[order], a, side=side)] for side in ("left", "right"))
    return float(p @ below), float(p @ (until - below))


def _mean(rows: np.ndarray, mass: np.ndarray, level: float) -> Interval:
    """Return the mean of (prompt, value) rows by mass, (prompt,) with sum 1, and its interval."""
    count, mean = len(rows), mass @ rows
    influence = mass[:, None] * (rows - mean)
    error = np.sqrt(count / (count - 1) * np.sum(influence**2, axis=0))
    return t_interval(mean, error, count - 1, level)
