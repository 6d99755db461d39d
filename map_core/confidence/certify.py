"""A promise with a number: the smallest weights at which new prompts show that every target holds, with an error alpha.

For weights s x on the ray through the solution x, let L(s) be the levels that a generator with K candidates gives on
all prompts. One prompt's Y_i(s), the mean of its candidates' rewards under their probabilities, has exactly the mean
L(s): the candidates are drawn anew for each prompt, and no expectation over them is estimated. Each value is a betting
test (:mod:`map_core.confidence.betting`). A point is shown where every value's capital has reached 1 / alpha: if some
target is missed at this point, its own test alone errs with probability alpha at most.

The points are tested in an order that the solved-on prompts alone decide, and the walk ends at the first that is not
shown, so that the probability of any false statement on the way is alpha at most:

    at the factor where the forecast clears its targets best: targets lowered by up to 1 standard deviation, then less,
        so that those that are lowered lie below their forecasts by as many standard errors
    then the whole targets with smaller factors, down to the base model

Constraint: what is shown holds for K candidates, for prompts like these, and for levels clipped at the lowest that the
solved-on prompts have (or, ``strict``, for rewards clipped at the lowest of their replies).

Source: docs/promises.md; Maurer, Hothorn and Lehmacher, "Multiple comparisons in drug clinical trials and preclinical
assays: a-priori ordered hypotheses", 1995; Berger, "Multiparameter hypothesis testing and acceptance sampling",
Technometrics 1982 (every part at level alpha).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from map_core.confidence.certificate import Certificate, Outcome
from map_core.confidence.prompt_samples import PromptSample, can_certify, table_samples
from map_core.confidence.ray_evidence import FACTORS, RayEvidence
from map_core.core.reward_levels import RewardLevels
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import Oracle

#: Standard deviations by which the targets are lowered, from the easiest promise to the whole.
LOWERED = np.round(np.arange(1.0, -0.0001, -0.02), 2)


def certify(
    oracle: Oracle,
    seen: PromptSample,
    new: PromptSample,
    weights: np.ndarray,
    targets: np.ndarray,
    *,
    level: float = 0.95,
    over_base: bool = False,
    strict: bool = False,
    any_mix: float = 0.0,
    seed: int = 0,
) -> Certificate:
    """Walk along the ray of weights and return what new prompts show.

    Args:
        oracle: of the prompts solved on, for K candidates; with ``seen`` and ``new`` from
            :func:`map_core.confidence.prompt_samples.table_samples`.
        seen: the prompts solved on.
        new: the others.
        weights: (value,) x that reach the targets on the former.
        targets: (value,) d in standard deviations above base, NaN for a free value; at least one.
        level: 1 - alpha.
        over_base: promise gains over the base model on the same prompts, which vary far less from prompt to prompt.
        strict: clip at the lowest reward of a reply and not at the lowest level of a prompt.
        any_mix: nats; promise every target that is of no cohort under each mix of prompts that is no further.
        seed: of the order in which the new prompts are looked at.

    Raises:
        InputError: no target, or a level that is not between 0 and 1.
    """
    targets, weights = oracle.deviations(targets), np.asarray(weights, dtype=np.float64)
    targeted = np.flatnonzero(~np.isnan(targets))
    if not len(targeted):
        raise InputError("No value has a target, so there is nothing to promise. Give one a target.")
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.95.")
    ray = RayEvidence(seen, new, weights, targets, targeted, 1.0 - level, over_base, strict, seed, any_mix)
    first = ray.best_factor
    factor, lowered = first, math.nan
    for point in [(first, d) for d in LOWERED] + [(f, 0.0) for f in FACTORS[first > FACTORS][::-1]]:
        if not ray.shown(*point):
            break
        factor, lowered = point
    outcome = Outcome.NOTHING if math.isnan(lowered) else Outcome.LOWERED if lowered > 0 else Outcome.CERTIFIED
    full = np.full(len(targets), np.nan)
    evidence, promised, needed = full.copy(), full.copy(), ray.prompts_needed(first)
    promised[targeted] = ray.lowered(lowered)
    evidence[targeted] = ray.log_evidence(factor, 0.0 if math.isnan(lowered) else lowered)
    x = factor * weights
    return Certificate(
        outcome=outcome,
        level=level,
        over_base=over_base,
        any_mix=any_mix,
        prompts=len(new.mass),
        candidates=new.candidates,
        targets=targets,
        promised=promised,
        lowered=lowered,
        factor=factor,
        first_factor=first,
        weights=x,
        kl=oracle.moments(x).kl(x),
        forecast=ray.mean(seen, factor),
        measured=ray.mean(new, factor),
        log_evidence=evidence,
        prompts_needed=float(needed.max()),
        hardest=int(targeted[np.argmax(needed)]),
        clipped=ray.clipped(factor),
    )


def certify_targets(
    oracle: Oracle,
    seen: PromptSample,
    new: PromptSample,
    targets: np.ndarray,
    *,
    level: float = 0.95,
    over_base: bool = False,
    strict: bool = False,
    any_mix: float = 0.0,
    seed: int = 0,
) -> Certificate:
    """Solve a palette, or the nearest one where it is not possible, and certify it.

    Args:
        oracle: as for :func:`certify`, and so are the others.
        seen: the prompts solved on.
        new: the others.
        targets: (value,) for :meth:`Oracle.deviations`.
        level: 1 - alpha.
        over_base: promise gains.
        strict: clip at the lowest reward.
        any_mix: nats; promise under other mixes of prompts.
        seed: of the order.

    Raises:
        InputError: see :func:`certify`, or nothing near the palette is possible.
    """
    assessment = assess(oracle, oracle.deviations(targets))
    solution, wanted = assessment.solution, assessment.targets
    if solution is None:
        if assessment.nearest is None:
            raise InputError("Nothing near this palette is possible; ask for less.")
        solution, wanted = assessment.nearest.solution, assessment.nearest.targets
    wanted = wanted.copy()
    wanted[list(seen.planes)] = np.nan
    found = certify(
        oracle,
        seen,
        new,
        solution.weights,
        wanted,
        level=level,
        over_base=over_base,
        strict=strict,
        any_mix=any_mix,
        seed=seed,
    )
    return replace(found, nearest_instead=assessment.solution is None)


def certify_held_out(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, *, over_base: bool = True, any_mix: float = 0.0
) -> Certificate | None:
    """Certify a palette on the prompts that its table holds out, in the units of the table.

    Args:
        table: with its held-out prompts.
        oracle: of the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        over_base: promise gains.
        any_mix: nats; promise under other mixes of prompts.

    Returns:
        The certificate; None without a target, and where the table has nothing to certify on.
    """
    if np.isnan(targets).all() or not can_certify(table, oracle.form):
        return None
    own, seen, new = table_samples(table)
    asked = RewardLevels.of(oracle.rewards_at(targets))
    return certify_targets(own, seen, new, asked, over_base=over_base, any_mix=any_mix).in_units_of(own, oracle)
