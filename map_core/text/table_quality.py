"""Describe the results of :mod:`map_core.confidence.table_quality` for people who read no mathematics.

Constraint: predictions are called so, and every figure comes from the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from map_core.confidence.table_quality import LEVEL, NARROW, Advice, Help, Reason
from map_core.core import amounts
from map_core.text.wording import NUMBERS, Wording

HEADLINES = {
    Help.CANDIDATES: "More replies to each prompt would help most",
    Help.PROMPTS: "More prompts would help most",
    Help.NEITHER: "More of either would not help much",
}


def advice_reason(advice: Advice, prompts: int, wording: Wording = NUMBERS) -> str:
    """Explain why the advised extension of the table would help, and by how much.

    Args:
        advice: on a palette and a table.
        prompts: number of prompts on which the table solves.
        wording: with numbers, or in everyday words.
    """
    now, more, reason = advice.now, advice.candidates, advice.reason
    if reason is Reason.ONE_REPLY:
        return (
            "Most prompts have a single reply, between which nothing can choose. With several replies to each prompt, "
            "the app can say what choosing among them gives."
        )
    if reason is Reason.NO_TARGETS:
        return "No value has a target, so nothing is asked of the table. Set a target on the page Set first."
    if reason is Reason.OUT_OF_REACH:
        enough = (
            f"About {_times(advice.factor)} as many would do."
            if advice.factor <= 2
            else "That is not enough by itself."
        )
        return (
            f"The palette is not possible; it {_short(-now.margin, wording)}. Twice the replies to each prompt are "
            f"predicted to {_less(max(0.0, -more.margin), wording)}. {enough} More prompts do not move it."
        )
    if reason is Reason.BEYOND:
        return (
            f"The palette is not possible; it {_short(-now.margin, wording)}, and twice the replies to each prompt are "
            "predicted to change next to nothing about it: this model hardly ever replies that way. Ask for less, or "
            "take another model."
        )
    if reason is Reason.EDGE:
        return (
            "The palette lies on the very edge of what these replies give; more replies to each prompt move the edge."
        )
    if reason is Reason.FEW_REPLIES:
        needed = f" About {_times(advice.factor)} as many would do." if math.isfinite(advice.factor) else ""
        return (
            f"The palette rests on {amounts.fixed(now.carrying, 1)} replies per prompt, too few to trust. Twice the "
            f"replies to each prompt are predicted to make that {amounts.fixed(more.carrying, 1)}.{needed} More "
            "prompts do not change it."
        )
    if reason is Reason.FEW_IN_ALL:
        return (
            f"The palette rests on {amounts.fixed(now.carrying_all)} replies in all, too few to trust, while each "
            f"prompt has enough. About {amounts.rounded_up(advice.factor * prompts)} prompts in all would do."
        )
    if not wording.numbers:
        return _how_sure(advice, prompts)
    bar = f"{LEVEL:.0%} error bar of its least certain level is ± {amounts.fixed(now.error, 2)} standard deviations"
    if reason is Reason.WIDE:
        return (
            f"The palette is possible, and the {bar}. Twice the prompts make that ± "
            f"{amounts.fixed(advice.prompts.error, 2)}, twice the replies to each prompt only ± "
            f"{amounts.fixed(more.error, 2)}. About {amounts.rounded_up(advice.factor * prompts)} prompts in all would "
            f"bring it to ± {NARROW:.2f}."
        )
    return f"The palette is possible, rests on enough replies, and the {bar}, which is narrow."


def outlook_rows(advice: Advice, wording: Wording = NUMBERS) -> list[tuple[str, str, str, str]]:
    """Return (label, now, with twice the replies, with twice the prompts) of each measure that is known."""
    outlooks = (advice.now, advice.candidates, advice.prompts)
    rows = []
    forms: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("Chance that it is possible", "attainable", _chance),
        ("Room to the edge, standard deviations", "margin", lambda n: amounts.fixed(n, 2, signed=True)),
        ("Replies that it rests on, per prompt", "carrying", lambda n: amounts.fixed(n, 1)),
        ("Replies that it rests on, in all", "carrying_all", lambda n: amounts.fixed(n, grouped=True)),
        (
            "Error bar of its least certain level, standard deviations",
            "error",
            lambda n: amounts.fixed(n, 2) if math.isnan(n) else f"± {amounts.fixed(n, 2)}",
        ),
    )
    for label, name, form in forms:
        if not wording.numbers and label.endswith(", standard deviations"):
            continue
        numbers = [getattr(outlook, name) for outlook in outlooks]
        if any(map(math.isfinite, numbers)):
            cells = [form(n).replace("-", "−") for n in numbers]
            rows.append((label, cells[0], cells[1], cells[2]))
    return rows


def _chance(probability: float) -> str:
    """Format a probability from a sample of prompts, which makes nothing certain."""
    return amounts.chance(min(max(probability, 1e-3), 1 - 1e-3))


def _short(gap: float, wording: Wording) -> str:
    if wording.numbers:
        return f"falls {amounts.fixed(gap, 2)} standard deviations short"
    return wording.miss(gap)


def _less(gap: float, wording: Wording) -> str:
    return f"make that {amounts.fixed(gap, 2)}" if wording.numbers else "bring it closer"


def _how_sure(advice: Advice, prompts: int) -> str:
    """Describe how sure the levels are of a palette that is possible and rests on enough replies."""
    if advice.reason is Reason.WIDE:
        wanted = amounts.rounded_up(advice.factor * prompts)
        return (
            "The palette is possible, and its levels on new prompts are not very sure yet. More prompts make them "
            f"surer; more replies to each prompt hardly do. About {wanted} prompts in all would be enough."
        )
    return "The palette is possible, rests on enough replies, and its levels on new prompts are sure enough."


def _times(factor: float) -> str:
    """Format a factor, rounded up."""
    if factor < 10:
        return f"{amounts.significant(np.ceil(10 * factor - 1e-9) / 10)} times"
    return f"{amounts.fixed(np.ceil(factor), grouped=True)} times"
