"""Describe the answer to a palette in a reader's units: the levels, the cost, the losses, the uncertainty.

With numbers: percentiles of the base model's replies for levels, "like picking the best of N replies" for the price,
nats in the detail; otherwise numbers out of 100 and the effort, see :mod:`map_core.text.wording`. Constraint: results
in, text and numbers out; nothing is solved here, and nothing is stated that was not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import stdtrit

from map_core.analysis.sensitivity import LocalSensitivity
from map_core.confidence import sandwich
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.feasibility import Assessment
from map_core.oracle import Oracle
from map_core.solver.newton import Solution
from map_core.text import sentences
from map_core.text.protections import NOTHING_BEYOND, BeyondAverages
from map_core.text.wording import NUMBERS, Percentile, Wording, effort, whole_percentile

#: The step of price tags, in standard deviations.
PRICE_STEP = 0.1
#: Increases of the number of replies to pick the best of, as shares: cheap below the first, expensive from the second.
CHEAP, EXPENSIVE = 0.05, 0.15
#: Least change of a level that is reported, in percentiles.
NOTICED = 1.0
#: Confidence level of the error bars.
SURE = 0.9


class Grade(StrEnum):
    """How expensive a step is."""

    CHEAP = "cheap"
    MODERATE = "moderate"
    EXPENSIVE = "expensive"


@dataclass(frozen=True)
class LevelText:
    """The change of one value.

    Args:
        value: its position.
        text: from which percentile to which, with its error.
        meaning: the same as a share of the model's own replies.
    """

    value: int
    text: str
    meaning: str


@dataclass(frozen=True)
class PriceTag:
    """The cost of one more step of one value.

    Args:
        value: its position.
        step: from which percentile to which.
        cost: in replies to pick the best of.
        takes: the loss of the value that loses most; "" where none does.
        grade: how expensive it is.
    """

    value: int
    step: str
    cost: str
    takes: str
    grade: Grade


@dataclass(frozen=True)
class Fall:
    """The loss of a free value.

    Args:
        value: its position.
        points: how far it falls, in percentiles.
        text: its name and that number, as in "helpfulness by 8".
    """

    value: int
    points: float
    text: str


@dataclass(frozen=True)
class VerdictText:
    """The description of a palette.

    Args:
        verdict: the state.
        headline: the verdict in a few words.
        sentence: the reason.
        lines: of the values with a target.
        unasked: the free values that move, in one sentence; "" when none do.
        cost: the price in replies to pick the best of; "" when out of reach.
        cost_detail: the price in nats; "" when out of reach.
        share: of the nats that can be spent, 0 to 1.
        sure: how large the error bars are.
        bottleneck: the target that costs the most.
        bottleneck_detail: its share of the price.
        slack: targets that come for free; "" when there are none.
        tags: price tags, the most expensive first.
        falls: the free values that lose, the largest loss first; () when the palette is not possible.
    """

    verdict: Verdict
    headline: str
    sentence: str
    lines: tuple[LevelText, ...]
    unasked: str
    cost: str
    cost_detail: str
    share: float
    sure: str
    bottleneck: str
    bottleneck_detail: str
    slack: str
    tags: tuple[PriceTag, ...]
    falls: tuple[Fall, ...] = ()


def level_errors(oracle: Oracle, solution: Solution) -> np.ndarray | None:
    """Return half of each level's error bar, (value,), in standard deviations; None for a single prompt.

    Source: :mod:`map_core.confidence.sandwich`, Student's t over prompts.
    """
    if oracle.counted_prompts < 2:
        return None
    error = sandwich(oracle, solution).levels
    return np.asarray(error * stdtrit(oracle.counted_prompts - 1, (1 + SURE) / 2))


def best_of_text(kl: float, wording: Wording = NUMBERS) -> str:
    """Describe a distance as the number of replies to pick the best of, or as an effort.

    Example:
        >>> best_of_text(0.0), best_of_text(0.6), best_of_text(0.6, Wording(False))
        ('Like the base model', 'Like picking the best of 3.8 replies', 'Small effort')
    """
    if kl < amounts.FREE_NATS:
        return "Like the base model"
    if not wording.numbers:
        return f"{sentences.capitalised(effort(kl))} effort"
    return f"Like picking the best of {amounts.best_of_count(kl)} replies"


def verdict_text(
    assessment: Assessment,
    oracle: Oracle,
    prices: LocalSensitivity | None,
    errors: np.ndarray | None,
    names: Sequence[str],
    percentile: Percentile,
    highest: np.ndarray | None = None,
    wording: Wording = NUMBERS,
    beyond: BeyondAverages = NOTHING_BEYOND,
) -> VerdictText:
    """Describe the answer to a palette.

    Args:
        assessment: the verdict with its numbers.
        oracle: the table.
        prices: :func:`map_core.analysis.sensitivity.local_sensitivity` of its solution; None when out of reach.
        errors: :func:`level_errors` of its solution, where it is known.
        names: of the values, as they read within a sentence.
        percentile: from a value's standardised level to its percentile.
        highest: (value,) the highest level of each value beside the other targets, NaN where it is not known; no price
            tag goes beyond it.
        wording: with numbers, or in everyday words.
        beyond: what the palette asks for beyond averages, where the table has columns for it.
    """
    solution, shares = assessment.solution, beyond.shares
    sentence = sentences.verdict(assessment, oracle, names, wording, beyond.asked, beyond.groups)
    shown = solution or (assessment.nearest.solution if assessment.nearest else None)
    lines: tuple[LevelText, ...] = ()
    unasked = ""
    if shown is not None:
        lines = _lines(assessment, shown, errors if solution else None, percentile, wording, shares)
        unasked = _unasked(assessment, shown, names, percentile, wording)
    if solution is None or prices is None:
        return VerdictText(
            verdict=assessment.verdict,
            headline=sentences.headline(assessment),
            sentence=sentence,
            lines=lines,
            unasked=unasked,
            cost="",
            cost_detail="",
            share=0.0,
            sure="",
            bottleneck="",
            bottleneck_detail="",
            slack="",
            tags=(),
        )
    share = solution.kl / oracle.log_candidates if oracle.log_candidates > 0 else 0.0
    most = amounts.fixed(oracle.log_candidates, 2)
    spent = wording.pick(
        f"{amounts.nats(solution.kl)}, {amounts.percent(share)} of the {most} that can be spent.",
        f"{amounts.percent(max(share, 0.01))} of the most that choosing among its replies can do.",
    )
    if not wording.numbers and solution.kl < amounts.FREE_NATS:
        spent = ""
    bottleneck, bottleneck_detail = sentences.bottleneck(prices, names)
    return VerdictText(
        verdict=assessment.verdict,
        headline=sentences.headline(assessment),
        sentence=sentence,
        lines=lines,
        unasked=unasked,
        cost=best_of_text(solution.kl, wording),
        cost_detail=spent,
        share=share,
        sure=_sure(assessment, oracle, errors, percentile, wording),
        bottleneck=bottleneck,
        bottleneck_detail=bottleneck_detail,
        slack=sentences.slack(assessment, names, beyond.single or None),
        tags=price_tags(solution, prices, names, percentile, highest, wording, shares),
        falls=_falls(assessment, solution, names, percentile),
    )


def _lines(
    assessment: Assessment,
    solution: Solution,
    errors: np.ndarray | None,
    percentile: Percentile,
    wording: Wording,
    shares: Collection[int],
) -> tuple[LevelText, ...]:
    """Return the change of each value with a target; ``errors`` (value,) are half error bars."""
    lines = []
    for j in map(int, np.flatnonzero(~np.isnan(assessment.targets))):
        nearest = assessment.solution is None
        base, level = percentile(j, 0.0), shown_percentile(percentile(j, float(solution.levels[j])), nearest)
        share = j in shares
        before, after = wording.level(base, share=share), wording.level(level, share=share)
        text = f"{before.removesuffix(' of 100')} → {after}"
        if errors is not None:
            low, high = _ends(j, solution, errors, percentile)
            text += f" ± {amounts.fixed((high - low) / 2)}" if high - low >= 1 else " ± under 1"
        meaning = "of the replies" if share else sentences.better_than(level)
        lines.append(LevelText(j, text, meaning))
    return tuple(lines)


def _ends(value: int, solution: Solution, errors: np.ndarray, percentile: Percentile) -> tuple[float, float]:
    """Return both ends of a level's error bar, as percentiles."""
    level, half = float(solution.levels[value]), float(errors[value])
    return percentile(value, level - half), percentile(value, level + half)


