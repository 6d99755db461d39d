"""The faders: a live component with one fader per value, which is answered while a fader is dragged.

``assets/desk.js`` draws it. It sends the changes since the last acknowledged message, by value, with a message number
that the answer returns. While a fader is dragged, :mod:`pages.view.palette.drag_session` applies the changes to a copy
of the palette; when it rests, :func:`_on_moved` applies them to the viewer's own.
:mod:`pages.view.session.live_answer` lists all steps. Constraint: a change that cannot be read changes nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.feasibility.limits import Limits
from map_core.palettes.palette import Mode, Palette, Target
from map_core.text import verdict
from map_core.text.wording import NUMBERS, Wording
from pages.view.palette import fader_text, protection_faders
from pages.view.session import live_answer, palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene
from pages.view.shell import component, live_channel
from pages.view.shell.session_keys import Key

DESK_ID: Key[str] = Key("desk_session", "")
ACKNOWLEDGED: Key[int] = Key("desk_heard", 0)
SETTLED: Key[bool] = Key("desk_settled", True)
RESTED: Key[bool] = Key("desk_rested", True)
DESK: Key[dict[str, Any]] = Key("desk_faders", {})
#: The limits of each value that the page shows now, and whether they are still being computed.
MOST: Key[tuple[Limits | None, bool]] = Key("desk_most", (None, False))

_mount = component.register(
    "desk",
    '<div class="vp-desk" role="group" aria-label="Faders, one per value"></div>',
    isolated=False,
    scripts=("nodes", "channel", "moves"),
)
_FLAGS = ("free", "keep", "locked")


def draw_faders(live: LiveAnswer) -> None:
    """Mount the faders with the answer to the last message."""
    _mount(key=DESK.name, data=desk_data(live), on_moved_change=_on_moved)


def look_up_limits(live: LiveAnswer) -> None:
    """Read the limits of each value once per run, so that all parts of the page show the same numbers."""
    job = live_answer.limits_job(live) if is_rested() else None
    MOST.set((None, False) if job is None else (job.result, not job.ended))


def desk_data(live: LiveAnswer) -> dict[str, Any]:
    """Return the data of this viewer's faders, with the address of the live channel."""
    return fader_data(live, MOST.get()[0]) | stamp() | {"channel": live_channel.ADDRESS}


def fader_data(live: LiveAnswer, most: Limits | None = None) -> dict[str, Any]:
    """Return the data of the faders for a palette; the limits ``most`` are known only while no fader moves."""
    return {
        "faders": [_fader(live, j, most) for j in range(live.scene.plain)] + protection_faders.faders(live, most),
        "predict": live_answer.predictions(live),
        "mark": live.wording.mark,
        "decimals": 1 if live.wording.numbers else 0,
        "place": live.wording.pick(
            "target as a percentile of the base model's replies",
            "target: better than this many of 100 replies of the base model",
        ),
    }


def stamp() -> dict[str, Any]:
    """Return the session and message that an answer belongs to, by which the browser recognises late answers."""
    return {"session": desk_id(), "ack": acknowledged(), "settled": is_settled()}


def desk_id() -> str:
    """Return the name of this viewer's sequence of messages, which restarts with a new session."""
    return str(DESK_ID.get_or_set(secrets.token_hex(16)))


def acknowledged() -> int:
    """Return the number of the last message that was applied."""
    return ACKNOWLEDGED.get()


def is_settled() -> bool:
    """Return whether no fader is being dragged."""
    return SETTLED.get()


def is_rested() -> bool:
    """Return whether no fader has moved for a moment, so that long computations are worth starting."""
    return is_settled() and RESTED.get()


def on_rested() -> None:
    """Record that no fader has moved for a moment."""
    RESTED.set(True)


def _on_moved() -> None:
    """Apply the changes of a fader since the last acknowledged message."""
    moved = DESK.get().get("moved")
    if not isinstance(moved, dict) or not isinstance(moved.get("changes"), dict):
        return
    number = int(fader_text.number_of(moved.get("seq")) or 0)
    if number <= acknowledged():
        return  # a later message, which had these changes too, was applied before
    ACKNOWLEDGED.set(number)
    SETTLED.set(bool(moved.get("final")))
    RESTED.set(False)
    scene, before = palette_state.current_counted()
    palette, texts = apply_changes(scene, before, moved["changes"])
    if palette != before:
        palette_state.apply(palette, texts, merge=f"desk {moved.get('gesture')}")


