"""The texts of a fader: its field, the line below it, and what a screen reader adds."""

from __future__ import annotations

from typing import Any

from map_core.core import amounts
from map_core.text import sentences
from map_core.text.groups import wish_text
from map_core.text.wording import Wording
from pages.view.session.live_answer import LiveAnswer


def bar_ends(ends: list[float] | None) -> list[float | None] | None:
    """Return both ends of a bar; None where one of them is not known."""
    rounded_ends = [amounts.rounded(end, 2) for end in ends or ()]
    return rounded_ends if rounded_ends and None not in rounded_ends else None


def most_text(span: list[float] | None, reliable: float | None, wording: Wording, share: bool = False) -> str:
    """Return the most that is possible of a value with the other targets; "" where it is not known."""
    if span is None:
        return ""
    if reliable is None:  # not computed yet
        return f"{wording.level(span[1] + 1e-6, toward='down', share=share)} (possible)"
    return sentences.limit(reliable + 1e-6, span[1] + 1e-6, wording, share)


def caption(live: LiveAnswer, j: int, base: float, level: float | None, most: str) -> str:
    """Return the line below a fader."""
    if live.scene.oracle.constant[j]:
        return "The same for every reply, so nothing can move it."
    name, wording, targets = live.scene.table.values[j], live.wording, live.palette.targets
    target, others = targets[name], any(not other.free for value, other in targets.items() if value != name)
    near = level is not None and live.assessment.solution is None
    # What the nearest palette gives is with other targets than yours, so it may lie beyond the most with yours.
    parts = [] if near and most and others else [f"base model {wording.level(base)}"]
    if not wording.numbers and not target.free and not target.keep:
        parts.insert(0, wish_text(target.percentile, base))
    if level is not None:
        parts.append(f"{'the nearest palette gives' if near else 'you get'} {wording.level(level)}")
    if most:
        parts.append(f"{'with your other targets ' if near and others else ''}at most {most}")
    elif not target.free:
        parts.append("the others conflict")
    return ", ".join(parts)


def spoken_text(
    wording: Wording, base: float, level: float | None, near: bool, span: list[float] | None, most: str
) -> str:
    """Return what a screen reader adds to a fader's target."""
    text = f"Base model {wording.level(base)}."
    if level is not None:
        text += f" The {'nearest palette' if near else 'palette'} gives {wording.level(level)}, "
        text += f"{sentences.better_than(level)}."
    if span is not None:
        low = wording.level(span[0] - 1e-6, toward="up")
        text += f" With your other targets: from {low} to at most {most}."
    return text


def number_of(value: Any) -> float | None:
    """Return a finite number as a float; None for anything else, also for an integer too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return amounts.finite(value)


def field_text(percentile: float, reliable: float | None, span: list[float] | None, wording: Wording) -> str:
    """Return the text of a fader's field; without numbers it is rounded, but never up beyond a limit that it is within.

    Args:
        percentile: of the target.
        reliable: the most of the value, as :func:`most_text` takes it.
        span: the ends of what is possible, likewise.
        wording: with numbers, or in everyday words.
    """
    if wording.numbers:
        return f"{wording.mark}{amounts.significant(amounts.rounded(percentile, 1))}"
    limits = [limit + 1e-6 for limit in (reliable, span[1] if span else None) if limit is not None]
    beyond = any(percentile <= limit < float(amounts.fixed(percentile)) for limit in limits)
    return wording.level(percentile, toward="down" if beyond else "nearest")
