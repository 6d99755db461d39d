"""The tour: a box above the faders that moves them, one stop after another, and says what to look at.

Every palette is set by :func:`palette_state.apply`, so that the solver answers and undo works; every figure in the text
is taken from what the page shows. Constraint: drawn in the fragment of the faders, so that the text follows them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import streamlit as st

from map_core.palettes.palette import Palette
from pages.view.palette import tour_stops, tour_text
from pages.view.palette.tour_stops import StopKind, TourStop
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import component, markup
from pages.view.shell.session_keys import Key

TOUR: Key[Tour | None] = Key("tour", None)

#: Where the last stop leads.
NEXT_PAGES = (
    ("tradeoffs", "Explore", ":material/balance:"),
    ("compare", "Listen", ":material/compare:"),
    ("groups", "Agree", ":material/groups:"),
    ("report", "Report", ":material/summarize:"),
    ("how", "How it works", ":material/functions:"),
)

_mount = component.register_script("tour")


@dataclass(frozen=True)
class Tour:
    """The state of a viewer's tour.

    Args:
        stops: in order.
        position: of the current stop; the number of stops once the tour has ended.
        own: the viewer's palette from before the tour.
    """

    stops: tuple[TourStop, ...]
    position: int
    own: Palette

    @property
    def over(self) -> bool:
        """Whether the tour has ended; the palette from before can still be restored."""
        return self.position >= len(self.stops)


def current_tour() -> Tour | None:
    """Return the tour of this viewer, None when there is none."""
    return TOUR.get()


def start() -> None:
    """Start at the first stop; do nothing where no value of the table can be moved."""
    palette = palette_state.history().now
    stops = tour_stops.stops(scenes.load(palette.use_case))
    if stops:
        TOUR.set(Tour(stops, 0, palette))
        _apply_stop(stops[0])


def draw_tour(live: LiveAnswer) -> None:
    """Draw the current stop while there is a tour."""
    # Always one container, so that the faders below keep their position on the page and are not mounted again.
    with st.container(key="tour_place", gap=None):
        if tour := current_tour():
            _draw_stop(tour, live)
            stop = None if tour.over else tour.stops[tour.position]
            _mount(key="tour_script", data={"stop": str(tour.position), "parts": shown_parts(stop, live)})


def shown_parts(stop: TourStop | None, live: LiveAnswer) -> list[str]:
    """Return CSS selectors of the parts of the page that a stop is about, the most important one first."""
    if stop is None or stop.kind is StopKind.NEXT:
        return []
    if stop.kind is StopKind.HEAR:
        return [".vp-example"]
    names = live.scene.table.values
    rows = [f".vp-desk [data-value={json.dumps(names[j])}], .st-key-value_{j}" for j in stop.values]
    if stop.kind is StopKind.DROP:
        return rows[::-1]
    return [".st-key-verdict", *rows] if stop.kind is StopKind.CONFLICT else rows


def _draw_stop(tour: Tour, live: LiveAnswer) -> None:
    with st.container(border=True, key="tour"):
        if tour.over:
            _draw_end()
            return
        stop = tour.stops[tour.position]
        progress = f"{tour.position + 1} of {len(tour.stops)}"
        st.html(
            markup.region(
                "Tour", tour_text.stop_title(stop, live.scene.names), progress, tour_text.stop_sentences(stop, live)
            )
        )
        with st.container(horizontal=True, vertical_alignment="center", key="tour_buttons"):
            last = tour.position + 1 == len(tour.stops)
            st.button(
                "Finish" if last else "Next",
                key="tour_next",
                type="primary",
                icon=":material/check:" if last else ":material/arrow_forward:",
                on_click=_go,
                args=(1,),
            )
            st.button(
                "Back",
                key="tour_back",
                icon=":material/arrow_back:",
                on_click=_go,
                args=(-1,),
                disabled=tour.position == 0,
            )
            if not last:
                st.button("End the tour", key="tour_end", type="tertiary", on_click=_end)
            else:
                for name, title, icon in NEXT_PAGES:
                    st.page_link(f"{name}.py", label=title, icon=icon)


def _draw_end() -> None:
    """Draw the choice between the palette from before the tour and that of the last stop."""
    st.html(
        markup.region(
            "Tour",
            "The tour has ended",
            "",
            ["The faders show the palette of the last stop. You can restore the one that you had before."],
        )
    )
    with st.container(horizontal=True, key="tour_buttons"):
        st.button(
            "Restore my palette",
            key="tour_restore",
            type="primary",
            icon=":material/history:",
            on_click=_close,
            args=(True,),
        )
        st.button("Keep this one", key="tour_keep", on_click=_close, args=(False,))


def _apply_stop(stop: TourStop) -> None:
    palette_state.apply(stop.palette, "Set by the tour.")


def _go(step: int) -> None:
    tour = current_tour()
    if tour is None:
        return
    tour = replace(tour, position=min(max(tour.position + step, 0), len(tour.stops)))
    TOUR.set(tour)
    if tour.over:
        _end()
    else:
        _apply_stop(tour.stops[tour.position])


def _end() -> None:
    tour = current_tour()
    if tour is None:
        return
    if palette_state.history().now == tour.own:
        TOUR.pop()
    else:
        TOUR.set(replace(tour, position=len(tour.stops)))


def _close(restore: bool) -> None:
    tour = TOUR.pop()
    if restore and tour is not None:
        palette_state.apply(tour.own, "Restored the palette from before the tour.")
