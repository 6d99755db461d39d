"""Certify a palette: find the smallest weights at which new prompts show that every target holds, with error alpha.

For weights s x on the ray through the solution x, let L(s) be the levels of a generator with K candidates on all
prompts. One prompt's Y_i(s), the mean of its candidates' rewards under their probabilities, has exactly the mean L(s):
the candidates are drawn independently for each prompt, and no expectation over them is estimated. Each value has a
betting test (:mod:`map_core.confidence.betting`). A point is shown if every value's capital has reached 1 / alpha: if
some target is missed at this point, its own test errs with probability at most alpha.

The points are tested in a sequence that only the solved-on prompts determine, and testing stops at the first point that
is not shown, so that the probability of any false conclusion is at most alpha (fixed-sequence testing):

    at the factor where the forecast exceeds its targets most: targets lowered by 1 standard deviation, then by less,
        such that all lowered targets are equally many standard errors below their forecasts
    then the full targets with smaller factors, down to the base model

Constraint: the conclusion holds for K candidates, for prompts from the same distribution, and for levels clipped at the
lowest level of the solved-on prompts (with ``strict``, for rewards clipped at the lowest of their replies).

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

#: Standard deviations by which the targets are lowered, from the easiest test to the full targets.
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
    """Run the sequence of tests along the ray of weights.

    Args:
        oracle: the oracle of the prompts solved on, for K candidates; with ``seen`` and ``new`` from
            :func:`map_core.confidence.prompt_samples.table_samples`.
        seen: the prompts solved on.
        new: the other prompts.
        weights: (value,) x that reach the targets on the prompts solved on.
        targets: (value,) d in standard deviations above base, NaN for a free value; at least one.
        level: 1 - alpha.
        over_base: promise gains over the base model on the same prompts, which vary far less between prompts.
        strict: clip at the lowest reward of a reply instead of the lowest level of a prompt.
        any_mix: nats; promise every target without a cohort under each mix of prompts within this distance.
        seed: of the order in which the new prompts are tested.

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
    lowered_points = [(first, lowering) for lowering in LOWERED]
    smaller_factors = [(smaller, 0.0) for smaller in FACTORS[first > FACTORS][::-1]]
    for point in lowered_points + smaller_factors:
        if not ray.shown(*point):
            break
        factor, lowered = point
    outcome = Outcome.NOTHING if math.isnan(lowered) else Outcome.LOWERED if lowered > 0 else Outcome.CERTIFIED
    evidence, promised = np.full(len(targets), np.nan), np.full(len(targets), np.nan)
    needed = ray.prompts_needed(first)
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
        oracle: as for :func:`certify`.
        seen: likewise.
        new: likewise.
        targets: (value,) targets as :meth:`Oracle.deviations` takes them.
        level: as for :func:`certify`.
        over_base: likewise.
        strict: likewise.
        any_mix: likewise.
        seed: likewise.

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
    certificate = certify(
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
    return replace(certificate, nearest_instead=assessment.solution is None)


def certify_held_out(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, *, over_base: bool = True, any_mix: float = 0.0
) -> Certificate | None:
    """Certify a palette on the prompts that its table holds out, in the units of the table.

    Args:
        table: the table with its held-out prompts.
        oracle: the table's oracle.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        over_base: as for :func:`certify`.
        any_mix: likewise.

    Returns:
        The certificate; None without a target, and where the table does not hold out enough prompts.
    """
    if np.isnan(targets).all() or not can_certify(table, oracle.form):
        return None
    solved, seen, new = table_samples(table)
    levels = RewardLevels.of(oracle.rewards_at(targets))
    certificate = certify_targets(solved, seen, new, levels, over_base=over_base, any_mix=any_mix)
    return certificate.in_units_of(solved, oracle)
