"""Compare two palettes or models on the same prompts: win rate, ties and mean gain on each value.

Each answers a prompt with a distribution over replies: a palette of a table with softmax(lambda . r) over the prompt's
candidates, a file of answers with the probabilities in it. For one prompt, with independent replies a and b,

    win    P(r_a > r_b) + P(r_a = r_b) / 2,  and the ties P(r_a = r_b) beside it
    gain   E r_a - E r_b

are computed exactly, without sampling. Their means over prompts, weighted by the prompts' weights, have paired t
intervals, since both answer the same prompts.
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
        name: display name.
        values: names of the values.
        prompts: texts or identifiers, all different.
        rewards: one (reply, value) array per prompt, in reward units.
        probabilities: one (reply,) array per prompt, with sum 1.
        weights: (prompt,) weight of each prompt in means, above 0; empty where all count alike.
    """

    name: str
    values: tuple[str, ...]
    prompts: tuple[str, ...]
    rewards: tuple[np.ndarray, ...]
    probabilities: tuple[np.ndarray, ...]
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """The first contender against the second; intervals hold (value,) arrays.

    Args:
        first: name of the first contender.
        second: name of the second contender.
        values: the values that both are scored on.
        prompts: number of prompts that both answered.
        wins: probability that a reply of the first has the higher reward, a tie counting half.
        ties: (value,) probability that both rewards are equal.
        gains: mean reward of the first minus that of the second, in reward units.
    """

    first: str
    second: str
    values: tuple[str, ...]
    prompts: int
    wins: Interval
    ties: np.ndarray
    gains: Interval


def prompts_to_compare(table: RewardTable) -> RewardTable:
    """Return the table's held-out prompts, or the table itself where there are fewer than two of them."""
    held_out = np.flatnonzero(~table.counted)
    if len(held_out) < 2:
        return table
    return replace(table, held_out=np.empty(0, dtype=bool)).take(held_out.tolist())


def table_contender(table: RewardTable, name: str, weights: np.ndarray) -> Contender:
    """Return a table re-weighted with a palette's weights as a contender.

    Args:
        table: the rewards.
        name: display name.
        weights: (value,) lambda, in 1 / reward; zeros for the base model.
    """
    rewards = tuple(table.rewards[table.rows(i)] for i in range(len(table.prompts)))
    probabilities = tuple(softmax(r @ weights).probabilities for r in rewards)
    return Contender(name, table.values, table.prompt_ids, rewards, probabilities, table.weights)


def read_answers(path: Path, name: str | None = None) -> Contender:
    """Read a file of ``generate --prompts ... --out`` as a contender, with all candidates and their probabilities.

    Args:
        path: JSON lines, one per prompt.
        name: display name; the file's name by default.

    Raises:
        InputError: a line is no answer, a prompt comes twice, or no value is scored throughout.
    """
    prompts: list[str] = []
    rewards: list[np.ndarray] = []
    probabilities: list[np.ndarray] = []
    values: tuple[str, ...] | None = None
    for where, entry in json_records(read_text(path), path, "one per answer"):
        try:
            candidates = [c for c in entry["candidates"] if None not in c["rewards"].values()]
            scored = tuple(candidates[0]["rewards"])
            prompt = str(entry["prompt"])
            reward_rows = np.array([[c["rewards"][value] for value in scored] for c in candidates], dtype=float)
            mass = np.array([c["probability"] for c in candidates], dtype=float)
        except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"{where} is no answer ({error!r}); expected a line of `generate --prompts`.") from error
        if not (np.isfinite(reward_rows).all() and (mass >= 0.0).all() and 0.0 < mass.sum() < np.inf):
            raise InputError(
                f"{where} has a reward that is no finite number, or no candidate with a probability above 0; expected "
                "a line of `generate --prompts`."
            )
        if values is not None and values != scored:
            raise InputError(
                f"{where} is scored on {', '.join(scored)}, the lines before on {', '.join(values)}; expected the same "
                "values in every line."
            )
        values = scored
        prompts.append(prompt)
        rewards.append(reward_rows)
        probabilities.append(mass / mass.sum())
    if not values or len(set(prompts)) < len(prompts):
        raise InputError(f"{path} holds no scored answers, or a prompt twice; expected one answer per prompt.")
    return Contender(name or path.stem, values, tuple(prompts), tuple(rewards), tuple(probabilities))


def compare(first: Contender, second: Contender, level: float = 0.95) -> PairedComparison:
    """Compare two contenders on the prompts and values that they share.

    Args:
        first: whose wins and gains are reported.
        second: whom it is compared with. Prompts are weighted by ``first.weights`` where it has them, else by these.
        level: probability of the intervals, between 0 and 1.

    Raises:
        InputError: fewer than two prompts or no value in common, or a level outside 0 and 1.
    """
    row_of_second = {prompt: j for j, prompt in enumerate(second.prompts)}
    shared = [(i, row_of_second[prompt]) for i, prompt in enumerate(first.prompts) if prompt in row_of_second]
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
            better, same = _win_and_tie(a[:, column], p, b[:, column], q)
            wins[row, column], ties[row, column] = better + same / 2, same
    return PairedComparison(
        first=first.name,
        second=second.name,
        values=values,
        prompts=len(shared),
        wins=_mean(wins, mass, level),
        ties=mass @ ties,
        gains=_mean(gains, mass, level),
    )


def compare_all(contenders: Sequence[Contender], level: float = 0.95) -> tuple[PairedComparison, ...]:
    """Compare every pair of contenders, in their order."""
    return tuple(compare(first, second, level) for first, second in combinations(contenders, 2))


def _win_and_tie(a: np.ndarray, p: np.ndarray, b: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Return P(a > b) and P(a = b) for independent rewards a with probabilities p and b with probabilities q."""
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
