"""The current palette and the pinned ones side by side: levels, weights, cost, and an example reply of each."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core.analysis.examples import reply_example
from map_core.core import amounts
from map_core.figures import theme
from map_core.figures.palette_comparison import snapshots, snapshots_csv, summary
from map_core.text import sentences
from pages.view.compare import pinned as pinning
from pages.view.palettes import markup as marks
from pages.view.palettes import shared
from pages.view.palettes.head_to_head import draw_head_to_head
from pages.view.session import header, palette_cache, palette_state
from pages.view.session import scene as scenes
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.shell import confirmation, markup, wording
from pages.view.shell.download import draw_download
from pages.view.shell.replies import draw_reply


def draw_side_by_side(own: AssessedPalette) -> None:
    """Draw the columns, then the chart of all of them."""
    st.header("Side by side")
    named = [("Your palette", own)]
    named += [
        (pinned.name, palette_cache.assessed_palette(scenes.load(pinned.palette.use_case), pinned.palette))
        for pinned in pinned_of_table()
    ]
    if len(named) == 1:
        st.html(
            markup.note(
                "Nothing is pinned, so your palette stands alone. Pin a saved palette or a preset, or pin your palette "
                "here before you change it. What is pinned answers on Listen as well."
            )
        )
    prompt = _prompt(own.scene)
    with st.container(horizontal=True, key="beside"):
        for n, (name, assessed) in enumerate(named):
            with st.container(border=True, key=f"beside_{n}"):
                _draw_column(n, name, assessed, own.scene, prompt)
    columns = [assessed.snapshot(name) for name, assessed in named]
    units = own.scene.units()
    base = np.array([own.scene.percentile(j, 0.0) for j in range(len(own.scene.names))])
    st.html(marks.shapes([name for name, _ in named]))
    st.plotly_chart(
        snapshots(columns, units, base, own.scene.theme),
        key="beside_chart",
        config=theme.CONFIG,
        alt=f"What {sentences.listed([name for name, _ in named])} give of each value, one row per value. "
        "The same in words below.",
    )
    draw_head_to_head(named)
    with st.expander("In words"):
        for sentence in summary(columns, units):
            st.text(sentence)
    draw_download(snapshots_csv(columns, own.scene.table.values), "palettes-side-by-side", "beside_csv")


def pinned_of_table() -> list[pinning.PinnedPalette]:
    """Return the pinned palettes that fit the open table."""
    return [pinned for pinned in pinning.pinned_palettes() if palette_cache.fits_table(pinned.palette)]


def _prompt(scene: Scene) -> int | None:
    """Return the prompt that every palette answers; None for a table without replies."""
    if not scene.table.replies:
        return None
    key = f"beside_prompt_{scene.key[2] or ''}"
    return int(
        st.selectbox(
            "Example prompt",
            scene.examples,
            format_func=scene.table.prompts.__getitem__,
            key=key,
            persist_state="session",
        )
    )


def _draw_column(n: int, name: str, assessed: AssessedPalette, scene: Scene, prompt: int | None) -> None:
    st.html(marks.name(name, shape=n))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"beside_is_{n}"):
        header.draw_verdict_badge(assessed.assessment.verdict)
        if assessed.palette.use_case != scenes.ALL:
            st.html(markup.note(assessed.palette.use_case), width="content")
    shown = wording.current()
    if assessed.solution is None:
        st.html(markup.facts([("Cost", "–", "These levels are not possible together.")]))
    else:
        meaning = (
            "nothing: the base model does this"
            if assessed.kl < amounts.FREE_NATS
            else shown.pick(f"like the best of {amounts.best_of_count(assessed.kl)} drafts", "")
        )
        st.html(markup.facts([("Cost", shown.distance(assessed.kl), meaning)]))
    st.html(marks.levels(assessed))
    if assessed.palette.asks_beyond_averages:
        st.html(markup.note(" ".join(palette_state.asked_beyond_averages(assessed.palette))))
    if prompt is not None:
        _draw_reply(n, assessed, scene, prompt)
    with st.container(horizontal=True, key=f"beside_buttons_{n}"):
        if n == 0:
            shared.draw_pin(
                "beside_pin",
                "beside",
                pinning.next_pin_name(),
                assessed.palette,
                label="Pin as it is now",
                meaning="It stays as it is while you change yours",
            )
            confirmation.draw("beside")
        else:
            st.button(
                "Use",
                key=f"beside_use_{n}",
                icon=":material/input:",
                type="tertiary",
                on_click=shared.use_palette,
                args=(assessed.palette, f"Switched to {name}."),
            )
            st.button(
                "Unpin",
                key=f"beside_unpin_{n}",
                icon=":material/keep_off:",
                type="tertiary",
                on_click=_unpin,
                args=(name,),
            )


def _unpin(name: str) -> None:
    """Unpin by name, since some of the pinned palettes may be of another table and not be shown."""
    pinning.unpin([pinned.name for pinned in pinning.pinned_palettes()].index(name))


def _draw_reply(n: int, assessed: AssessedPalette, scene: Scene, prompt: int) -> None:
    """Draw the likeliest reply of the table under the palette's weights, or the nearest palette's when out of reach."""
    solution = assessed.effective_solution
    weights = np.zeros(len(scene.names))
    if solution is not None and assessed.scene is scene:
        scene, weights = assessed.counted, solution.weights
    elif solution is not None:
        # Convert to weights per reward, and to the units of the use case that is shown.
        of_rewards = np.divide(
            solution.weights[: len(weights)],  # columns of another use case's prompts say nothing of this one's
            assessed.scene.oracle.scale,
            out=np.zeros_like(weights),
            where=~assessed.scene.oracle.constant,
        )
        weights = of_rewards * np.where(scene.oracle.constant, 0.0, scene.oracle.scale)
    example = reply_example(scene.table, scene.oracle, weights, prompt)
    if solution is None:
        caption = "A typical reply of the base model, because no weights give this palette."
    elif not np.any(weights):
        caption = "A typical reply of the base model, which this palette leaves as it is."
    else:
        who = "Likeliest reply" if assessed.solution is not None else "Likeliest reply of the nearest palette"
        under_base = sentences.chance(1 / example.candidates)
        caption = f"{who}: {sentences.chance(example.probability)}, against {under_base} under the base model."
    st.html(markup.note(caption))
    with st.container(key=f"beside_reply_{n}"):
        draw_reply(example.aligned_shown)
