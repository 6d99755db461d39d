"""Keep a viewer's work over a reload: steps of the palette, pinned palettes, groups, replies, judgements.

A reload is a new visit to the server, which knows only the palette in the address. So each run of a page sends the
current state to ``assets/keep.js``, which keeps it in the tab (the browser's session storage: gone with the tab,
unknown to other tabs), and a new visit gets it back once. The switch *Show numbers* is kept in a cookie in the same way
(:mod:`pages.view.shell.wording`): it belongs to the person and not to the palette. Constraint: what comes back is
untrusted; it is validated as addresses are, and what cannot be read, or belongs to another table, is left out.
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

#: Whether this visit has received what an earlier one kept.
HEARD: Key[bool] = Key("kept_heard", False)
KEEPER: Key[dict[str, Any]] = Key("keep", {})

#: Steps of the palette that are kept, counted from the last one.
KEPT_STEPS = 60
#: Characters that are read at most, and the name of the entry in the browser's storage.
MAX_LENGTH, STORAGE = 400_000, "value-palette"

_mount = st.components.v2.component(
    "value_palette_keep", js=(ASSETS / "keep.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def draw() -> None:
    """Send the state to the browser; once per run, after the palette or a kept entry may have changed."""
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
    """Return the state of this visit as JSON."""
    content = {"table": scenes.chosen_table(), "history": _dump_history(), "parts": dump_entries()}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def take_back(text: str) -> None:
    """Restore the state that an earlier visit of this tab kept; nothing of another table."""
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
    """Return the last steps as plain JSON values, with palettes as addresses have them; None before there are any."""
    history = palette_state.HISTORY.get()
    if history is None:
        return None
    first = max(0, len(history.steps) - KEPT_STEPS)
    steps = [
        {"palette": step.palette.to_query(), "what": step.what, "when": step.when.isoformat(), "merge": step.merge}
        for step in history.steps[first:]
    ]
    return {"steps": steps, "place": max(0, history.position - first)}


def _resume(content: Any) -> None:
    """Put the steps of an earlier visit, see :func:`_dump_history`, before those of this one.

    Steps that do not fit the open table are left out. A link to another palette becomes a step of its own.

    Raises:
        InputError, TypeError, ValueError, KeyError: nothing of it can be read.
    """
    steps: list[palette_state.HistoryStep] = []
    position = 0
    for number, step in enumerate(content["steps"]):
        try:
            palette = read_palette(step["palette"])
        except InputError:
            continue
        position = len(steps) if number <= int(content["place"]) else position
        when = datetime.fromisoformat(step["when"])
        steps.append(palette_state.HistoryStep(palette, str(step["what"]), when, str(step["merge"])))
    if not steps:
        return
    kept, own = palette_state.History(tuple(steps), position), palette_state.HISTORY.get()
    begun = () if own is None else own.steps
    linked = len(begun) == 1 and begun[0].what == palette_state.OPENED_FROM_LINK
    if len(begun) > 1 or (linked and begun[0].palette.to_query() != kept.now.to_query()):
        for step in begun:
            if step.palette.to_query() != kept.now.to_query():
                kept = kept.with_step(replace(step, merge=""))
        if own is not None:
            kept = replace(kept, position=kept.position - (len(begun) - 1 - own.position))
    palette_state.HISTORY.set(kept)
    scenes.WELCOME.get_or_set(False)  # a returning visitor needs no welcome


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
