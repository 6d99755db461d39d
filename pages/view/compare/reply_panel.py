"""The data of the panel of replies, for the page's script and for the live channel.

Constraint: computed outside of a script run too, so nothing here reads the session state; replies reach the browser as
nodes of a few tags with text in them (:mod:`map_core.text.reply_markup`).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.core.cut_replies import with_mark
from map_core.generation.choice import Choice
from map_core.service.snapshot import Candidate, GenerationSnapshot, Phase
from map_core.text import sentences
from map_core.text.reply_markup import cut_nodes
from map_core.text.wording import NUMBERS, Wording
from pages.view.compare import generator, reply_floor
from pages.view.compare.comparison import ComparisonView
from pages.view.compare.pinned import PaletteColumn

#: Characters of a reply that the panel shows; longer ones, from other servers, can be read among the candidates.
MAX_REPLY_LENGTH = 20_000
#: Characters of the prompt that it repeats.
MAX_PROMPT_LENGTH = 2_000
#: Numbers the states of the panel, so that the browser shows the newest one, by whichever way it came.
_numbers = itertools.count(1)


def panel_data(view: ComparisonView, covered: bool = False) -> dict[str, Any]:
    """Return what the panel shows.

    Args:
        view: the generation at this moment.
        covered: replies are hidden, because they are judged blind.
    """
    snapshot, prompt = view.shown, view.generation.request.prompt
    return {
        "n": next(_numbers),
        "generation": snapshot.id,
        "ended": snapshot.phase.ended,
        "prompt": with_mark(prompt[:MAX_PROMPT_LENGTH], len(prompt) > MAX_PROMPT_LENGTH),
        "status": "" if snapshot.error else status_text(snapshot, view.wording),
        "notes": [
            *_notes(snapshot),
            *filter(None, [reply_floor.outcome_sentence(view.scene, view.choices[0])] if view.done else []),
        ],
        "candidates": len(snapshot.candidates),
        "bars_title": "" if covered else _bars_title(view),
        "bars": [] if covered else _bars(view),
        "slots": [] if covered else [_base_slot(view), *_palette_slots(view)],
    }


def empty_data(columns: tuple[PaletteColumn, ...]) -> dict[str, Any]:
    """Return what the panel shows before the first generation."""
    slots = [_slot("base", "Base model", note="A reply of the base model as it is.")]
    slots += [_slot(column.key, column.name, note="The reply that your palette would choose.") for column in columns]
    return {
        "n": next(_numbers),
        "generation": "",
        "ended": True,
        "prompt": "",
        "status": "",
        "notes": [],
        "candidates": 0,
        "bars_title": "",
        "bars": [],
        "slots": slots,
    }


def status_text(snapshot: GenerationSnapshot, wording: Wording = NUMBERS) -> str:
    """Return the state of a generation: its place in the queue, what is being written, how it ended."""
    speed = (
        f", {amounts.fixed(snapshot.tokens / snapshot.sampling_seconds, grouped=True)} tokens/s"
        if snapshot.sampling_seconds
        else ""
    )
    many = f"{len(snapshot.candidates)} candidates, "
    many += wording.pick(
        f"{snapshot.tokens:,} tokens, {amounts.fixed(snapshot.seconds, 1)} s{speed}",
        f"{amounts.fixed(snapshot.seconds)} s",
    )
    match snapshot.phase:
        case Phase.WAITING:
            return snapshot.note or "Waiting for the model."
        case Phase.SAMPLING:
            return f"Writing: {many}"
        case Phase.SCORING:
            return f"Scoring the complete replies: {many}"
        case Phase.CANCELLED:
            return f"Stopped: {many}. What was written stays; nothing was picked."
        case _:
            return f"Done: {many}"


def _notes(snapshot: GenerationSnapshot) -> list[str]:
    notes = []
    if snapshot.restarts and snapshot.phase is not Phase.WAITING and not snapshot.error:
        notes.append("The model process stopped and came back: this reply was written again.")
    if snapshot.resampled:
        times = "once" if snapshot.resampled == 1 else f"{snapshot.resampled} times"
        notes.append(f"Beginnings were compared and copied {times} on the way.")
    return [*notes, *snapshot.notes]


def _slot(
    key: str,
    name: str,
    tag: str = "",
    caption: str = "",
    candidate: Candidate | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return a column: a heading, and a reply or a note."""
    slot: dict[str, Any] = {"key": key, "name": name, "tag": tag, "caption": caption, "note": note}
    text = "" if candidate is None else candidate.text[:MAX_REPLY_LENGTH]
    cut = candidate is not None and (candidate.cut or len(candidate.text) > MAX_REPLY_LENGTH)
    # The sentence that a reply breaks off in is one click away.
    slot["nodes"], slot["whole"] = cut_nodes(with_mark(text, cut))
    if candidate is not None and not text.strip() and candidate.ended:
        slot["note"] = note or "(no words)"
    return slot