def _unasked(
    assessment: Assessment, solution: Solution, names: Sequence[str], percentile: Percentile, wording: Wording
) -> str:
    """Return a sentence on the free values that move, the largest fall first."""
    moves = []
    for j in map(int, np.flatnonzero(np.isnan(assessment.targets))):
        base, level = percentile(j, 0.0), percentile(j, float(solution.levels[j]))
        if abs(level - base) >= NOTICED:
            moves.append((base - level, f"{names[j]} {wording.level(base)} → {wording.level(level)}"))
    texts = [text for _, text in sorted(moves, reverse=True)]
    return f"Also changes: {sentences.listed(texts)}." if texts else ""


def _falls(
    assessment: Assessment, solution: Solution, names: Sequence[str], percentile: Percentile
) -> tuple[Fall, ...]:
    falls = []
    for j in map(int, np.flatnonzero(np.isnan(assessment.targets))):
        points = percentile(j, 0.0) - percentile(j, float(solution.levels[j]))
        if points >= NOTICED:
            falls.append(Fall(j, points, f"{names[j]} by {amounts.fixed(points)}"))
    return tuple(sorted(falls, key=lambda fall: -fall.points))


def _sure(
    assessment: Assessment, oracle: Oracle, errors: np.ndarray | None, percentile: Percentile, wording: Wording
) -> str:
    solution = assessment.solution
    if errors is None or solution is None:
        return "One prompt says nothing about how sure this is."
    halves = []
    for j in np.flatnonzero(~np.isnan(assessment.targets)):
        low, high = _ends(int(j), solution, errors, percentile)
        halves.append((high - low) / 2)
    if not halves:
        return f"Estimated from {oracle.counted_prompts} prompts."
    most = max(halves)
    share = amounts.fixed(most)
    unit = wording.pick("percentile", "point")
    by = f"half a {unit}" if most < 0.5 else f"1 {unit}" if share == "1" else f"{share} {unit}s"
    return f"Levels on new prompts within {by} of these, 9 times out of 10 (from {oracle.counted_prompts} prompts)."


