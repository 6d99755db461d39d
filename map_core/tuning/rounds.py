"""Tuning in rounds: solve again on the tuned model's own replies, tune on the new weights, until the targets hold.

A trained model is not the tilt of its weights: its level differs from the forecast. The weights are the multipliers of
the constraints level >= target, so that they go up where the trained model falls short and down where it overshoots.
With q the model tuned on lambda and A_q the log-partition of its own replies, the next weights are

    lambda' = argmin over lambda' >= 0 of  A_q(lambda' - lambda) - (lambda' - lambda) . c,

the dual of reaching c from q, with the sign on the whole of lambda' and not on the change. A trainer that comes half of
the way would come half of the way with this change too, so that the change is divided by the share of the way that it
has come, within :data:`SHARES`. Each round has a folder of its own and resumes as any tuning does.

What q gains is read off its own replies and, where the table has replies that the tuning did not read, off these too:
together they are a sample of the mixture m of p0 and q, in which a reply weighs q / m for q and p0 / m for p0.
Constraint: numpy and scipy; what tunes and what draws is handed in.

Source: Zhang et al., Alignment of large language models with constrained learning, arXiv 2505.19387 (alternating
Lagrangian maximisation over the model and dual descent on its own constraint values); Veach and Guibas, Optimally
combining sampling techniques, SIGGRAPH 1995 (the balance heuristic).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from map_core.core import amounts
from map_core.core.atomic_files import write_durable
from map_core.core.file_lock import lock
from map_core.core.softmax import softmax
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.generation.proposal import log_offsets
from map_core.models.tuned import RECORD
from map_core.oracle import MemoryOracle
from map_core.tuning.card import CARD
from map_core.tuning.check import LOG_RATIOS, TunedCheck, check_tuned
from map_core.tuning.examples import with_weighted_columns
from map_core.tuning.folder import (
    PLAN,
    ROUNDS,
    UNREAD_RATIOS,
    discard,
    read_ratios,
    read_record,
    write_record,
)
from map_core.tuning.request import TuningRequest

#: Prompts that are tuned on and answered after each round, and replies to each: held-out ones stay out of it.
PROMPTS, REPLIES = 16, 8
#: The most that a weight goes up by what is solved, in nats a standard deviation: few replies tell little of far ones.
MOST_UP = 1.0
#: Shares of the way by which a change is divided, at least and at most: a measured share is noisy.
SHARES = (0.5, 2.0)

Tune = Callable[[TuningRequest], Mapping[str, Any] | None]
Answer = Callable[[Path, Mapping[str, Any], RewardTable], RewardTable]


@dataclass(frozen=True)
class Round:
    """What one round came to, by value with a target, in reward units.

    Args:
        weights: lambda that was tuned on, 1 / reward; of values without one nothing.
        levels: of the tuned model.
        errors: half the width of the interval of each.
        targets: that were asked for.
        share: of the way that the model has come from the base model to the tilt, in lambda . r.
        gains: how far the levels are above those of the base model.
    """

    weights: Mapping[str, float]
    levels: Mapping[str, float]
    errors: Mapping[str, float]
    targets: Mapping[str, float]
    share: float = 1.0
    gains: Mapping[str, float] = field(default_factory=dict)

    def missed(self, name: str) -> float:
        """Return by how much a value is beyond its interval from where it should be; 0 where it holds.

        Below the target is a miss; above it is one only where a weight pushes the value there.
        """
        gap = self.levels[name] - self.targets[name]
        if gap > 0 and not self.weights.get(name):
            return 0.0
        return max(0.0, abs(gap) - self.errors[name])

    def unsure(self, name: str) -> bool:
        """Return whether a value that is pushed cannot be told from the base model yet."""
        return bool(self.weights.get(name)) and abs(self.gains.get(name, math.inf)) <= self.errors[name]

    @property
    def holds(self) -> bool:
        """Whether no target is missed, and each value that is pushed has been seen to move."""
        return not any(self.missed(name) or self.unsure(name) for name in self.targets)

    def as_dict(self) -> dict[str, Any]:
        """Return the round, and whether its targets hold, as plain JSON values."""
        return asdict(self) | {"holds": self.holds}


def round_folder(out: Path, number: int) -> Path:
    """Return the folder of a round, from 1."""
    return out / f"round-{number}"


def targeted_prompts(table: RewardTable) -> RewardTable:
    """Return the prompts that rounds look at: spread over those that are tuned on."""
    numbers = np.flatnonzero(table.counted & (table.candidates > 1))
    if len(numbers) > PROMPTS:
        numbers = numbers[np.linspace(0, len(numbers) - 1, PROMPTS).astype(int)]
    return replace(table, held_out=np.empty(0, dtype=bool), weights=np.empty(0)).take(numbers.tolist())


def gains_of(table: RewardTable, own: RewardTable, unread: Mapping[str, np.ndarray], first: int) -> np.ndarray:
    """Return how far the tuned model's levels are above the base model's, (prompt, value) in reward units.

    Args:
        table: the base model's replies to the prompts.
        own: the tuned model's, of :func:`map_core.tuning.check.draw_replies`, with the same values.
        unread: log q - log p0 of some base replies that were not read, by the id of the prompt; may lack prompts.
        first: number of the first of these.
    """
    ratios = np.asarray(own.metadata[LOG_RATIOS], dtype=float)
    gains = []
    for number, name in enumerate(table.prompt_ids):
        base, tuned = table.rewards[table.rows(number)], own.rewards[own.rows(number)]
        if (beside := unread.get(name)) is None:
            gains.append(tuned.mean(axis=0) - base.mean(axis=0))
            continue
        pooled = np.concatenate([beside, ratios[own.rows(number)]])
        rewards = np.concatenate([base[first : first + len(beside)], tuned])
        mixture = log_offsets(pooled, len(beside))
        weights = softmax(pooled - mixture).probabilities - softmax(-mixture).probabilities
        gains.append(weights @ rewards)
    return np.array(gains)


def round_of(check: TunedCheck, gains: np.ndarray, base: np.ndarray, targets: Mapping[str, float]) -> Round:
    """Return what a round came to.

    Args:
        check: the tuned model's replies to some prompts beside the base model's.
        gains: (prompt, value) of :func:`gains_of`.
        base: (value,) base levels on all prompts that are tuned on; the gain on some of them is added to it.
        targets: by value, in reward units.
    """
    way = float(((check.forecast - check.base) @ check.lam).sum())
    levels, errors = base + gains.mean(axis=0), check.half_width(gains)
    positions = {name: check.values.index(name) for name in targets}
    return Round(
        weights={name: float(w) for name, w in zip(check.values, check.lam, strict=True) if w},
        levels={name: float(levels[j]) for name, j in positions.items()},
        errors={name: float(errors[j]) for name, j in positions.items()},
        targets=dict(targets),
        share=float((gains @ check.lam).sum()) / way if way else 1.0,
        gains={name: float(gains[:, j].mean()) for name, j in positions.items()},
    )


def next_weights(own: RewardTable, now: Round) -> dict[str, float]:
    """Return the weights of the next round, see the module.

    Args:
        own: the tuned model's replies, with every value that has a target.
        now: what the round came to.

    Returns:
        By value with a target, 1 / reward; 0 where a value needs none any more is left out.
    """
    oracle = MemoryOracle.of(own)
    names = list(now.targets)
    positions = np.array([own.values.index(name) for name in names])
    scale = oracle.scale[positions]
    lam = np.array([now.weights.get(name, 0.0) for name in names]) * scale
    # How far each level is from its target, from the level that these replies have.
    gaps = np.array([now.targets[name] - now.levels[name] for name in names]) / scale

    def dual(wanted: np.ndarray) -> tuple[float, np.ndarray]:
        change = np.zeros(len(own.values))
        change[positions] = wanted - lam
        moments = oracle.moments(change)
        value = moments.log_normaliser - float((wanted - lam) @ gaps)
        return value, moments.levels[positions] - gaps

    bounds = [(0.0, float(weight) + MOST_UP) for weight in lam]
    weights = minimize(dual, lam, jac=True, bounds=bounds, method="L-BFGS-B").x
    stepped = lam + (weights - lam) / float(np.clip(now.share, *SHARES))
    return {name: float(w) for name, w in zip(names, stepped / scale, strict=True) if w > 1e-9}


def tune_in_rounds(
    request: TuningRequest,
    targets: Mapping[str, float],
    rounds: int,
    tune: Tune,
    answer: Answer,
    say: Callable[[str], None],
    ended: Callable[[Sequence[Round]], None] = lambda done: None,
) -> dict[str, Any]:
    """Tune until the targets hold within their intervals, or for so many rounds; the best round is the result.

    Args:
        request: the first round, and where the result goes; OUT/round-N is the folder of a round.
        targets: by value, in reward units; those of shares and tails by the names that weights have.
        rounds: at most.
        tune: tunes one round.
        answer: draws the replies of a round's model to prompts: its folder, its record, the prompts.
        say: called with a sentence a round.
        ended: called after each round with all of them so far.

    Returns:
        The record of the result, with ``rounds``, the number of the ``round`` that was best, and ``tuned_on``, the
        weights of that round; ``weights`` are those of the palette, which the result is held against.

    Raises:
        InputError: there are no targets, or the folder is finished or holds something else.
    """
    if not targets:
        raise InputError("Rounds need targets: weights alone say no level that could be missed. Give --target.")
    out = request.out
    out.mkdir(parents=True, exist_ok=True)
    with lock(out / RECORD, who="tuning"):
        if (out / RECORD).is_file() and not request.fresh:
            say(f"{out} is finished already; --fresh makes it anew.")
            return read_record(out)
        others = [entry.name for entry in out.iterdir() if not entry.name.startswith((RECORD, ROUNDS, "round-"))]
        # --fresh replaces tunings, in rounds or not, and nothing else.
        if others and not ((out / ROUNDS).is_file() or (request.fresh and (out / PLAN).is_file())):
            raise InputError(
                f"{out} holds other files ({', '.join(sorted(others)[:3])}). Give this tuning a folder of its own."
            )
        if request.fresh:
            discard(out)
        # Shares and tails that are asked for are values of all tables here.
        columns = {**targets, **request.weights}
        request = replace(request, table=with_weighted_columns(request.table, columns))
        looked_at = targeted_prompts(request.table)
        # Held-out prompts are looked at once, when the rounds are over: by `verify`.
        request = replace(request, unread_of=looked_at.prompt_ids, evidence_prompts=0)
        oracle = MemoryOracle.of(request.table)
        done: list[Round] = []
        weights = dict(request.weights)
        for number in range(1, rounds + 1):
            folder = round_folder(out, number)
            record = tune(replace(request, out=folder, weights=weights, fresh=False))
            if record is None:
                raise InputError("Rounds cannot be estimated together; estimate one tuning without --rounds.")
            own = answer(folder, record, looked_at.without_columns())
            own = with_weighted_columns(own, columns).reordered(looked_at.values)
            gains = gains_of(looked_at, own, read_ratios(folder / UNREAD_RATIOS), request.settings.value_replies)
            now = round_of(check_tuned(record, looked_at, own), gains, oracle.base, targets)
            done.append(now)
            write_durable(out / ROUNDS, json.dumps([round_.as_dict() for round_ in done], indent=1).encode())
            ended(done)
            say(_sentence(number, now))
            if now.holds:
                break
            weights = next_weights(own, now)
            if not weights:
                say("Every weight has come to 0: the base model meets the targets, and there is nothing to tune.")
                break
        return _take(out, done, _best(done, dict(zip(request.table.values, oracle.scale.tolist(), strict=True))))


def _best(done: list[Round], scale: Mapping[str, float]) -> int:
    """Return the place of the round that misses least, in standard deviations; of equal ones the last."""
    misses = [max(round_.missed(name) / scale[name] for name in round_.targets) for round_ in done]
    return max(range(len(done)), key=lambda place: (-misses[place], place))


def _take(out: Path, done: list[Round], best: int) -> dict[str, Any]:
    """Copy the files of a round into the folder, its record last."""
    folder = round_folder(out, best + 1)
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.copytree(entry, out / entry.name, dirs_exist_ok=True)
        elif not entry.name.startswith((RECORD, CARD, UNREAD_RATIOS)):
            shutil.copyfile(entry, out / entry.name)
    record, first = read_record(folder), read_record(round_folder(out, 1))
    record |= {"rounds": [round_.as_dict() for round_ in done], "round": best + 1, "tuned_on": record["weights"]}
    # What is promised is still the tilt of the palette's own weights, and not of those that it took to come there.
    record |= {"weights": first["weights"], "forecast": first.get("forecast", {})}
    write_record(out, record)
    return record


def _sentence(number: int, now: Round) -> str:
    parts = [
        f"{name} {amounts.significant(now.levels[name], 3)} +- {amounts.significant(now.errors[name], 2)} for "
        f"{amounts.significant(now.targets[name], 3)} (lambda {amounts.significant(now.weights.get(name, 0.0), 3)})"
        for name in now.targets
    ]
    return f"Round {number}: {'; '.join(parts)}. {'The targets hold.' if now.holds else 'Not yet.'}"
