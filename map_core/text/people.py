"""Describe levels in people's units: of 100 replies, how many people would say yes to.

Constraint: plain text; every figure was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from map_core.calibration import JudgeAgreement, LabelReach, PeopleLevel, labels_needed
from map_core.calibration.delivered import MIN_PROMPTS
from map_core.core import amounts
from map_core.text import sentences

#: The header of the table of :func:`level_rows`.
COLUMNS = ("Value", "Base model", "With your palette", "Labels")
#: Half-width of an interval, in replies of 100, that is precise enough.
CLOSE = 3
#: The header of the table of :func:`reach_rows`.
REACH_COLUMNS = ("Value", "Judgements", "Behind this level", "Replies beyond them")
#: Half-widths of an interval, in replies of 100, that are aimed for one after another.
GOALS = (10, 5, 3, 2, 1)


def of_hundred(level: PeopleLevel) -> str:
    """Format a level with its interval.

    Example:
        >>> of_hundred(PeopleLevel("kindness", 0.74, 0.66, 0.81, 0.7, 0.6, 0.8, 0.73, 410, 200.0, 40))
        '74 (66 to 81)'
    """
    middle, low, high = (amounts.fixed(100 * end) for end in (level.share, level.low, level.high))
    return f"{middle} ({low} to {high})"


def level_rows(
    levels: Mapping[str, tuple[PeopleLevel, PeopleLevel]], values: Sequence[str], names: Sequence[str]
) -> list[tuple[int, tuple[str, ...]]]:
    """Return (position, cells) of each value that is measured, see :data:`COLUMNS`."""
    return [
        (
            j,
            (
                sentences.capitalised(names[j]),
                of_hundred(levels[value][0]),
                of_hundred(levels[value][1]),
                f"{levels[value][1].labels} on {amounts.counted(levels[value][1].prompts, 'prompt')}",
            ),
        )
        for j, value in enumerate(values)
        if value in levels
    ]


def explanation() -> str:
    """Return what the figures are."""
    return (
        "Of 100 replies, how many would people say yes to? People labelled some replies; the scorer fills in the rest, "
        "and the labels correct what it gets wrong. In brackets, where the figure lies nine times in ten."
    )


def value_sentences(name: str, base: PeopleLevel, now: PeopleLevel) -> tuple[str, ...]:
    """Return what people say about one value, and what more labels would do.

    Args:
        name: of the value, as it reads within a sentence.
        base: under the base model.
        now: under the palette.
    """
    texts = [
        f"Of 100 replies, people would say yes to {of_hundred(now)} for {name} with your palette; with the base "
        f"model to {of_hundred(base)}.",
    ]
    if now.narrower > 0.01:
        texts.append(
            f"With the scorer's help the range is {amounts.percent(now.narrower)} narrower than from the "
            f"{now.labels} labels alone."
        )
    more = labels_needed(now, CLOSE / 100)
    texts.append(
        f"About {amounts.rounded_up(more)} more labels would bring it to within {CLOSE} of 100."
        if more
        else f"It is known to within {CLOSE} of 100."
    )
    return tuple(texts)


def few_labels_sentence(reach: LabelReach, name: str) -> str:
    """Return a warning where a palette favours replies with few labels; "" where there are enough labels, or none.

    Args:
        reach: of the value's labels under the palette.
        name: of the value, as it reads within a sentence.
    """
    if not reach.few:
        return ""
    behind = max(1, round(reach.effective))
    number = "1 judgement stands" if behind == 1 else f"{behind} judgements stand"
    text = f"{sentences.capitalised(name)}: few people have judged replies like these. {number} behind this level"
    beyond = amounts.fixed(100 * reach.hardly)
    return (
        f"{text}."
        if beyond == "0"
        else f"{text}, and {beyond} in 100 of the replies score where hardly any has been judged."
    )


def unlabelled_sentence(names: Sequence[str]) -> str:
    """Name the values for which nobody has judged replies; "" where there is none."""
    return f"Nobody has judged replies for {sentences.listed(names)} yet." if names else ""


def reach_rows(
    reaches: Mapping[str, LabelReach], values: Sequence[str], names: Sequence[str]
) -> list[tuple[int, tuple[str, ...]]]:
    """Return (position, cells) of each value that is promised, see :data:`REACH_COLUMNS`."""
    return [
        (
            j,
            (
                sentences.capitalised(names[j]),
                str(reach.labels) if reach.labels else "none yet",
                amounts.fixed(reach.effective) if reach.labels else "",
                f"{amounts.fixed(100 * reach.hardly)} in 100" if reach.labels else "",
            ),
        )
        for j, value in enumerate(values)
        if (reach := reaches.get(value)) is not None
    ]


def reach_explanation() -> str:
    """Return what the table of labels says."""
    return (
        "A scorer is known to agree with people only on replies like those that people judged. Behind this level: how "
        "many of the judgements are of replies that score as this palette's replies do. Replies beyond them: how many "
        "of the palette's replies score where hardly any was judged."
    )


def progress_sentences(level: PeopleLevel | None, prompts: int) -> tuple[str, str]:
    """Return what is known while somebody judges replies, and what more judgements would do.

    Args:
        level: with the palette; None while there are too few labels.
        prompts: number of prompts with judged replies.
    """
    if level is None:
        missing = max(0, MIN_PROMPTS - prompts)
        if not missing:
            return "No figure yet: it needs replies of both kinds.", "It comes once both yes and no have been said."
        more = "1 more request" if missing == 1 else f"{missing} more requests"
        return "No figure yet.", f"It comes after replies to {more}, with both yes and no among them."
    half = 50 * (level.high - level.low)
    now = f"Now {amounts.fixed(100 * level.share)} of 100 with your palette, give or take {amounts.fixed(half)}."
    goal = next((half_width for half_width in GOALS if half_width < round(half, 1)), None)
    if goal is None:
        return now, "That is as close as anybody needs."
    more_labels = amounts.rounded_up(labels_needed(level, goal / 100))
    return now, f"About {more_labels} more would bring it to within {goal}."


def judges_sentence(agreement: JudgeAgreement) -> str:
    """Return how far judges agree, in one sentence."""
    agreed = amounts.percent(agreement.observed)
    common = amounts.counted(agreement.replies, "reply", "replies")
    text = f"{len(agreement.judges)} people judged {common} in common and agreed on {agreed}"
    if math.isnan(agreement.kappa):
        return f"{text}, always with the same answer, so this may be chance."
    interval = f" ({amounts.fixed(agreement.low, 2)} to {amounts.fixed(agreement.high, 2)})"
    beyond = "" if math.isnan(agreement.low) else interval
    return f"{text}; beyond chance (kappa): {amounts.fixed(agreement.kappa, 2)}{beyond}."
