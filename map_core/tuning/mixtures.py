"""One tuning for many palettes: models that are each tuned to one value, mixed for a palette, as baselines of decoding.

With l_i = log q_i - log p0 of the model tuned to value i, two ways need no tuning of their own:

* the log-linear mixture  log q_w = log p0 + sum_i w_i l_i - log Z,  sampled as any tilt is, with l_i as values;
* the rewarded soup, one model whose weights are the average of the models' weights (arXiv 2306.04488).

The mixture's w is what the solver finds where the l_i are values and the targets their levels under the palette's tilt:
at that w >= 0 KL(tilt | q_w) is least, and where every q_i is the exact tilt of its value, q_w is the palette's tilt. A
soup's shares are w over its sum, to the hundredth. Both are evaluated on replies of p0 to prompts that no model was
tuned on, by the weights exp(log q - log p0); w is fitted on the same replies, which favours the mixture. Constraint:
numpy and the solver; what computes l is :mod:`map_core.tuning.soup`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.softmax import softmax
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.adapters import WEIGHTS, is_adapter
from map_core.models.cache import sha256_of
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from map_core.tuning.examples import with_weighted_columns
from map_core.tuning.folder import RATIOS, read_ratios
from map_core.tuning.held_out import HeldOutLevels, held_out_levels

Ratios = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class SingleTuned:
    """A model that was tuned to one value.

    Args:
        name: of the model.
        value: that it was tuned to.
        folder: with its adapter.
        held_out: ids of prompts that it was not tuned on.
        ratios: (reply,) log q - log p0 of the base model's first replies, by the id of the prompt.
    """

    name: str
    value: str
    folder: Path
    held_out: frozenset[str]
    ratios: Ratios

    @classmethod
    def of(cls, name: str, folder: Path, record: Mapping[str, Any]) -> SingleTuned | None:
        """Return what a folder holds; None where the model has several values, or is no adapter."""
        values = [value for value, weight in record.get("weights", {}).items() if weight]
        if len(values) != 1 or not is_adapter(folder):
            return None
        return cls(name, values[0], folder, frozenset(record["held_out"]), read_ratios(folder / RATIOS))


@dataclass(frozen=True, eq=False)
class TunedMixture:
    """The log-linear mixture for a palette.

    Args:
        prompts: ids of those that were evaluated.
        weights: w by the name of the model.
        levels: of the mixture, beside base and tilt, on these prompts.
    """

    prompts: tuple[str, ...]
    weights: Mapping[str, float]
    levels: HeldOutLevels

    @property
    def shares(self) -> dict[str, float]:
        """The shares of a soup by the name of the model, to the hundredth; none where no model has a weight."""
        total = sum(self.weights.values())
        if not total:
            return {}
        shares = {name: round(weight / total, 2) for name, weight in self.weights.items()}
        return {name: share for name, share in shares.items() if share}


def held_out_of(table: RewardTable, models: Sequence[SingleTuned]) -> RewardTable:
    """Return a table whose prompts that models were not tuned on are held out of a palette's solve too."""
    names = frozenset().union(*(model.held_out for model in models))
    held_out = np.array([prompt_id in names for prompt_id in table.prompt_ids])
    return replace(table, held_out=held_out | ~table.counted)


def mixture(table: RewardTable, weights: Mapping[str, float], models: Sequence[SingleTuned]) -> TunedMixture:
    """Find the mixture for a palette, with its levels.

    Args:
        table: the base model's replies.
        weights: lambda of the palette by value, 1 / reward.
        models: to be mixed.

    Raises:
        InputError: there are not two prompts with log-ratios of all models that none was tuned on.
    """
    shared = set.intersection(*(set(model.held_out) & model.ratios.keys() for model in models))
    prompts = [prompt_id for prompt_id in table.prompt_ids if prompt_id in shared]
    if len(prompts) < 2:
        raise InputError(
            f"All models have log-ratios on {len(prompts)} prompts that none was tuned on; expected at least 2. "
            "Tune them on one table, or run `baselines --tuned` with them."
        )
    by_prompt = [
        _columns([model.ratios[name] for model in models], table.rows(table.prompt_ids.index(name))) for name in prompts
    ]
    _, gains, _ = _rewards(table, weights, dict(zip(prompts, by_prompt, strict=True)))
    solved = mixture_weights(by_prompt, gains)
    mixed = {name: ratios @ solved for name, ratios in zip(prompts, by_prompt, strict=True)}
    by_name = {model.name: float(w) for model, w in zip(models, solved, strict=True)}
    return TunedMixture(tuple(prompts), by_name, levels_of(table, weights, mixed))


def mixture_weights(log_ratios: Sequence[np.ndarray], gains: Sequence[np.ndarray]) -> np.ndarray:
    """Find w >= 0 at which KL(tilt | mixture) is least, summed over prompts.

    Args:
        log_ratios: (reply, model) log q - log p0 of replies from p0, a prompt.
        gains: (reply,) lambda . r in nats, a prompt; a constant does not matter.

    Returns:
        (model,) w; 0 for a model that is no different from the base model.
    """
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in log_ratios])])
    names = tuple(f"model {number}" for number in range(log_ratios[0].shape[1]))
    oracle = MemoryOracle(np.concatenate(log_ratios), offsets, names, Form.PER_PROMPT)
    under_tilt = [softmax(row).probabilities @ rows for row, rows in zip(gains, log_ratios, strict=True)]
    return np.asarray(solve(oracle, oracle.standardise(np.mean(under_tilt, axis=0))).weights / oracle.scale)


def levels_of(table: RewardTable, weights: Mapping[str, float], log_ratios: Ratios) -> HeldOutLevels:
    """Return a model's levels on some prompts, by weighting the base model's replies.

    Args:
        table: the base model's replies.
        weights: lambda of the palette by value, 1 / reward.
        log_ratios: (reply,) log q - log p0 of each prompt's first replies, by the id of the prompt.
    """
    values, gains, rewards = _rewards(table, weights, log_ratios)
    lam = np.array([weights.get(name, 0.0) for name in values])
    return held_out_levels(values, lam, list(log_ratios.values()), gains, rewards)


def soup_path(models: Sequence[SingleTuned], shares: Mapping[str, float]) -> Path:
    """Return where the log-ratios of a soup are kept: beside one of its models, by all adapters and shares."""
    hashes = {sha256_of(model.folder / WEIGHTS): model for model in models if model.name in shares}
    parts = [
        f"{adapter} {shares[model.name]:.2f}" for adapter, model in sorted(hashes.items(), key=lambda item: item[0])
    ]
    return hashes[min(hashes)].folder / f"soup-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}.json"


def _columns(ratios: Sequence[np.ndarray], rows: slice) -> np.ndarray:
    """Return (reply, model) log-ratios of the replies that all models have read."""
    count = min(*map(len, ratios), rows.stop - rows.start)
    return np.column_stack([row[:count] for row in ratios])


def _rewards(
    table: RewardTable, weights: Mapping[str, float], log_ratios: Mapping[str, np.ndarray]
) -> tuple[tuple[str, ...], list[np.ndarray], list[np.ndarray]]:
    """Return the values, and of each prompt's first replies lambda . r and the rewards."""
    table = with_weighted_columns(table, weights)
    lam = np.array([weights.get(name, 0.0) for name in table.values])
    rows = [table.rewards[table.rows(table.prompt_ids.index(name))][: len(row)] for name, row in log_ratios.items()]
    return table.values, [(of - of.mean(axis=0)) @ lam for of in rows], rows
