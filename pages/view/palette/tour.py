"""The tour: a strip above the desk that moves real faders, one stop after another, and says what to look at.

Every palette is set by :func:`palette_state.apply`, so that the real solver answers and undo works; every figure in the
text is taken from what the desk shows. Constraint: drawn in the desk's own fragment, so that the text follows the
faders.
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
    """Where a viewer is on the tour.

    Args:
        stops: in order.
        place: the stop in force; the number of stops once it has ended.
        own: the viewer's palette from before.
    """

    stops: tuple[TourStop, ...]
    place: int
    own: Palette

    @property
    def over(self) -> bool:
        """Whether it has ended; the palette from before can still be had back."""
        return self.place >= len(self.stops)


def current_tour() -> Tour | None:
    """Return the tour of this viewer, None when there is none."""
    return TOUR.get()


def start() -> None:
    """Begin at the first stop; nothing where the table has nothing to move."""
    palette = palette_state.history().now
    stops = tour_stops.stops(scenes.load(palette.use_case))
    if stops:
        TOUR.set(Tour(stops, 0, palette))
        _apply_stop(stops[0])


def draw_tour(live: LiveAnswer) -> None:
    """Draw the strip, while there is a tour; its buttons move faders before anything is drawn."""
    # Always one container, so that the desk below keeps its place on the page and is not mounted anew.
    with st.container(key="tour_place", gap=None):
        if tour := current_tour():
            _draw_strip(tour, live)
            stop = None if tour.over else tour.stops[tour.place]
            _mount(key="tour_script", data={"stop": str(tour.place), "parts": shown_parts(stop, live)})


def shown_parts(stop: TourStop | None, live: LiveAnswer) -> list[str]:
    """Return what a stop speaks of, as selectors of parts of the page, the first of them to be looked at first."""
    if stop is None or stop.kind is StopKind.NEXT:
        return []
    if stop.kind is StopKind.HEAR:
        return [".vp-example"]
    names = live.scene.table.values
    rows = [f".vp-desk [data-value={json.dumps(names[j])}], .st-key-value_{j}" for j in stop.values]
    if stop.kind is StopKind.DROP:
        return rows[::-1]
    return [".st-key-verdict", *rows] if stop.kind is StopKind.CONFLICT else rows


def _draw_strip(tour: Tour, live: LiveAnswer) -> None:
    with st.container(border=True, key="tour"):
        if tour.over:
            _draw_end()
            return
        stop = tour.stops[tour.place]
        progress = f"{tour.place + 1} of {len(tour.stops)}"
        st.html(
            markup.region(
                "Tour", tour_text.stop_title(stop, live.scene.names), progress, tour_text.stop_sentences(stop, live)
            )
        )
        with st.container(horizontal=True, vertical_alignment="center", key="tour_buttons"):
            last = tour.place + 1 == len(tour.stops)
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
                disabled=tour.place == 0,
            )
            if not last:
                st.button("End the tour", key="tour_end", type="tertiary", on_click=_end)
            else:
                for name, title, icon in NEXT_PAGES:
                    st.page_link(f"{name}.py", label=title, icon=icon)


def _draw_end() -> None:
    """Draw the way back to the palette from before."""
    st.html(
        markup.region(
            "Tour",
            "The tour has ended",
            "",
            ["The palette of the last stop is on the desk. The one that you had before can come back."],
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
    tour = replace(tour, place=min(max(tour.place + step, 0), len(tour.stops)))
    TOUR.set(tour)
    if tour.over:
        _end()
    else:
        _apply_stop(tour.stops[tour.place])


def _end() -> None:
    tour = current_tour()
    if tour is None:
        return
    if palette_state.history().now == tour.own:
        TOUR.pop()
    else:
        TOUR.set(replace(tour, place=len(tour.stops)))


def _close(restore: bool) -> None:
    tour = TOUR.pop()
    if restore and tour is not None:
        palette_state.apply(tour.own, "Brought back the palette from before the tour.")