def price_tags(
    solution: Solution,
    prices: LocalSensitivity,
    names: Sequence[str],
    percentile: Percentile,
    highest: np.ndarray | None = None,
    wording: Wording = NUMBERS,
    shares: Collection[int] = (),
) -> tuple[PriceTag, ...]:
    """Return the cost of raising each target by a tenth of a standard deviation, the most expensive first.

    No step goes beyond the ``highest`` level, (value,), NaN where it is not known: a target at its limit has no tag.
    """
    tags = []
    for j in np.flatnonzero(prices.active)[np.argsort(-prices.price[prices.active])]:
        now = float(solution.levels[j])
        top = now + PRICE_STEP if highest is None or np.isnan(highest[j]) else float(highest[j])
        ends = [percentile(int(j), now), percentile(int(j), now + PRICE_STEP)]
        if now + PRICE_STEP > top:
            continue
        ends[1] = min(ends[1], whole_percentile(percentile(int(j), top))) if highest is not None else ends[1]
        step = np.zeros(len(prices.price))
        step[j] = PRICE_STEP
        after = solution.kl + max(prices.extra_nats(step), 0.0)
        # In logs: near the edge of what is possible the number of replies overflows.
        more = amounts.log_best_of(after) - amounts.log_best_of(solution.kl)
        grade = (
            Grade.CHEAP if more < np.log1p(CHEAP) else Grade.MODERATE if more < np.log1p(EXPENSIVE) else Grade.EXPENSIVE
        )
        moves = np.where(prices.active, 0.0, prices.levels[:, j])
        loser = int(np.argmin(moves))
        change = percentile(loser, float(solution.levels[loser])) - percentile(
            loser, float(solution.levels[loser] + PRICE_STEP * moves[loser])
        )
        takes = f"lowers {names[loser]} by {amounts.fixed(change, 1)} points" if change >= 0.05 else ""
        tags.append(
            PriceTag(
                int(j),
                " → ".join(wording.level(end, share=j in shares) for end in ends),
                wording.pick(
                    f"best of {amounts.best_of_count(solution.kl, exact=True)} → "
                    f"{amounts.best_of_count(after, exact=True)}",
                    "",  # the grade stands for it
                ),
                takes,
                grade,
            )
        )
    return tuple(tags)


def shown_percentile(percentile: float, nearest: bool) -> float:
    """Return the percentile that is shown for a level; for the nearest palette, the one that its button sets.

    Args:
        percentile: of the level.
        nearest: the level is that of the nearest palette, because the targets are not possible together.
    """
    return whole_percentile(percentile) if nearest else percentile


def form_sentence(oracle: Oracle, wording: Wording = NUMBERS) -> str:
    """Describe the form of the forecast in one short sentence."""
    if oracle.form is Form.PER_PROMPT:
        candidates = amounts.fixed(np.exp(oracle.log_candidates))
        return f"Forecast for replies that are each chosen from {candidates} that the model writes."
    return wording.pick(
        "Pooled form: a generator that chooses prompt by prompt may fall short of these levels.",
        "One reply a prompt: a generator that chooses prompt by prompt may fall short of these levels.",
    )
