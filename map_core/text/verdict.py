"""The answer to a palette in a reader's units: what you get, what it costs, what gives, how sure it is, what to do.

With numbers percentiles of the base model's replies for levels, "like picking the best of N replies" for the price,
nats in the detail; else places out of 100 and the effort, see :mod:`map_core.text.wording`. Constraint: results in,
text and numbers out; nothing is solved here, and nothing is said that was not computed.
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

#: The step that price tags speak of, in standard deviations.
PRICE_STEP = 0.1
#: A step is cheap when it adds less than this share to the number of replies to pick the best of, and expensive from
#: the second on.
CHEAP, EXPENSIVE = 0.05, 0.15
#: A level that moves by less than this, in percentiles, is not said to move.
NOTICED = 1.0
#: Probability that an error bar is to hold the truth.
SURE = 0.9


class Grade(StrEnum):
    """How expensive a step is."""

    CHEAP = "cheap"
    MODERATE = "moderate"
    EXPENSIVE = "expensive"


@dataclass(frozen=True)
class LevelText:
    """What becomes of one value.

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
    """What one step more of one value costs.

    Args:
        value: its position.
        step: from which percentile to which.
        cost: in replies to pick the best of.
        takes: what it takes from the value that loses most; "" where none does.
        grade: how expensive it is.
    """

    value: int
    step: str
    cost: str
    takes: str
    grade: Grade


@dataclass(frozen=True)
class Fall:
    """What a free value loses.

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
    """Everything that is shown of a palette, in words.

    Args:
        verdict: the state.
        headline, sentence: the verdict and why.
        lines: of the values with a target.
        unasked: the free values that move, in one sentence; "" when none do.
        cost, cost_detail: the price in replies to pick the best of, and in nats; "" when out of reach.
        share: of the nats that can be spent, 0 to 1.
        sure: how large the error bars are.
        bottleneck, bottleneck_detail: the target that costs the most.
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
    """Word a distance as the number of replies that one would pick the best of, or as an effort.

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
    """Word what came of a palette.

    Args:
        assessment: the verdict with its numbers.
        oracle: the table.
        prices: :func:`map_core.analysis.sensitivity.local_sensitivity` of its solution; None when out of reach.
        errors: :func:`level_errors` of its solution, where it is known.
        names: of the values, as they read within a sentence.
        percentile: from a value's standardised level to its percentile.
        highest: (value,) the most of each value beside the other targets, NaN where it is not known; no step is
            offered beyond it.
        wording: with numbers, or in everyday words.
        beyond: what the palette asks for beyond averages, where the table has columns of it.
    """
    solution, shares = assessment.solution, beyond.shares
    sentence = sentences.verdict(assessment, oracle, names, wording, beyond.asked, beyond.groups)
    solved = solution or (assessment.nearest.solution if assessment.nearest else None)
    lines = (
        () if solved is None else _lines(assessment, solved, errors if solution else None, percentile, wording, shares)
    )
    unasked = "" if solved is None else _unasked(assessment, solved, names, percentile, wording)
    if solution is None or prices is None:
        return VerdictText(
            assessment.verdict,
            sentences.headline(assessment),
            sentence,
            lines,
            unasked,
            "",
            "",
            0.0,
            "",
            "",
            "",
            "",
            (),
        )
    share = solution.kl / oracle.log_candidates if oracle.log_candidates > 0 else 0.0
    most = amounts.fixed(oracle.log_candidates, 2)
    spent = wording.pick(
        f"{amounts.nats(solution.kl)}, {amounts.percent(share)} of the {most} that can be spent.",
        f"{amounts.percent(max(share, 0.01))} of the most that choosing among its replies can do.",
    )
    if not wording.numbers and solution.kl < amounts.FREE_NATS:
        spent = ""
    bottleneck, of_price = sentences.bottleneck(prices, names)
    return VerdictText(
        assessment.verdict,
        sentences.headline(assessment),
        sentence,
        lines,
        unasked,
        best_of_text(solution.kl, wording),
        spent,
        share,
        _sure(assessment, oracle, errors, percentile, wording),
        bottleneck,
        of_price,
        sentences.slack(assessment, names, beyond.single or None),
        price_tags(solution, prices, names, percentile, highest, wording, shares),
        _falls(assessment, solution, names, percentile),
    )


def _lines(
    assessment: Assessment,
    solution: Solution,
    errors: np.ndarray | None,
    percentile: Percentile,
    wording: Wording,
    shares: Collection[int],
) -> tuple[LevelText, ...]:
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
        meaning = "so many of 100 replies" if share else sentences.better_than(level)
        lines.append(LevelText(j, text, meaning))
    return tuple(lines)


def _ends(value: int, solution: Solution, errors: np.ndarray, percentile: Percentile) -> tuple[float, float]:
    """Return both ends of a level's error bar, as percentiles."""
    level, half = float(solution.levels[value]), float(errors[value])
    return percentile(value, level - half), percentile(value, level + half)


def _unasked(
    assessment: Assessment, solution: Solution, names: Sequence[str], percentile: Percentile, wording: Wording
) -> str:
    moves = []
    for j in map(int, np.flatnonzero(np.isnan(assessment.targets))):
        base, level = percentile(j, 0.0), percentile(j, float(solution.levels[j]))
        if abs(level - base) >= NOTICED:
            moves.append((base - level, f"{names[j]} {wording.level(base)} → {wording.level(level)}"))
    texts = [text for _, text in sorted(moves, reverse=True)]  # what falls the most goes first
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
        return "One prompt tells nothing of how sure this is."
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
    """Return what a tenth of a standard deviation more of each target costs, the most expensive first.

    No step goes beyond the ``highest`` level, (value,), NaN where it is not known: a target at its end has no tag.
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
        # As logs: near the edge of what is possible the number of replies itself is beyond every float.
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
                    "",  # the grade says it
                ),
                takes,
                grade,
            )
        )
    return tuple(tags)


def shown_percentile(percentile: float, nearest: bool) -> float:
    """Return the percentile that is worded for a level: of the nearest palette the one that its button sets.

    Args:
        percentile: of the level.
        nearest: the level is one of the nearest palette, because the targets are not possible together.
    """
    return whole_percentile(percentile) if nearest else percentile


def form_sentence(oracle: Oracle, wording: Wording = NUMBERS) -> str:
    """Word which form the forecast is in, in one short sentence."""
    if oracle.form is Form.PER_PROMPT:
        candidates = amounts.fixed(np.exp(oracle.log_candidates))
        return f"Forecast for replies that are each chosen from {candidates} that the model writes."
    return wording.pick(
        "Pooled form: a generator that chooses prompt by prompt may fall short of these levels.",
        "One reply a prompt: a generator that chooses prompt by prompt may fall short of these levels.",
    )
