"""A promise with a number: the smallest weights at which new prompts show that every target holds, with an error alpha.

For weights s x on the ray through the solution x, let L(s) be the levels that a generator with K candidates gives on
all prompts. One prompt's Y_i(s), the mean of its candidates' rewards under their probabilities, has exactly the mean
L(s): the candidates are drawn anew for each prompt, and no expectation over them is estimated. Each value is a betting
test (:mod:`map_core.confidence.betting`). A point is shown where every value's capital has reached 1 / alpha: if some
target is missed at this point, its own test alone errs with probability alpha at most.

The points are tested in an order that the solved-on prompts alone decide, and the walk ends at the first that is not
shown, so that the probability of any false statement on the way is alpha at most:

    at the factor where the forecast clears its targets best: targets lowered by 1 standard deviation, then less
    then the whole targets with smaller factors, down to the base model

Constraint: what is shown holds for K candidates, for prompts like these, and for levels clipped at the lowest that the
solved-on prompts have (or, ``strict``, for rewards clipped at the lowest of their replies).

Source: docs/promises.md; Maurer, Hothorn and Lehmacher, "Multiple comparisons in drug clinical trials and preclinical
assays: a-priori ordered hypotheses", 1995; Berger, "Multiparameter hypothesis testing and acceptance sampling",
Technometrics 1982 (every part at level alpha).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from map_core.confidence.betting import log_capital, numbers_needed, planned_bet
from map_core.confidence.prompt_samples import PromptSample, can_certify, table_samples
from map_core.core.reward_levels import RewardLevels
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import Oracle

#: Weights on the ray, as factors of the solution's.
FACTORS = np.round(np.arange(0.0, 2.0001, 0.05), 2)
#: Standard deviations by which the targets are lowered, from the easiest promise to the whole.
LOWERED = np.round(np.arange(1.0, -0.0001, -0.02), 2)


class Outcome(StrEnum):
    """What the walk came to."""

    CERTIFIED = "certified"
    LOWERED = "lowered"
    NOTHING = "nothing"


@dataclass(frozen=True, eq=False)
class Certificate:
    """What new prompts show about a palette; levels in standard deviations above the base level.

    Args:
        outcome: every target is shown, lower ones are, or not even targets that are one deviation lower.
        level: 1 - alpha, the probability that nothing false is shown.
        over_base: levels are gains over the base model on the same prompts, and targets gains over its level.
        prompts: new prompts that were bet on.
        candidates: K.
        targets: (value,) as solved for, NaN for a free value.
        promised: (value,) what is shown, NaN for a free value and where nothing is.
        lowered: standard deviations between the two; NaN where nothing is shown.
        factor: of the solution's weights, at which it is shown; where the walk began if nothing is.
        first_factor: where the walk began.
        weights: (value,) x at ``factor``.
        kl: nats at ``factor`` on the solved-on prompts.
        forecast: (value,) levels there on the solved-on prompts.
        measured: (value,) levels there on the new prompts.
        log_evidence: (value,) log of the largest capital there, against what is promised (or the whole targets, where
            nothing is); NaN for a free value.
        prompts_needed: about how many new prompts would show every target where the walk began; infinite where the new
            prompts' levels miss one.
        clipped: how many of the new prompts' levels were raised to the lowest end.
        nearest_instead: the targets are those of the nearest palette, since what was asked for is not possible.
    """

    outcome: Outcome
    level: float
    over_base: bool
    prompts: int
    candidates: int
    targets: np.ndarray
    promised: np.ndarray
    lowered: float
    factor: float
    first_factor: float
    weights: np.ndarray
    kl: float
    forecast: np.ndarray
    measured: np.ndarray
    log_evidence: np.ndarray
    prompts_needed: float
    clipped: int
    nearest_instead: bool = False

    def in_units_of(self, own: Oracle, other: Oracle) -> Certificate:
        """Return the certificate with the standard deviations and base levels of another table of the same values."""

        def converted(levels: np.ndarray) -> np.ndarray:
            return other.standardise(own.rewards_at(levels))

        return replace(
            self,
            targets=converted(self.targets),
            promised=converted(self.promised),
            forecast=converted(self.forecast),
            measured=converted(self.measured),
            weights=self.weights / own.scale * other.scale,
        )


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
        seed: of the order in which the new prompts are looked at.

    Raises:
        InputError: no target, or a level that is not between 0 and 1.
    """
    targets, weights = oracle.deviations(targets), np.asarray(weights, dtype=np.float64)
    targeted = np.flatnonzero(~np.isnan(targets))
    if not len(targeted) or not 0.0 < level < 1.0:
        raise InputError(f"There are {len(targeted)} targets and the level is {level}; expected one, and 0 to 1.")
    walk = _Walk(seen, new, weights, targets, targeted, 1.0 - level, over_base, strict, seed)
    first = walk.best_factor()
    factor, lowered = first, math.nan
    for point in [(first, d) for d in LOWERED] + [(f, 0.0) for f in FACTORS[first > FACTORS][::-1]]:
        if not walk.shown(*point):
            break
        factor, lowered = point
    outcome = Outcome.NOTHING if math.isnan(lowered) else Outcome.LOWERED if lowered > 0 else Outcome.CERTIFIED
    full = np.full(len(targets), np.nan)
    evidence = full.copy()
    evidence[targeted] = walk.log_evidence(factor, 0.0 if math.isnan(lowered) else lowered)
    x = factor * weights
    return Certificate(
        outcome=outcome,
        level=level,
        over_base=over_base,
        prompts=len(new.mass),
        candidates=new.candidates,
        targets=targets,
        promised=targets - lowered,
        lowered=lowered,
        factor=factor,
        first_factor=first,
        weights=x,
        kl=oracle.moments(x).kl(x),
        forecast=walk.mean(seen, factor),
        measured=walk.mean(new, factor),
        log_evidence=evidence,
        prompts_needed=walk.prompts_needed(first),
        clipped=walk.clipped(factor),
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
    found = certify(
        oracle, seen, new, solution.weights, wanted, level=level, over_base=over_base, strict=strict, seed=seed
    )
    return replace(found, nearest_instead=assessment.solution is None)


def certify_held_out(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, candidates: int | None = None, *, over_base: bool = True
) -> Certificate | None:
    """Certify a palette on the prompts that its table holds out, in the units of the table.

    Args:
        table: with its held-out prompts.
        oracle: of the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        candidates: K at most; as many as every prompt has by default.
        over_base: promise gains.

    Returns:
        The certificate; None without a target, and where the table has nothing to certify on.
    """
    if np.isnan(targets).all() or not can_certify(table, oracle.form):
        return None
    least = int(table.candidates.min())
    own, seen, new = table_samples(table, candidates=least if candidates is None else min(candidates, least))
    asked = RewardLevels.of(oracle.rewards_at(targets))
    return certify_targets(own, seen, new, asked, over_base=over_base).in_units_of(own, oracle)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The levels on either side along the ray; arrays are (prompt, targeted value)."""

    seen: PromptSample
    new: PromptSample
    weights: np.ndarray
    targets: np.ndarray
    targeted: np.ndarray
    alpha: float
    over_base: bool
    strict: bool
    seed: int

    def levels(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (prompt, value) levels, or gains over the base model plus its mean level on the prompts solved on."""
        levels = side.at(factor * self.weights)
        return levels - side.at(0 * self.weights) if self.over_base else levels

    def mean(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (value,) the mean over prompts."""
        return np.asarray(np.average(self.levels(side, factor), axis=0, weights=side.mass))

    def _low(self, seen: np.ndarray) -> np.ndarray:
        """Return (targeted,) the end at which levels are clipped, from the prompts solved on."""
        if not self.strict:
            return np.asarray(seen.min(axis=0))
        low, high = self.seen.range[:, self.targeted]
        return low - high if self.over_base else low

    def best_factor(self) -> float:
        """Return the factor at which the forecast clears its targets best, in standard errors of its worst value."""

        def clearance(factor: float) -> float:
            seen = self.levels(self.seen, factor)[:, self.targeted]
            mean = np.average(seen, axis=0, weights=self.seen.mass)
            return float(np.min((mean - self.targets[self.targeted]) / np.maximum(seen.std(axis=0), 1e-9)))

        return float(max(FACTORS, key=clearance))

    def _bets(self, factor: float, lowered: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (prompt, targeted) gaps of the new prompts, (targeted,) deviations and room."""
        seen = self.levels(self.seen, factor)[:, self.targeted]
        targets, low = self.targets[self.targeted] - lowered, self._low(seen)
        mass = max(self.seen.mass.max(), self.new.mass.max())
        deviation = (self.seen.mass[:, None] * (seen - np.average(seen, axis=0, weights=self.seen.mass))).std(axis=0)
        new = np.maximum(self.levels(self.new, factor)[:, self.targeted], low)
        return self.new.mass[:, None] * (new - targets), deviation, mass * np.maximum(targets - low, 0.0)

    def log_evidence(self, factor: float, lowered: float) -> np.ndarray:
        """Return (targeted,) log of the largest capital on the way through the new prompts."""
        gaps, deviation, room = self._bets(factor, lowered)
        order = np.random.default_rng(self.seed).permutation(len(gaps))
        bets = planned_bet(deviation, room, len(gaps), self.alpha)
        # A target at or below the lowest end is met by every clipped level: there is nothing to bet on.
        return np.where(room > 0, log_capital(gaps[order], bets[None]).max(axis=0), np.inf)

    def shown(self, factor: float, lowered: float) -> bool:
        """Return whether every value's capital has reached 1 / alpha."""
        return bool(np.all(self.log_evidence(factor, lowered) >= -math.log(self.alpha)))

    def prompts_needed(self, factor: float) -> float:
        """Return about how many new prompts would show all targets."""
        gaps, deviation, room = self._bets(factor, 0.0)
        needed = float(numbers_needed(gaps.mean(axis=0), deviation, room, self.alpha).max())
        return math.ceil(needed) if math.isfinite(needed) else needed

    def clipped(self, factor: float) -> int:
        """Return how many levels of the new prompts lie below the end."""
        seen, new = (self.levels(side, factor)[:, self.targeted] for side in (self.seen, self.new))
        return int(np.sum(new < self._low(seen)))
