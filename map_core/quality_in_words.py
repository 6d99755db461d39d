"""What :mod:`map_core.quality` found, in sentences for people who read no mathematics.

Constraint: what is foretold is called so, and every figure comes from the result.
"""

from __future__ import annotations

import math

from map_core.quality import LEVEL, NARROW, Advice, Help, Reason

HEADLINES = {
    Help.CANDIDATES: "More replies to each prompt would help most",
    Help.PROMPTS: "More prompts would help most",
    Help.NEITHER: "More of either would not help much",
}


def why(advice: Advice, prompts: int) -> str:
    """Why that would help, and by how much.

    Args:
        advice: of a palette on a table.
        prompts: that the table has.
    """
    now, more, reason = advice.now, advice.candidates, advice.reason
    if reason is Reason.ONE_REPLY:
        return (
            "Most prompts have a single reply, between which nothing can choose. With several replies a prompt the app "
            "can say what choosing among them gives."
        )
    if reason is Reason.NO_TARGETS:
        return "Every value is free, so nothing is asked of the table. Set a target on the page Palette first."
    if reason is Reason.OUT_OF_REACH:
        enough = (
            f"About {_times(advice.factor)} as many would do."
            if advice.factor <= 2
            else "That is not enough by itself."
        )
        return (
            f"The palette is out of reach by {-now.margin:.2f} standard deviations. Twice the replies to each prompt "
            f"are foretold to make that {max(0.0, -more.margin):.2f}. {enough} More prompts do not move it."
        )
    if reason is Reason.BEYOND:
        return (
            f"The palette is out of reach by {-now.margin:.2f} standard deviations, and twice the replies to each "
            "prompt are foretold to change that by next to nothing: this model hardly ever replies that way. Ask "
            "for less, or take another model."
        )
    if reason is Reason.EDGE:
        return (
            "The palette lies on the very edge of what these replies give; more replies to each prompt move the edge."
        )
    if reason is Reason.FEW_REPLIES:
        needed = f" About {_times(advice.factor)} as many would do." if math.isfinite(advice.factor) else ""
        return (
            f"The palette rests on {now.carrying:.1f} replies a prompt, too few to trust. Twice the replies to each "
            f"prompt are foretold to make that {more.carrying:.1f}.{needed} More prompts do not change it."
        )
    if reason is Reason.FEW_IN_ALL:
        return (
            f"The palette rests on {now.carrying_all:.0f} replies in all, too few to trust, while each prompt has "
            f"enough. About {_many(advice.factor * prompts)} prompts in all would do."
        )
    bar = f"{LEVEL:.0%} error bar of its least certain level is ± {now.error:.2f} standard deviations"
    if reason is Reason.WIDE:
        return (
            f"The palette can be had, and the {bar}. Twice the prompts make that ± {advice.prompts.error:.2f}, twice "
            f"the replies to each prompt only ± {more.error:.2f}. About {_many(advice.factor * prompts)} prompts in "
            f"all would bring it to ± {NARROW:.2f}."
        )
    return f"The palette can be had, rests on enough replies, and the {bar}, which is narrow."


def rows(advice: Advice) -> list[tuple[str, str, str, str]]:
    """What is measured, today and foretold for twice the replies and twice the prompts; nothing where nothing is."""
    outlooks = (advice.now, advice.candidates, advice.prompts)
    found = []
    for label, name, form in (
        ("Chance that it can be had", "attainable", "{:.0%}"),
        ("Room to the edge, standard deviations", "margin", "{:+.2f}"),
        ("Replies that carry it, a prompt", "carrying", "{:.1f}"),
        ("Replies that carry it, in all", "carrying_all", "{:,.0f}"),
        ("Error bar of its least certain level, standard deviations", "error", "± {:.2f}"),
    ):
        numbers = [getattr(one, name) for one in outlooks]
        if any(map(math.isfinite, numbers)):
            told = ["–" if math.isnan(n) else form.format(n).replace("-", "−") for n in numbers]
            found.append((label, told[0], told[1], told[2]))
    return found


def _many(count: float) -> str:
    """A count in two figures, rounded up."""
    step = 10 ** max(0, len(str(math.ceil(count))) - 2)
    return f"{math.ceil(count / step) * step:,}"


def _times(factor: float) -> str:
    """How many times as many, rounded up."""
    return f"{math.ceil(10 * factor - 1e-9) / 10:g} times" if factor < 10 else f"{math.ceil(factor):,} times"
