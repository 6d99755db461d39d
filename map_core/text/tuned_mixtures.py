"""Mixtures of tuned models for a palette: a table and sentences.

Constraint: from plain JSON values, those of :meth:`map_core.tuning.held_out.HeldOutLevels.as_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from map_core.core import amounts
from map_core.text import sentences
from map_core.text.tuning import LevelWords
from map_core.text.tuning_evidence import between, share
from map_core.text.wording import effort

EXACT, MIXTURE, SOUP = "Your palette, by choosing among replies", "Tuned models, mixed", "Tuned models, averaged"


def mixture_rows(
    mixture: Mapping[str, Any], soup: Mapping[str, Any] | None, values: Sequence[str], words: LevelWords
) -> tuple[list[str], list[list[str]]]:
    """Return the header and a row for each way: exact decoding, the log-linear mixture, the soup where it is known.

    Args:
        mixture: levels of the mixture.
        soup: likewise.
        values: whose levels are shown.
        words: how levels and distances are worded.
    """
    numbers = words.wording.numbers

    def distance(kl: float) -> str:
        return amounts.fixed(max(kl, 0.0), 2) if numbers else effort(max(kl, 0.0))

    header = ["Way", "Of the way", "In 90 of 100 cases", words.wording.pick("Nats", "Effort")]
    header += [words.title(name) for name in values]
    exact = [words.level(name, mixture["levels"][name]["forecast"]) for name in values]
    rows = [[EXACT, "100%", "", distance(mixture["kl_forecast"]), *exact]]
    for title, way in ((MIXTURE, mixture), (SOUP, soup)):
        if way is not None:
            levels = [words.level(name, way["levels"][name]["tuned"]) for name in values]
            ends = way["share_of_way_90"] or (None, None)
            rows.append([title, share(way["share_of_way"]), between(ends), distance(way["kl"]), *levels])
    return header, rows


def how_sentence(mixture: Mapping[str, Any]) -> str:
    """Say what the figures are measured on."""
    return (
        f"On {amounts.counted(mixture['prompts'], 'prompt')} that no model learnt from, by weighting "
        f"{amounts.counted(mixture['replies'], 'reply', 'replies')} of the base model to each. How much of each model "
        "to take was found on the same replies, which speaks for the mixtures."
    )


def parts_sentence(weights: Mapping[str, float], shares: Mapping[str, float]) -> str:
    """Say how much of each model is taken, for those who want numbers."""
    mixed = sentences.listed([f"{name} {amounts.fixed(weight, 2)}" for name, weight in weights.items()])
    averaged = sentences.listed([f"{name} {amounts.percent(part)}" for name, part in shares.items()])
    return f"Weights of the mixture: {mixed}." + (f" Shares of the average: {averaged}." if averaged else "")


def missing_sentence(there: Sequence[str], missing: Sequence[str]) -> str:
    """Say how to get models that can be mixed for a palette.

    Args:
        there: titles of values that a model is tuned to, as they read within a sentence.
        missing: of the others that the palette pushes.
    """
    have = (
        f" {sentences.capitalised(sentences.listed(there))} {'has' if len(there) == 1 else 'have'} one."
        if there
        else ""
    )
    return (
        "Models that are each tuned to one value can be mixed for this palette, in place of one that is tuned to it."
        f"{have} For {sentences.listed(missing)} there is none yet: set a target for that value alone, and tune a "
        "model on the page Tune."
    )
