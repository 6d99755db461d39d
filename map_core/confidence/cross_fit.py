"""Cross-fitting: solve weights on some prompts, and measure their levels on the others.

Prompts are split into folds, each use case evenly; the weights for a fold's prompts are solved on all other folds. The
levels of all prompts under weights that were not solved on them are compared with the levels on the prompts solved on.
A fold has the weight of its prompts, so that on either side each prompt counts by its own weight. Held-out prompts are
in no fold. Constraint: every fold uses the units of the whole table, so a target is the same everywhere.

Source: Stone, "Cross-validatory choice and assessment of statistical predictions", 1974.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from map_core.confidence.interval import Interval, t_interval
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many

#: A level this close to its target, in standard deviations, meets it.
MET = 1e-6
MAX_FOLDS = 50


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Levels on prompts that the weights were not solved on, in standard deviations above base.

    Args:
        folds: number of folds.
        solved: number of folds whose other prompts can meet the targets.
        in_sample: (value,) levels on the prompts solved on, as a weighted mean over folds; None unless all folds were
            solved.
        levels: (value,) levels on the prompts that were left out, with their interval; None likewise.
        missed: (value,) bool, met in sample and missed out of sample.
        surely: (value,) bool, missed, with the whole interval below the target.
    """

    folds: int
    solved: int
    in_sample: np.ndarray | None
    levels: Interval | None
    missed: np.ndarray
    surely: np.ndarray


def cross_fit(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    folds: int = 2,
    level: float = 0.9,
    seed: int = 0,
    strata: Sequence[Hashable] | None = None,
    start: np.ndarray | None = None,
) -> CrossFit:
    """Cross-fit a palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        folds: number of folds, from 2 to the number of prompts that count, at most 50.
        level: probability of the interval, between 0 and 1.
        seed: of the split.
        strata: one label per prompt, such as its use case; every fold gets an even share of each.
        start: (value,) weights to start from.

    Raises:
        InputError: too few folds or too many, or another number of labels than of prompts.
    """
    n = oracle.counted_prompts
    if not 2 <= folds <= min(n, MAX_FOLDS):
        raise InputError(f"{folds} folds were asked for on {n} prompts; expected 2 to {min(n, MAX_FOLDS)}.")
    if strata is not None and len(strata) != oracle.prompts:
        raise InputError(f"There are {len(strata)} labels for {oracle.prompts} prompts; expected one per prompt.")
    counted = np.flatnonzero(oracle.counted)
    labels = None if strata is None else [strata[prompt] for prompt in counted.tolist()]
    fold = np.full(oracle.prompts, -1)
    fold[counted] = split_folds(n, folds, np.random.default_rng(seed), labels)
    return cross_fit_folds(oracle, targets, fold, level=level, start=start)


def cross_fit_folds(
    oracle: Oracle, targets: np.ndarray, fold: np.ndarray, *, level: float = 0.9, start: np.ndarray | None = None
) -> CrossFit:
    """Cross-fit a palette on given folds.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        fold: (prompt,) index of each prompt's fold, -1 for none; every fold has a prompt that counts.
        level: probability of the interval, between 0 and 1.
        start: (value,) weights to start from.
    """
    targets = oracle.deviations(targets)
    folds, n = int(fold.max()) + 1, int(np.count_nonzero(fold >= 0))
    multiplicity = ((fold >= 0) & (fold != np.arange(folds)[:, None])).astype(float)
    solutions = solve_many(oracle, targets, start=start, multiplicity=multiplicity)
    constants_met = not np.any(oracle.constant & (targets > MARGIN_TOLERANCE))
    solved = int(solutions.converged.sum()) if constants_met else 0
    if solved < folds:
        none_missed = np.zeros(len(targets), dtype=bool)
        return CrossFit(folds, solved, None, None, none_missed, none_missed)
    share = _fold_shares(oracle, fold, folds)
    levels, score = np.zeros(len(targets)), np.zeros((oracle.prompts, len(targets)))
    for k, weights in enumerate(solutions.weights):
        held_out = fold == k
        prompts = oracle.by_prompt(weights)
        mass = prompts.mass[held_out] / max(prompts.mass[held_out].sum(), 1e-300)
        held_out_level = mass @ prompts.levels[held_out]
        levels += share[k] * held_out_level
        score[held_out] = (n * share[k] * mass)[:, None] * (prompts.levels[held_out] - held_out_level)
    freedom = max(1, n - folds)
    error = np.sqrt(np.sum(score**2, axis=0) / freedom / n)
    interval = t_interval(levels, error, freedom, level)
    # Each fold's weights were solved on the prompts outside it; the mean over folds weights each prompt as above.
    in_sample = (1 - share) / (folds - 1) @ solutions.levels
    missed = (in_sample >= targets - MET) & (levels < targets - MET)
    return CrossFit(folds, solved, in_sample, interval, missed, missed & (interval.high < targets))


def _fold_shares(oracle: Oracle, fold: np.ndarray, folds: int) -> np.ndarray:
    """Return (fold,) the share of each fold in the base model's distribution over prompts."""
    if oracle.form is Form.PER_PROMPT and oracle.prompt_weights is None:
        counts = np.bincount(fold[fold >= 0], minlength=folds)
        return counts / counts.sum()
    mass = oracle.by_prompt(np.zeros(len(oracle.values))).mass
    return np.array([mass[fold == k].sum() for k in range(folds)]) / mass[fold >= 0].sum()


def split_folds(
    prompts: int, folds: int, rng: np.random.Generator, strata: Sequence[Hashable] | None = None
) -> np.ndarray:
    """Split prompts into folds, (prompt,) fold indices; sizes differ by at most one, also within each label."""
    order = rng.permutation(prompts)
    if strata is not None:
        codes = {label: code for code, label in enumerate(dict.fromkeys(strata))}
        code_of_prompt = np.array([codes[label] for label in strata])
        order = order[np.argsort(code_of_prompt[order], kind="stable")]
    fold = np.empty(prompts, dtype=int)
    fold[order] = np.arange(prompts) % folds
    return fold
