"""One floor that every reply keeps: never less of a value than a part of the model's own replies."""

from __future__ import annotations

import streamlit as st

from map_core.core import amounts
from map_core.generation.choice import Choice
from map_core.text import protections, sentences
from pages.view.session.scene import Scene
from pages.view.shell.session_keys import Key

VALUE: Key[str | None] = Key("floor_value", None)
PART: Key[str] = Key("floor_part", "p20")


def floors(scene: Scene) -> dict[str, float]:
    """Return the floor that is set, in reward units by value; none where there is none, or no scorer for it."""
    value = VALUE.get()
    if value is None or value not in scene.table.values[: scene.plain]:
        return {}
    j = scene.table.index(value)
    return {value: scene.percentiles.level(j, float(PART.get().removeprefix("p")))}


def draw_control(scene: Scene) -> None:
    """Draw the value and the part of its replies that no reply may be among."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="floor_controls"):
        values: list[str | None] = [None, *scene.table.values[: scene.plain]]
        if VALUE.get() not in values:
            VALUE.pop()
        st.selectbox(
            "Every reply, no worse on",
            values,
            format_func=lambda place: "no value" if place is None else sentences.capitalised(scene.weight_title(place)),
            key=VALUE.name,
            persist_state="session",
            help="Each reply is chosen among the candidates that keep this; where none does, the nearest one answers "
            "and the page says so. It holds for replies that are generated from now on.",
        )
        st.selectbox(
            "than",
            list(protections.PARTS),
            index=list(protections.PARTS).index(PART.default),
            format_func=protections.threshold_text,
            key=PART.name,
            persist_state="session",
            disabled=VALUE.get() is None,
        )


def said(scene: Scene, choice: Choice | None) -> str:
    """Return what the floor came to for a reply; "" without one."""
    if choice is None or choice.floors is None:
        return ""
    check = choice.floors
    names = sentences.listed([scene.weight_title(name) for name in check.floors])
    if check.met:
        count = f"{sum(check.met_by)} of {len(check.met_by)} candidates keep it"
        return f"The floor for every reply on {names} is kept: {count}, and one of these answers."
    missed = sentences.listed(
        [f"{scene.weight_title(name)} by {amounts.significant(short, 3)}" for name, short in check.missed.items()]
    )
    return f"No candidate keeps the floor for every reply on {names}: the nearest answers, and misses {missed}."
