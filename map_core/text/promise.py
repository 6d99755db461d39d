"""Sentences on promises: what new prompts show about a palette, and how one that is in use keeps it."""

from __future__ import annotations

import math

from map_core.confidence.certify import Certificate, Outcome
from map_core.core import amounts


def certificate_sentences(found: Certificate) -> list[str]:
    """Return what a certificate says, the answer first."""
    sure, what = f"{100 * found.level:g}%", "gains over the base model" if found.over_base else "levels"
    prompts = f"{found.prompts} new prompts"
    instead = ["The palette itself is not possible; this is the nearest one."] if found.nearest_instead else []
    if found.outcome is Outcome.CERTIFIED:
        said = [f"Certified: every target holds, {sure} sure, shown on {prompts}. {_strength(found)}"]
    elif found.outcome is Outcome.LOWERED:
        said = [
            f"Certified only in part: {prompts} show, {sure} sure, targets that are lower by "
            f"{amounts.fixed(found.lowered, 2)} standard deviations. {_strength(found)}",
            _needed(found),
        ]
    else:
        said = [
            f"Not certified: {prompts} do not show even targets that are lower by a standard deviation.",
            _needed(found),
        ]
    said.append(
        f"This is about {what}, for a generator that chooses among {found.candidates} candidates, on prompts like "
        "these."
    )
    if found.clipped:
        said.append(
            f"{found.clipped} of the new prompts' levels lay below the lowest end and count as that end: see --strict."
        )
    return [*instead, *said]


def _strength(found: Certificate) -> str:
    if found.factor == 1.0:
        return "The weights are those that were solved for."
    if found.factor == 0.0:
        return "The base model does that by itself."
    return f"The weights are {amounts.significant(found.factor)} times those that were solved for."


def _needed(found: Certificate) -> str:
    if not math.isfinite(found.prompts_needed):
        return "More prompts would not help: on the new ones the levels themselves miss a target."
    if found.prompts_needed <= found.prompts:
        return "About as many prompts again may be enough for all of it."
    return f"About {found.prompts_needed:,.0f} prompts would be enough for all of it, if they are like these."
