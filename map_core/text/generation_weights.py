"""Sentences about the current weights: whether they are the palette's own or the nearest one's, and their limits.

The command line, the server and the page take their sentences from here; a page addresses the palette's owner, a
program's log speaks about the palette. Constraint: facts in, plain text out; nothing is solved here.
"""

from __future__ import annotations

from map_core.analysis.generation_weights import WeightsFacts, WeightsSource
from map_core.core.types import Verdict
from map_core.text.sentences import listed

_EXPECT = "expect replies to fall short of it"


def generation_notes(facts: WeightsFacts) -> tuple[str, ...]:
    """Return what a reader of a log should know about the weights, a sentence each; none for the palette's own weights.

    Example:
        >>> generation_notes(WeightsFacts(Verdict.REACHABLE, 8, WeightsSource.PALETTE))[0]
        'No target asks for more than the base model gives, so nothing is steered.'
    """
    if facts.candidates == 1:
        return ("With a single candidate there is nothing to choose from: the reply is the base model's.",)
    notes = []
    subject = f"With {facts.candidates} candidates to choose from, the palette is"
    if facts.verdict is Verdict.ON_PAPER:
        notes.append(f"{subject} possible, but not reliable: {_EXPECT}, or draw more candidates.")
    elif facts.source is WeightsSource.NONE:
        notes.append(f"{subject} not possible, and nothing near it is: nothing is steered.")
    elif facts.source is WeightsSource.NEAREST:
        given_up = f" It gives up some of {listed(facts.given_up)}." if facts.given_up else ""
        if facts.locks_lowered:
            given_up += " So few candidates cannot meet the locked targets, so that it lowers them too."
        notes.append(
            f"{subject} not possible: the nearest possible palette stands in.{given_up} More candidates come closer."
        )
    if facts.unscored:
        notes.append(f"There is no scorer for {_unscored(facts)}.")
    if facts.source is not WeightsSource.NONE and not facts.weighted:
        notes.append("No target asks for more than the base model gives, so nothing is steered.")
    if facts.left_out:
        notes.append(
            f"Weights that only apply to {listed(facts.left_out)} are left out, since the kind of prompt is not given: "
            "such targets are not promised."
        )
    if facts.pooled:
        notes.append("These are weights of the pooled form: used prompt by prompt they may miss the targets.")
    return tuple(notes)


def page_note(facts: WeightsFacts) -> str:
    """Return what a visitor should know about the weights of their palette; empty for the palette's own weights.

    Example:
        >>> page_note(WeightsFacts(Verdict.OUT_OF_REACH, 8, WeightsSource.NONE))
        'Nothing near your palette is possible, so there are no weights to steer by.'
    """
    if facts.source is WeightsSource.NONE:
        return "Nothing near your palette is possible, so there are no weights to steer by."
    notes = []
    drawn = "With the single one" if facts.candidates == 1 else f"Among the {facts.candidates}"
    subject = f"The verdict above counts on more replies to choose from. {drawn} written here"
    match facts.table_verdict, facts.verdict:
        case _, Verdict.OUT_OF_REACH if facts.locks_lowered:
            notes.append(
                f"{subject} not even the targets that must not be lowered can be met, so the nearest possible palette "
                "lowers them too. Draw more to come closer."
            )
        case Verdict.OUT_OF_REACH, _:
            notes.append("Your palette is not possible, so the weights of the nearest possible palette are used.")
        case _, Verdict.OUT_OF_REACH:
            notes.append(
                f"{subject} not all of your targets can be met, so the nearest possible palette is used. Draw more to "
                "come closer."
            )
        case Verdict.REACHABLE, Verdict.ON_PAPER:
            notes.append(
                f"{subject} your targets can be met, but not reliably. Expect replies to fall short, or draw more."
            )
        case _, Verdict.ON_PAPER:
            notes.append(f"Your palette is possible, but not reliable: {_EXPECT}.")
    if facts.unscored:
        notes.append(f"This app has no scorer for {_unscored(facts)}.")
    if not facts.weighted:
        notes.append("No target asks for more than the base model gives, so both replies are drawn alike.")
    if facts.left_out:
        notes.append(
            f"What you ask for {listed(facts.left_out)} alone is not promised here, since the kind of prompt is not "
            "given."
        )
    return " ".join(notes)


def _unscored(facts: WeightsFacts) -> str:
    pronoun = "it" if len(facts.unscored) == 1 else "them"
    return f"{listed(facts.unscored)}, so new replies are not steered by {pronoun}"