def apply_changes(scene: Scene, palette: Palette, changes: dict[str, Any]) -> tuple[Palette, str]:
    """Return a palette after changes, and what changed in words.

    Args:
        scene: the table.
        palette: before the changes.
        changes: by value, as :func:`changed_target` reads them; those that cannot be read are left out.
    """
    texts = []
    for name, change in changes.items():
        if isinstance(change, dict) and (moved := protection_faders.moved(scene, palette, name, change)) is not None:
            texts += [moved[1]] if moved[0] != palette else []
            palette = moved[0]
        elif name in palette.targets and isinstance(change, dict):
            target = changed_target(palette.targets[name], change)
            if target != palette.targets[name]:
                texts.append(_change_sentence(scene, scene.table.index(name), palette.targets[name], target))
                palette = palette.with_target(name, target)
    return palette, " ".join(texts)


def changed_target(target: Target, change: dict[str, Any]) -> Target:
    """Return a target after a change; anything that cannot be read is left out.

    Args:
        target: before.
        change: "percentile", a number from 0 to 100; "free", "keep" and "locked", true or false.
    """
    percentile = fader_text.number_of(change.get("percentile"))
    flags = {name: bool(change[name]) for name in _FLAGS if isinstance(change.get(name), bool)}
    if percentile is not None and 0 <= percentile <= 100 and not flags.get("keep"):
        changed = abs(percentile - target.percentile) > 1e-9 or target.free or target.keep
        target = target.at(percentile) if changed else target
    return replace(target, **flags)


def _change_sentence(scene: Scene, j: int, before: Target, after: Target) -> str:
    """Return a change in words for the history, which keeps numbers."""
    name = scene.names[j]
    if after.free and not before.free:
        return f"No preference for {name}."
    if after.locked != before.locked:
        return f"{'Locked' if after.locked else 'Unlocked'} {name}."
    if after.keep:
        return f"Keep {name} as it is."
    drops = after.mode(scene.percentile(j, 0.0)) is Mode.MAY_DROP
    return f"{f'Let {name} drop' if drops else f'Set {name}'} to {NUMBERS.target(after.percentile)}."


def _fader(live: LiveAnswer, j: int, most: Limits | None) -> dict[str, Any]:
    """Return what one fader shows, in percentiles of the base model's replies."""
    scene, assessment = live.scene, live.assessment
    name, title = scene.table.values[j], scene.title(j)
    target, base = live.palette.targets[name], scene.percentile(j, 0.0)
    percentile = base if target.keep else target.percentile
    level = None if live.levels is None else scene.percentile(j, float(live.levels[j]))
    near = assessment.solution is None
    shown = None if level is None else verdict.shown_percentile(level, near)
    error = None
    if live.errors is not None and live.levels is not None:
        error = [scene.percentile(j, float(live.levels[j] + sign * live.errors[j])) for sign in (-1, 1)]
    ends = (live.reach if most is None else most).ranges[j]
    reliable = None if most is None else scene.percentile(j, float(most.reliable[j]))
    span = None if np.isnan(ends).any() else [scene.percentile(j, float(end)) for end in ends]
    return {
        "name": name,
        "title": title,
        "card": scene.cards[j].replace("**", ""),
        "colour": scene.colour(j),
        "constant": bool(scene.oracle.constant[j]),
        "percentile": amounts.rounded(percentile, 4),
        "shown": fader_text.field_text(percentile, reliable, span, live.wording),
        "free": target.free,
        "keep": target.keep,
        "locked": target.locked,
        "base": amounts.rounded(base, 2),
        "level": amounts.rounded(level, 2),
        "near": near,
        "error": fader_text.bar_ends(error),
        "range": fader_text.bar_ends(span),
        "ever": list(scene.ranges[j]),
        "said": fader_text.caption(live, j, base, shown, fader_text.most_text(span, reliable, live.wording)),
        "spoken": fader_text.spoken_text(
            live.wording, base, shown, near, span, fader_text.most_text(span, reliable, live.wording)
        ),
    }


def legend(wording: Wording) -> str:
    """Return what the marks of a fader mean, as markup."""
    scale_note = wording.pick("", "<span>60 means: better than 60 of 100 of the model's own replies</span>")
    return (
        '<div class="vp-key vp-desk-key"><span><i class="vp-k-handle"></i>your target</span>'
        '<span><i class="vp-k-needle"></i>what you get, with its margin of error</span>'
        '<span><i class="vp-tick"></i>base model</span>'
        '<span><i class="vp-k-hatch"></i>not possible with your other targets</span>'
        f'<span><i class="vp-k-guess"></i>estimate while calculating</span>{scale_note}</div>'
    )


def hint() -> str:
    """Return how a fader is moved, as markup."""
    return (
        '<p class="vp-note vp-desk-hint">Drag a fader, or use the arrow keys, Page, Home and End, or type a number. '
        "Double-click or Delete removes the target; L locks it.</p>"
    )
