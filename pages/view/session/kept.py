"""Keep what a viewer has made over a reload: steps of the palette, pinned palettes, groups, replies, judgements.

A reload is a new visit to the server, which knows the palette of the address alone. So each run of a page hands what
there is to ``assets/keep.js``, which keeps it in the tab (the browser's session storage: gone with the tab, unknown to
other tabs), and a new visit gets it back once. The switch *Show numbers* goes the same way, into a cookie
(:mod:`pages.view.shell.wording`): it belongs to the person and not to the palette. Constraint: what comes back is
somebody's text; it is read as addresses are, and what cannot be read, or belongs to another table, is left out.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

import streamlit as st

from map_core.core.assets import ASSETS
from map_core.errors import InputError
from map_core.palettes.palette import ALL, Palette
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.shell import wording
from pages.view.shell.kept_keys import UNREADABLE, WAITING, dump_entries, take_drafts
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import VISIT

#: Whether this visit has heard of what an earlier one left.
HEARD: Key[bool] = Key("kept_heard", False)
KEEPER: Key[dict[str, Any]] = Key("keep", {})

#: Steps of the palette that are kept, the last ones.
KEPT_STEPS = 60
#: Characters that are read, and the name under which the tab keeps them.
MAX_LENGTH, STORAGE = 400_000, "value-palette"

_mount = st.components.v2.component(
    "value_palette_keep", js=(ASSETS / "keep.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def draw() -> None:
    """Hand what there is to the browser; once a run, wherever the palette or a kept entry can have changed."""
    data = {
        "name": f"{STORAGE} {st.get_option('server.baseUrlPath')}".strip(),
        "visit": VISIT.get_or_set(secrets.token_hex(8)),
        "heard": HEARD.get(),
        "text": snapshot(),
        "cookie": wording.COOKIE,
        "numbers": wording.kept_choice(),
    }
    _mount(key=KEEPER.name, data=data, on_left_change=_on_left)


def snapshot() -> str:
    """Return what there is to keep of this visit, as JSON."""
    content = {"table": scenes.chosen_table(), "history": _dump_history(), "parts": dump_entries()}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def take_back(text: str) -> None:
    """Make what an earlier visit of this tab has left this visit's; nothing of another table."""
    HEARD.set(True)
    try:
        content = json.loads(text) if len(text) <= MAX_LENGTH else {}
        if content.get("table") != scenes.chosen_table():
            return
        parts = {str(name): part for name, part in content["parts"].items()}
    except UNREADABLE:
        return
    WAITING.set(parts)
    take_drafts()
    try:
        _resume(content.get("history"))
    except UNREADABLE:
        return


def _dump_history() -> dict[str, Any] | None:
    """Return the last steps as plain JSON values, palettes as the address has them; None before there are any."""
    held = palette_state.HISTORY.get()
    if held is None:
        return None
    first = max(0, len(held.steps) - KEPT_STEPS)
    steps = [
        {"palette": step.palette.to_query(), "what": step.what, "when": step.when.isoformat(), "merge": step.merge}
        for step in held.steps[first:]
    ]
    return {"steps": steps, "place": max(0, held.place - first)}


def _resume(content: Any) -> None:
    """Put the steps of an earlier visit, see :func:`_dump_history`, before those of this one.

    Steps that this table cannot read are left out. A link that leads elsewhere becomes a step of its own.

    Raises:
        InputError, TypeError, ValueError, KeyError: nothing of it can be read.
    """
    steps: list[palette_state.HistoryStep] = []
    place = 0
    for number, step in enumerate(content["steps"]):
        try:
            palette = read_palette(step["palette"])
        except InputError:
            continue
        place = len(steps) if number <= int(content["place"]) else place
        when = datetime.fromisoformat(step["when"])
        steps.append(palette_state.HistoryStep(palette, str(step["what"]), when, str(step["merge"])))
    if not steps:
        return
    kept, own = palette_state.History(tuple(steps), place), palette_state.HISTORY.get()
    begun = () if own is None else own.steps
    linked = len(begun) == 1 and begun[0].what == palette_state.OPENED_FROM_LINK
    if len(begun) > 1 or (linked and begun[0].palette.to_query() != kept.now.to_query()):
        for step in begun:
            kept = kept.with_step(replace(step, merge=""))
        if own is not None:
            kept = replace(kept, place=kept.place - (len(begun) - 1 - own.place))
    palette_state.HISTORY.set(kept)
    scenes.WELCOME.get_or_set(False)  # who has been here needs no welcome


def _on_left() -> None:
    take_back(str(KEEPER.get().get("left") or ""))


def dump_palette(palette: Palette) -> dict[str, str]:
    """Return a palette as the address has it."""
    return palette.to_query()


def read_palette(content: Any) -> Palette:
    """Return a palette of this table.

    Raises:
        InputError: it cannot be read, or is of another table's values or use cases.
    """
    table = scenes.load(ALL).table
    palette = Palette.from_query({str(name): str(text) for name, text in content.items()}, table.values)
    if palette.use_case not in (ALL, *table.use_case_names):
        raise InputError(f"This table has no use case {palette.use_case!r}.")
    return palette
