"""A floor for every reply: no reply has less of a value than a given part of the model's own replies."""

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
    """Return the floor that is set, in reward units by value; empty where there is none."""
    value = VALUE.get()
    if value is None or value not in scene.table.values[: scene.plain]:
        return {}
    j = scene.table.index(value)
    return {value: scene.percentiles.level(j, float(PART.get().removeprefix("p")))}


def draw_control(scene: Scene) -> None:
    """Draw the choice of the value and of the level that no reply may fall below."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="floor_controls"):
        values: list[str | None] = [None, *scene.table.values[: scene.plain]]
        if VALUE.get() not in values:
            VALUE.pop()
        st.selectbox(
            "Every reply, no worse on",
            values,
            format_func=lambda name: "no value" if name is None else sentences.capitalised(scene.weight_title(name)),
            key=VALUE.name,
            persist_state="session",
            help="Each reply is chosen among the candidates that keep this. Where none does, the nearest one is used "
            "and the page says so. It applies to replies that are generated from now on.",
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


def outcome_sentence(scene: Scene, choice: Choice | None) -> str:
    """Return whether the floor is kept for a reply; "" without a floor."""
    if choice is None or choice.floors is None:
        return ""
    check = choice.floors
    names = sentences.listed([scene.weight_title(name) for name in check.floors])
    if check.met:
        count = f"{sum(check.met_by)} of {len(check.met_by)} candidates keep it"
        return f"The floor for every reply on {names} is kept: {count}, and one of these is used."
    missed = sentences.listed(
        [f"{scene.weight_title(name)} by {amounts.significant(short, 3)}" for name, short in check.missed.items()]
    )
    return f"No candidate keeps the floor for every reply on {names}: the nearest one is used, and misses {missed}."
