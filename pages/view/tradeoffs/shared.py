"""What every view of Explore starts from: the palette of this viewer, and the choices that the views share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.core import amounts
from map_core.feasibility import Assessment
from map_core.figures.plane import PalettePosition as Stand
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
    """The palette in force.

    Args:
        scene: the table.
        palette: of this viewer.
        assessment: of that palette.
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
        """Of the values, as they read within a sentence."""
        return self.scene.names

    @cached_property
    def titles(self) -> list[str]:
        """Of the values, as they stand by themselves."""
        return [sentences.capitalised(name) for name in self.names]

    @property
    def solution(self) -> Solution | None:
        """What speaks for this palette: its own solution, or that of the nearest one that can be had."""
        return effective_solution(self.assessment)

    @property
    def stand(self) -> Stand:
        """Where the palette stands in a figure."""
        own = self.assessment.solution
        return Stand(self.targets, None if own is None else own.levels)

    @property
    def wanted(self) -> list[int]:
        """Positions of the values that have a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.targets[: self.plain]))]

    @property
    def plain(self) -> int:
        """How many values there are to choose from; columns of what is asked beyond averages come after them."""
        return self.scene.plain

    @cached_property
    def fixed(self) -> np.ndarray:
        """(value,) bool: targets that do not give way: locked, kept at base, or asked for beyond averages."""
        values = self.scene.table.values[: self.plain]
        keeps = [self.palette.targets[name].keep and not self.palette.targets[name].free for name in values]
        keeps += [True] * (len(self.names) - self.plain)
        return palette_state.locked(self.scene, self.palette) | np.array(keeps)

    def first(self, count: int) -> list[int]:
        """Return ``count`` values to begin with: those with a target, then the others."""
        return (self.wanted + [j for j in range(self.plain) if j not in self.wanted])[:count]

    def floors(self, keep_others: bool, free: list[int]) -> np.ndarray:
        """Return (value,) levels that other values keep: their targets, or none."""
        floors = self.targets.copy() if keep_others else np.full(len(self.targets), np.nan)
        floors[free] = np.nan
        return floors


def current_palette() -> CurrentPalette:
    """Return the palette of this viewer, assessed; asked for once by every run of the whole page."""
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
    """Within a fragment: run the whole page where one of the callbacks above has changed what it shows."""
    if RERUN.pop():
        st.rerun()


def draw_others_choice() -> bool:
    """Draw the choice of what the other values do, the same in all views; True when they keep their targets."""
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


def pick_value(label: str, today: CurrentPalette, first: int, key: str) -> int:
    """Return the choice of one value, which stands in the address."""
    tabs.keep_in_address(key, first)
    return int(
        st.selectbox(
            label,
            range(today.plain),
            index=first,
            format_func=today.titles.__getitem__,
            key=key,
            bind="query-params",
            persist_state="session",
        )
    )


def pick_axis(label: str, today: CurrentPalette, first: int, key: Key[int | None]) -> int:
    """Draw the choice of one axis, which a click elsewhere may make as well; both stand in the address as a pair."""
    held = key.get_or_set(first)  # and not as an index: a click may have chosen already
    if held is None or held >= today.plain:  # a custom value is no longer offered
        key.set(first)
    return int(
        st.selectbox(
            label,
            range(today.plain),
            format_func=today.titles.__getitem__,
            key=key.name,
            persist_state="session",
        )
    )


def pick_values(label: str, today: CurrentPalette, first: list[int], key: str, most: int | None = None) -> list[int]:
    """Return the choice of several values, in the table's order, which stands in the address."""
    tabs.keep_in_address(key, first)
    chosen = st.multiselect(
        label,
        range(today.plain),
        default=first,
        format_func=today.titles.__getitem__,
        max_selections=most,
        key=key,
        bind="query-params",
        persist_state="session",
        wrap=True,
    )
    return sorted({int(j) for j in chosen})  # values of one title are one choice


def read_budgets(key: str, several: bool = False) -> None:
    """Before the choice of a budget: read an address that names it in the other wording."""
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
