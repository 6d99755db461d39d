"""The example on Set: for one prompt of the use case, a reply of the base model and one of the palette.

Both come from the table, so the example changes while a fader moves. Constraint: replies are shown as text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from map_core.analysis.examples import ReplyExample, reply_example
from map_core.text import sentences
from map_core.text.reply_markup import cut_nodes
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import component
from pages.view.shell.session_keys import Key

PROMPT: Key[int] = Key("example_prompt", 0)
PANEL: Key[dict[str, Any]] = Key("example_panel", {})

_mount = component.register(
    "example",
    '<section class="vp-example" aria-label="Example replies"></section>',
    isolated=False,
)
#: The difference between the two replies' levels from which it is mentioned, in percentiles.
NOTICED = 5.0


def draw_example(live: LiveAnswer) -> None:
    """Mount the example for the current prompt."""
    if (data := example_data(live, prompt_number())) is not None:
        _mount(key=PANEL.name, data=data, on_turned_change=_on_turned)


def prompt_number() -> int:
    """Return the number of the current prompt, which grows or falls without bound and is taken modulo the prompts."""
    return PROMPT.get()


def example_data(live: LiveAnswer, prompt: int) -> dict[str, Any] | None:
    """Return what an example shows of a palette; None where the table has no replies."""
    table = live.scene.table
    if not table.replies:
        return None
    shown = live.scene.examples
    index = prompt % len(shown)
    return _data(live, reply_example(table, live.scene.oracle, live.weights, shown[index]), index, len(shown))


def _on_turned() -> None:
    """Show the next or the previous prompt."""
    step = PANEL.get().get("turned")
    if isinstance(step, (int, float)):
        PROMPT.set(prompt_number() + (1 if step > 0 else -1))


def _data(live: LiveAnswer, example: ReplyExample, index: int, count: int) -> dict[str, Any]:
    base_nodes, base_whole = cut_nodes(example.base_shown)
    aligned_nodes, aligned_whole = cut_nodes(example.aligned_shown)
    out = live.assessment.solution is None
    moved = bool(np.any(live.weights))
    chance = sentences.chance(example.probability)
    if out and not moved:
        note = "These targets are not possible together, so both are what the base model would say."
    elif not moved:
        note = "No target asks for more than the base model gives, so both are the same."
    else:
        palette = "the nearest palette" if out else "your palette"
        before = f"{sentences.chance(1 / example.candidates)} under the base model"
        note = f"The likeliest of {example.candidates} under {palette}: {chance}, against {before}."
    return {
        "prompt": example.prompt,
        "place": f"Prompt {index + 1} of {count}",
        "base": example.base_shown,
        "base_nodes": base_nodes,
        "base_whole": base_whole,
        "aligned": example.aligned_shown,
        "aligned_nodes": aligned_nodes,
        "aligned_whole": aligned_whole,
        "same": example.base == example.aligned,
        "base_note": "One of its typical replies.",
        "aligned_note": note,
        "title": "Nearest palette" if out else "Your palette",
        "marks": _marks(live, example) if moved else [],
    }


def _marks(live: LiveAnswer, example: ReplyExample) -> list[dict[str, str]]:
    """Return the values on which the two replies differ the most, of those with a weight first."""
    scene, marks = live.scene, []
    for j in np.argsort(-np.abs(live.weights * (example.aligned_levels - example.base_levels)))[:3]:
        if live.weights[j] == 0 or j >= scene.plain:
            continue
        base, level = (
            scene.percentile(int(j), float(levels[j])) for levels in (example.base_levels, example.aligned_levels)
        )
        if abs(level - base) >= NOTICED:
            text = f"{scene.title(j)} {live.wording.level(base)} → {live.wording.level(level)}"
            marks.append({"text": text, "colour": scene.colour(int(j))})
    return marks
