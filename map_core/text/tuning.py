"""Describe a tuning: the routes, the estimate, the result.

Constraint: input is plain JSON values of a record or a progress file, so that no model library is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.text.wording import Wording

#: The routes by the name of the method: a title, an everyday description, and the technical name.
ROUTES: dict[str, tuple[str, str, str]] = {
    "pairs": (
        "Compare replies",
        "Holds the replies in the table against each other, two at a time, and learns by how much your palette prefers "
        "one.",
        "Regression of log-ratios on λ · r, REBEL",
    ),
    "advantage": (
        "Imitate good words",
        "Repeats the replies in the table word by word, each word by how much more of your palette it promises. It "
        "reads the replies once before it starts.",
        "Distillation by token-level advantages",
    ),
    "natural": (
        "Adjust word choice at once",
        "Reads the replies once, scores them as they grow, and works out in one go which words to prefer where. It "
        "changes the last layer of the model alone. Another palette of the same table then skips the reading.",
        "One natural-gradient step of the output layer, K-FAC",
    ),
    "distill": (
        "Imitate good replies",
        "Repeats the replies in the table, the ones that your palette prefers more often. The steadiest way.",
        "Distillation with weights softmax(λ · r)",
    ),
    "dpo": (
        "Learn from preferences",
        "As with comparing, but learns only which of two replies your palette prefers, and how clearly.",
        "DPO with soft labels, β = 1",
    ),
    "rloo": (
        "Practise",
        "Writes replies of its own, has them scored, and continues from them. It can go beyond the table's replies, "
        "and takes much longer.",
        "RLOO, online, β = 1",
    ),
}
#: The text of each :class:`map_core.tuning.check.TuningOutcome` on a page, and the colour of its mark.
OUTCOMES = {
    "delivers": ("delivers", "green"),
    "falls short": ("falls short", "orange"),
    "overshoots": ("overshoots", "orange"),
    "unsure": ("too few replies to tell", "gray"),
}
#: Effective sample sizes, as shares of the candidates, from which a tuned model is close to a palette, or on the way.
NEAR, FAR = 0.5, 0.2
#: The percentiles of a grid.
GRID = np.linspace(0.0, 100.0, 51)


def place_of(grid: Sequence[float] | None, level: float | None) -> float | None:
    """Return how many of 100 replies a level is better than.

    Args:
        grid: levels at the percentiles of :data:`GRID`; None where they are not known.
        level: in reward units.
    """
    return None if grid is None or level is None else float(np.interp(level, grid, GRID))


@dataclass(frozen=True)
class LevelWords:
    """Words for levels of a table's values.

    Args:
        titles: of the values, by name.
        grids: see :func:`place_of`, by value; a value without one is worded in reward units.
        wording: with numbers or in everyday words.
    """

    titles: Mapping[str, str]
    grids: Mapping[str, Sequence[float]]
    wording: Wording

    def title(self, name: str) -> str:
        """Return a value's title."""
        return self.titles.get(name, name.replace("_", " "))

    def level(self, name: str, level: float | None) -> str:
        """Format a level."""
        if level is None:
            return amounts.UNKNOWN
        percentile = place_of(self.grids.get(name), level)
        return amounts.significant(level, 3) if percentile is None else self.wording.level(percentile)


def estimate_sentence(estimate: Mapping[str, Any]) -> str:
    """Describe what a tuning takes.

    Args:
        estimate: the fields of :class:`map_core.tuning.estimate.TuningEstimate`.
    """
    if estimate["seconds"]:
        duration = amounts.rough_duration(estimate["seconds"])
        time = f"Learning takes about {duration} on this machine, as busy as it is now. It needs "
    else:
        time = "These replies were read for an earlier model, so learning is quick. It needs "
    steps = estimate["step_seconds"] is not None
    tests = "on the way and at the end" if steps else "at the end"
    tested = checking_sentence(estimate) or f"Testing it on new prompts {tests} takes extra time."
    return (
        f"{time}{amounts.byte_size(estimate['peak_bytes'])} of memory, and "
        f"{amounts.byte_size(estimate['checkpoint_bytes'])} of disk space while it runs; the finished model takes "
        f"{amounts.byte_size(estimate['result_bytes'])}. {tested}"
    )


def checking_sentence(estimate: Mapping[str, Any]) -> str:
    """Describe how long rounds and tests take beside the learning; "" where that was not measured.

    Args:
        estimate: with ``check_seconds``, of all tests on new prompts, and where there are ``rounds``, their number at
            most, with ``round_seconds``, what each takes beside the learning.
    """
    rounds, parts = estimate.get("rounds", 1), []
    if rounds > 1:
        each_round, all_rounds = (amounts.rough_duration(count * estimate["round_seconds"]) for count in (1, rounds))
        parts.append(
            f"Answering prompts takes about {each_round} each time, {all_rounds} if it learns {rounds} times, "
            "with this machine as busy as it is now."
        )
    if check := estimate.get("check_seconds"):
        parts.append(f"Testing it on new prompts takes about {amounts.rough_duration(check)}.")
    return " ".join(parts)


