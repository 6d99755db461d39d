"""Shared by the parts of the Library: using a palette, its targets and price in short, and local times."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import streamlit as st

from map_core.palettes.palette import ALL, Palette
from map_core.text.changes import price_text
from pages.view.compare import pinned as pinning
from pages.view.palettes import save_form
from pages.view.session import level_words, palette_state
from pages.view.session import scene as scenes
from pages.view.session.palette_cache import AssessedPalette
from pages.view.shell import wording

#: Values that a chart shows at first.
MAX_FIRST_DRAWN = 4


def use_palette(palette: Palette, what: str) -> None:
    """Make a palette the current one, as a step that can be undone."""
    palette_state.apply_with_undo(completed(palette), what)
    save_form.OPENED.pop()  # it no longer started from the one that was opened before


def draw_pin(
    key: str,
    card: str,
    name: str,
    palette: Palette,
    *,
    label: str = "Pin",
    meaning: str = "Look at it side by side",
    disabled: bool = False,
) -> None:
    """Draw the button that pins a palette.

    Args:
        key: of the button.
        card: where the pin is confirmed, see :mod:`pages.view.shell.confirmation`.
        name: of the palette.
        palette: what is pinned.
        label: of the button.
        meaning: its tooltip.
        disabled: the palette cannot be pinned here.
    """
    full = len(pinning.pinned_palettes()) >= pinning.MAX_PINNED
    st.button(
        label,
        key=key,
        icon=":material/keep:",
        type="tertiary",
        on_click=pinning.pin,
        args=(name, palette, card),
        disabled=full or disabled,
        help=f"At most {pinning.MAX_PINNED} are pinned; unpin one first." if full else meaning,
    )


def completed(palette: Palette) -> Palette:
    """Return a palette with an entry for each value of the open table, free where it has none."""
    now = palette_state.history().now.targets
    targets = {name: palette.targets.get(name, replace(now[name], free=True)) for name in scenes.load(ALL).table.values}
    return replace(palette, targets=targets)


def target_chips(assessed: AssessedPalette) -> list[tuple[int, str]]:
    """Return the targets of a palette as chips."""
    return level_words.target_chips(assessed.scene, assessed.palette, assessed.targets)


def price_sentence(assessed: AssessedPalette) -> str:
    """Return what a palette costs, in words; "" when it is out of reach."""
    shown = wording.current()
    return "" if assessed.solution is None else f"{shown.pick('Costs', 'Takes')} {price_text(assessed.kl, shown)}"


def initial_values(assessed: list[AssessedPalette]) -> list[int]:
    """Return positions of the values that a chart shows at first, those that any of the palettes asks for first."""
    wanted = [
        j for j in range(len(assessed[0].scene.names)) if any(not np.isnan(palette.targets[j]) for palette in assessed)
    ]
    others = [j for j in range(len(assessed[0].scene.names)) if j not in wanted]
    return sorted((wanted + others)[:MAX_FIRST_DRAWN])


def moment_text(moment: datetime) -> str:
    """Return a moment in the viewer's time zone as text."""
    return f"{local_time(moment):%d %b %Y, %H:%M}".removeprefix("0")


def local_time(moment: datetime) -> datetime:
    """Return a moment in the viewer's time zone; in UTC where the browser does not say which."""
    try:
        return moment.astimezone(ZoneInfo(st.context.timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        return moment.astimezone(UTC)
