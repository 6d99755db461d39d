"""Shared by the views of Explore: the palette of this viewer, and the choices that several views have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.core import amounts
from map_core.feasibility import Assessment
from map_core.figures.plane import PalettePosition
from map_core.palettes.palette import Palette
from map_core.solver.newton import Solution
from map_core.text import sentences
from map_core.text.wording import effort
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import tabs, wording
from pages.view.shell.session_keys import Key

RERUN: Key[bool] = Key("tradeoffs_again", False)
OPEN_PAIR: Key[tuple[int, int] | None] = Key("tradeoffs_open", None)
#: The two values of the view Two values.
ACROSS: Key[int | None] = Key("frontier_across", None)
UPWARDS: Key[int | None] = Key("frontier_upwards", None)

BUDGETS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False)
class CurrentPalette:
    """The palette of this viewer.

    Args:
        scene: the table.
        palette: the palette itself.
        assessment: of the palette.
    """

    scene: Scene
    palette: Palette
    assessment: Assessment

    @property
    def targets(self) -> np.ndarray:
        """(value,) in standard deviations above base, NaN for free values."""
        return self.assessment.targets

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values, as they read within a sentence."""
        return self.scene.names

    @cached_property
    def titles(self) -> list[str]:
        """Names of the values with a capital."""
        return [sentences.capitalised(name) for name in self.names]

    @property
    def solution(self) -> Solution | None:
        """The palette's own solution, or that of the nearest reachable one; None where there is neither."""
        return effective_solution(self.assessment)

    @property
    def position(self) -> PalettePosition:
        """The position of the palette in a figure."""
        own = self.assessment.solution
        return PalettePosition(self.targets, None if own is None else own.levels)

    @property
    def wanted(self) -> list[int]:
        """Positions of the values that have a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.targets[: self.plain]))]

    @property
    def plain(self) -> int:
        """Number of values to choose from; columns for what is asked beyond averages come after them."""
        return self.scene.plain

    @cached_property
    def fixed(self) -> np.ndarray:
        """(value,) bool: targets that are not lowered: locked, kept at base, or asked for beyond averages."""
        values = self.scene.table.values[: self.plain]
        keeps = [self.palette.targets[name].keep and not self.palette.targets[name].free for name in values]
        keeps += [True] * (len(self.names) - self.plain)
        return palette_state.locked(self.scene, self.palette) | np.array(keeps)

    def first(self, count: int) -> list[int]:
        """Return the ``count`` values to show at first: those with a target, then the others."""
        return (self.wanted + [j for j in range(self.plain) if j not in self.wanted])[:count]

    def floors(self, keep_others: bool, free: list[int]) -> np.ndarray:
        """Return (value,) floors for values that are not ``free``: their targets, or NaN."""
        floors = self.targets.copy() if keep_others else np.full(len(self.targets), np.nan)
        floors[free] = np.nan
        return floors


def current_palette() -> CurrentPalette:
    """Return the palette of this viewer; called once in every run of the whole page."""
    RERUN.pop()
    scene, palette = palette_state.current_counted()
    return CurrentPalette(scene, palette, palette_state.current_assessment(scene, palette))


def take_targets(scene: Scene, targets: np.ndarray, what: str) -> None:
    """Apply exact targets from within a figure's fragment; NaN leaves a value as it is."""
    palette_state.take_targets(scene, targets, what)
    RERUN.set(True)


def undo() -> None:
    """Undo one step from within a figure's fragment."""
    palette_state.undo()
    RERUN.set(True)


def open_pair(pair: tuple[int, int]) -> None:
    """Open a pair in the view Two values, from within a figure's fragment."""
    OPEN_PAIR.set(pair)
    RERUN.set(True)


def rerun_if_changed() -> None:
    """Rerun the whole page from within a fragment, where one of the callbacks above has changed what it shows."""
    if RERUN.pop():
        st.rerun()


def draw_others_choice() -> bool:
    """Draw the choice for the other values, the same in all views, and return whether they keep their targets."""
    tabs.read_labels("frontier_others", {"Free": "free"})
    choice = st.segmented_control(
        "The other values",
        ["free", "kept"],
        format_func={"free": "No preference", "kept": "Keep their targets"}.__getitem__,
        default="free",
        required=True,
        key="frontier_others",
        bind="query-params",
        persist_state="session",
        help="No preference: the widest choice. Keep their targets: every point also meets the targets of all other "
        "values, and what you ask for beyond averages.",
    )
    return choice == "kept"


def pick_value(label: str, current: CurrentPalette, first: int, key: str) -> int:
    """Draw the choice of one value, which is kept in the address, and return it."""
    tabs.keep_in_address(key, first)
    return int(
        st.selectbox(
            label,
            range(current.plain),
            index=first,
            format_func=current.titles.__getitem__,
            key=key,
            bind="query-params",
            persist_state="session",
        )
    )


def pick_axis(label: str, current: CurrentPalette, first: int, key: Key[int | None]) -> int:
    """Draw the choice of one axis, which a click elsewhere may also set; the address keeps both axes as a pair."""
    stored = key.get_or_set(first)  # and not as an index, because a click may have set it already
    if stored is None or stored >= current.plain:  # a custom value is no longer offered
        key.set(first)
    return int(
        st.selectbox(
            label,
            range(current.plain),
            format_func=current.titles.__getitem__,
            key=key.name,
            persist_state="session",
        )
    )


def pick_values(label: str, current: CurrentPalette, first: list[int], key: str, most: int | None = None) -> list[int]:
    """Draw the choice of several values, which is kept in the address, and return it in the table's order."""
    tabs.keep_in_address(key, first)
    chosen = st.multiselect(
        label,
        range(current.plain),
        default=first,
        format_func=current.titles.__getitem__,
        max_selections=most,
        key=key,
        bind="query-params",
        persist_state="session",
        wrap=True,
    )
    return sorted({int(j) for j in chosen})  # values of one title are one choice


def read_budgets(key: str, several: bool = False) -> None:
    """Read an address that names a budget in the other wording, before its choice is drawn."""
    labels = {amounts.significant(kl): kl for kl in BUDGETS} | {sentences.capitalised(effort(kl)): kl for kl in BUDGETS}
    tabs.read_labels(key, labels, several)


def budget_label(kl: float) -> str:
    """Return a budget as a control names it."""
    reading = wording.current()
    return amounts.significant(kl) if reading.numbers else sentences.capitalised(effort(kl))


def draw_words(sentences: list[str]) -> None:
    """Draw a figure as sentences."""
    with st.expander("In words"):
        for sentence in sentences:
            st.text(sentence)
