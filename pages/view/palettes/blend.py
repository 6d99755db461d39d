"""Blends of two palettes: a slider from one to the other, and what each mixture gives and costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from map_core.analysis.interpolation import Interpolation, PalettePair, interpolate
from map_core.core.jobs import Job
from map_core.figures import theme
from map_core.figures.interpolation import blend, blends_csv, summary
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target
from map_core.palettes.presets import presets
from map_core.text import sentences
from pages.view.palettes import markup as marks
from pages.view.palettes import shared
from pages.view.palettes.side_by_side import pinned_of_table
from pages.view.session import header, palette_cache, palette_state
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.shell import background, markup, wording
from pages.view.shell.download import draw_download
from pages.view.shell.session_keys import Key

FROM: Key[str] = Key("blend_from", "")
TO: Key[str] = Key("blend_to", "")

OWN = "Your palette"
POINTS = 21


@dataclass(frozen=True)
class BlendEnd:
    """A palette that can be an end of a blend."""

    name: str
    palette: Palette


def blend_ends(own: AssessedPalette, saved: list[BlendEnd]) -> dict[str, BlendEnd]:
    """Return the palettes that can be blended, by label: the current, the pinned, the saved ones, and the presets."""
    offered = [(OWN, BlendEnd(OWN, own.palette))]
    offered += [(f"{palette.name} (pinned)", BlendEnd(palette.name, palette.palette)) for palette in pinned_of_table()]
    offered += [(f"{palette.name} (saved)", palette) for palette in saved]
    scene, use_case = own.scene, own.palette.use_case
    offered += [
        (f"{palette.name} (preset)", BlendEnd(palette.name, palette.palette))
        for palette in presets(scene.table.values, scene.names, use_case)
    ]
    ends: dict[str, BlendEnd] = {}
    for label, end in offered:
        number, unique_label = 2, label
        while unique_label in ends:
            unique_label, number = f"{label} {number}", number + 1
        ends[unique_label] = end
    return ends


def draw_blend(own: AssessedPalette, saved: list[BlendEnd]) -> None:
    """Draw the two choices, the slider, what the mixture gives, and the chart of all mixtures."""
    st.header("Between two palettes")
    offered = blend_ends(own, saved)
    labels = list(offered)
    with st.container(horizontal=True, vertical_alignment="bottom", key="blend_controls"):
        for key, index in ((FROM, 0), (TO, 1)):
            if key.get() not in labels:
                key.set(labels[min(index, len(labels) - 1)])
        first = st.selectbox("From", labels, key=FROM.name, persist_state="session")
        second = st.selectbox("To", labels, key=TO.name, persist_state="session")
        share = st.slider(
            "Share of the second", 0, 100, 50, step=5, format="%d%%", key="blend_share", persist_state="session"
        )
    if first == second:
        st.html(markup.note("Choose two different palettes."))
        return
    a, b = (offered[str(label)] for label in (first, second))
    scene = own.scene
    palettes = [_levels_in(end.palette, own.palette.use_case) for end in (a, b)]
    if any(end.palette.asks_beyond_averages for end in (a, b)):
        st.html(markup.note("Only levels are blended, not what a palette asks for beyond averages."))
    if any(end.palette.use_case != own.palette.use_case for end in (a, b)):
        st.html(markup.note(f"Both are applied to {own.palette.use_case}, at the same levels out of 100."))
    pair = PalettePair(*(palette_cache.assessed_palette(scene, palette).assessment for palette in palettes))

    def work(job: Job) -> Interpolation:
        return interpolate(scene.oracle, pair, scene.assess, POINTS, job.check)

    job = background.job("blend", (scene.key, pair.key()), work)
    mixed = _mixed(scene, own.palette, palettes, pair, share)
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        _draw_mixture(mixed, a, b, share)
    with right:
        background.poll(job, lambda job: _draw_chart(job, mixed, (a, b), share))


def _levels_in(palette: Palette, use_case: str) -> Palette:
    """Return the levels that a palette asks for, in another use case where that is not its own."""
    levels = replace(palette, columns={}, beside=Beside())
    return levels if palette.use_case == use_case else palette_state.in_use_case(levels, use_case)


def _mixed(scene: Scene, now: Palette, ends: list[Palette], pair: PalettePair, share: int) -> AssessedPalette:
    """Return the mixture as a palette: at an end that palette itself, between them exact levels without locks."""
    if share in (0, 100):
        return palette_cache.assessed_palette(scene, shared.completed(ends[1 if share else 0]))
    targets = pair.targets(share / 100)
    empty = {name: Target(now.targets[name].percentile, free=True) for name in scene.table.values}
    levels = replace(now, targets=empty, columns={}, beside=Beside())
    mixed = palette_state.with_levels(scene, levels, targets)
    return palette_cache.assessed_palette(scene, mixed)


def _draw_mixture(mixed: AssessedPalette, a: BlendEnd, b: BlendEnd, share: int) -> None:
    """Draw what the mixture asks for, gives and costs."""
    with st.container(border=True, key="blend_mixture"):
        st.html(marks.name(f"{100 - share}% {a.name}, {share}% {b.name}"))
        header.draw_verdict_badge(mixed.assessment.verdict)
        st.html(
            markup.note(
                shared.price_sentence(mixed)
                or sentences.verdict(mixed.assessment, mixed.scene.oracle, mixed.scene.names, wording.current())
            )
        )
        st.html(marks.levels(mixed))
        st.button(
            "Use this blend",
            key="blend_use",
            type="primary",
            icon=":material/input:",
            on_click=shared.use_palette,
            args=(mixed.palette, f"Switched to a blend: {100 - share}% {a.name}, {share}% {b.name}."),
        )


def _draw_chart(job: Job, mixed: AssessedPalette, two_ends: tuple[BlendEnd, BlendEnd], share: int) -> None:
    interpolation: Interpolation | None = background.draw_state(
        job, "The blends could not be computed", "Computing the blends."
    )
    if interpolation is None:
        return
    scene = mixed.scene
    units = scene.units()
    values = [j for j in range(len(scene.names)) if not np.isnan(interpolation.targets[:, j]).all()]
    st.html(markup.legend([(j, scene.names[j]) for j in values], scene.theme))
    st.plotly_chart(
        blend(interpolation, units, values, share / 100, scene.theme),
        key="blend_chart",
        config=theme.CONFIG,
        alt=f"Levels and cost on the way from {two_ends[0].name} to {two_ends[1].name}. The same in words below.",
    )
    st.html(
        markup.note(
            "A blend of two possible palettes is possible as well, and costs at most the same blend of both costs."
        )
    )
    with st.expander("In words"):
        for sentence in summary(interpolation, units, values, (two_ends[0].name, two_ends[1].name)):
            st.text(sentence)
    draw_download(blends_csv(interpolation, scene.oracle), "palettes-blend", "blend_csv")