def level_rows(
    levels: Mapping[str, Mapping[str, float]],
    asked: Mapping[str, float],
    words: LevelWords,
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of levels on held-out prompts, the values asked for first.

    Args:
        levels: by value, with ``base``, ``tuned`` and ``forecast`` in reward units.
        asked: targets by value, in reward units.
        words: how levels are worded.
    """
    header = ["Value", "Base model", "Tuned", "Target", "Forecast"]
    rows = [
        [
            words.title(name),
            words.level(name, row["base"]),
            words.level(name, row["tuned"]),
            words.level(name, asked[name]) if name in asked else "no target",
            words.level(name, row["forecast"]),
        ]
        for name, row in sorted(levels.items(), key=lambda item: item[0] not in asked)
    ]
    return header, rows


def distance_sentence(kl: float, forecast: float, wording: Wording) -> str:
    """Describe how far a tuned model is from the original one, beside what its palette needs."""
    if wording.numbers:
        return f"Distance from the base model: {amounts.nats(kl)}; the palette needs {amounts.nats(forecast)}."
    spent, needed = (wording.price(max(distance, 0.0)) for distance in (kl, forecast))
    return f"The tuned model takes {spent}; the palette needs {needed}."


def round_sentences(rounds: Sequence[Mapping[str, Any]], words: LevelWords) -> list[str]:
    """Describe what each round of a tuning came to, on prompts that it learned from.

    Args:
        rounds: :meth:`map_core.tuning.rounds.Round.as_dict` of each.
        words: how levels are worded.
    """
    sentences = []
    for number, fields in enumerate(rounds, start=1):
        levels = ", ".join(
            f"{words.title(name)} {words.level(name, level)} (target {words.level(name, fields['targets'][name])})"
            for name, level in fields["levels"].items()
        )
        holds = " The targets hold, within the margin of error." if fields.get("holds") else ""
        sentences.append(f"Round {number}: {levels}.{holds}")
    return sentences


@dataclass(frozen=True)
class ValueOutcome:
    """The result of a tuning for a value with a target.

    Args:
        title: of the value.
        outcome: in a word or two.
        colour: of the mark.
        sentence: with the levels and the interval.
    """

    title: str
    outcome: str
    colour: str
    sentence: str


def value_outcomes(check: Mapping[str, Any], words: LevelWords) -> list[ValueOutcome]:
    """Describe the result of a check for each value with a target.

    Args:
        check: :meth:`map_core.tuning.check.TunedCheck.as_dict`.
        words: how levels are worded.
    """
    outcomes = []
    for name, value in check["values"].items():
        if value["outcome"] is None:
            continue
        outcome, colour = OUTCOMES[value["outcome"]]
        low, high = (value["tuned"] + sign * value["tuned_error"] for sign in (-1, 1))
        sentence = (
            f"{words.level(name, value['tuned'])} where {words.level(name, value['forecast'])} was forecast; the true "
            f"level lies from {words.level(name, low)} to {words.level(name, high)} in "
            f"{amounts.fixed(100 * check['level'])} of 100 cases."
        )
        outcomes.append(ValueOutcome(words.title(name), outcome, colour, sentence))
    return outcomes


def overall_sentence(check: Mapping[str, Any]) -> str:
    """Summarise the result of a check."""
    outcomes = [value["outcome"] for value in check["values"].values() if value["outcome"]]
    if all(outcome == "delivers" for outcome in outcomes):
        first = "The tuned model delivers what the palette promises."
    elif "falls short" in outcomes:
        first = "The tuned model falls short of what the palette promises."
    elif "overshoots" in outcomes:
        first = "The tuned model goes further than the palette asks."
    else:
        first = "Too few replies to tell whether the tuned model delivers what the palette promises."
    share, (low, high) = check["share_of_way"], check["share_of_way_interval"]
    if share is None or low is None or high is None:
        return first
    way = "of the way from the base model to the forecast"
    if share <= 0:
        second = f"It comes none {way}"
    else:
        interval = f"{amounts.percent(low)} to {amounts.percent(high)}"
        second = (
            f"It comes {amounts.percent(share)} {way}, {interval} in {amounts.fixed(100 * check['level'])} of 100 cases"
        )
    return (
        f"{first} {second} ({amounts.counted(check['prompts'], 'prompt')} that it was not tuned on, "
        f"{amounts.counted(check['replies'], 'reply', 'replies')} each)."
    )


def scale_sentence(words: LevelWords) -> str:
    """Explain the levels of :func:`level_rows`."""
    if not words.grids:
        return "Levels are scores, each on its value's own scale."
    return words.wording.pick(
        "Levels are percentiles of the base model's replies.",
        "Levels are out of 100: 60 means better than 60 of 100 replies of the base model.",
    )


def proposal_sentence(name: str, ess: float, candidates: int) -> str:
    """Describe how close a tuned model is to a palette, by the effective sample size of the choice.

    Args:
        name: of the tuned model.
        ess: effective sample size of the choice, from 1 to ``candidates``.
        candidates: their number.
    """
    share = (ess - 1) / (candidates - 1) if candidates > 1 else 1.0
    if share >= NEAR:
        return f"{name} is close to this palette: most of the candidates count."
    if share >= FAR:
        return f"{name} is on the way to this palette: some of the candidates count for much more than others."
    return f"{name} is far from this palette: few of the candidates count. More of them, or the base model, would help."