def _base_slot(view: ComparisonView) -> dict[str, Any]:
    index, count = view.base_index, len(view.shown.candidates)
    note = ""
    if index != view.shown.base:
        note = "Both fell on the same reply, so another one of the base model's is shown here."
    origin = (
        "the one that the base model wrote"
        if generator.tuned_of(view.generation)
        else f"picked at random from the {count}"
    )
    caption = f"Candidate {index + 1}, {origin}"
    return _slot("base", "Base model", "", caption, view.shown.candidates[index], note)


def _palette_slots(view: ComparisonView) -> list[dict[str, Any]]:
    return [_palette_slot(view, column, choice) for column, choice in zip(view.columns, view.choices, strict=True)]


def _palette_slot(view: ComparisonView, column: PaletteColumn, choice: Choice | None) -> dict[str, Any]:
    snapshot, index = view.shown, view.shown_index(choice)
    whose = "this" if column.key != "aligned" else "your"
    if choice is None or index is None:
        if view.done:
            return _slot(column.key, column.name, note="No candidate could be scored, so none was picked.")
        index = (snapshot.base + 1) % len(snapshot.candidates)
        tag, caption = "provisional", "provisional: nothing is scored yet"
    elif view.done and not column.weights.by_value:
        tag, caption = "not steered", "picked at random: nothing in your palette steers the choice"
    elif view.done and view.drawn:
        tag, caption = "picked", f"picked by {whose} palette"
    elif view.done:
        chance = sentences.chance(choice.probabilities[index])
        tag = "likeliest"
        caption = f"the likeliest of {len(snapshot.candidates)} under {whose} palette: {chance}"
    elif snapshot.phase.ended:
        tag, caption = "provisional", "leading when it was stopped"
    else:
        tag, caption = "provisional", "provisional leader: it may change until all are complete"
    return _slot(column.key, column.name, tag, f"Candidate {index + 1}, {caption}", snapshot.candidates[index])


def _bars_title(view: ComparisonView) -> str:
    if view.choices[0] is None:
        return ""
    return (
        f"Average of these {len(view.shown.candidates)} candidates → with your palette. 60 means: better than 60 of "
        "100 replies of the base model. The mark is your target, which is an average over many prompts."
    )


def _bars(view: ComparisonView) -> list[dict[str, Any]]:
    """Return a bar for each value with a target: the candidates' average, and what the palette expects of them."""
    choice, scene = view.choices[0], view.scene
    if choice is None:
        return []
    bars = []
    targets, probabilities = view.assessment.targets, np.array(choice.probabilities)
    for j in map(int, np.flatnonzero(~np.isnan(targets[: scene.plain]))):
        rewards = np.array(
            [candidate.rewards.get(scene.table.values[j], np.nan) for candidate in view.shown.candidates]
        )
        known = ~np.isnan(rewards)
        if not known.any() or not probabilities[known].sum():
            continue
        average = float(rewards[known].mean())
        expected = float(probabilities[known] @ rewards[known] / probabilities[known].sum())
        before, after = (scene.percentiles.percentile_of(j, level) for level in (average, expected))
        bars.append(
            {
                "name": scene.title(j),
                "colour": scene.colour(j),
                "before": round(before, 1),
                "after": round(after, 1),
                "target": round(scene.percentile(j, float(targets[j])), 1),
                "text": f"{amounts.fixed(before)} → {amounts.fixed(after)}",
                "said": f"{scene.title(j)}: the average candidate is better than "
                f"{amounts.fixed(before)} of 100 replies, with your palette {amounts.fixed(after)}; the target is "
                f"{amounts.fixed(scene.percentile(j, float(targets[j])))}.",
            }
        )
    return bars
