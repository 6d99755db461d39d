"""Evidence: forecasts compared with what was delivered on prompts that the weights were not solved on."""

from __future__ import annotations

import streamlit as st

from map_core.figures import delivery, theme
from map_core.text import sentences
from pages.view.session import header, palette_state
from pages.view.session import scene as scenes
from pages.view.shell import glossary, markup
from pages.view.shell.download import draw_download
from pages.view.studies.certify import draw_promise, draw_reach, draw_standing
from pages.view.studies.evidence import DeliveryEvidence, find_evidence
from pages.view.studies.tuned import draw_tuned

scene, mine = palette_state.current_counted()
header.draw_header(
    "Evidence",
    "Do replies keep what the faders promise? Forecasts, compared with new replies to other prompts.",
    use_case=False,
)
palette_state.draw_undo_line()
with st.container(key="evidence_promise"):
    draw_promise(scene, palette_state.standardised(scene, mine), mine.beside.any_mix or 0.0)
    draw_reach(scene, mine)
    draw_standing(scenes.table_path())
evidence: DeliveryEvidence | None = find_evidence(scene)
if evidence is None:
    st.html(
        markup.note("There is no study to show yet. This makes one, and takes as long as the model needs to reply:")
    )
    st.code("python -m map_core verify --study assets/delivery.json", language=None, wrap_lines=True)
    draw_tuned()
    st.stop()
if not evidence.of_this_table:
    st.warning(
        "This study was made on another table than the one that is open. It shows what the method delivers, not what "
        "your own table will. Whoever runs this app can have yours studied, by:",
        icon=":material/info:",
    )
    st.code(evidence.command, language=None, wrap_lines=True)
shown = evidence.graded
with st.container(key="evidence"):
    st.header("What other palettes delivered")
    if answer := delivery.answer_sentence(evidence.study, evidence.comparisons):
        st.html(markup.lead(answer))
    st.html(markup.facts(delivery.facts(evidence.study, shown.wording)))
    st.html(markup.note(delivery.method_sentence(evidence.study)))
    if comparisons := delivery.comparisons_sentence(evidence.comparisons):
        st.html(markup.note(comparisons))
    if not_improved := delivery.not_improved_sentence(evidence.study, shown.wording):
        st.html(markup.note(not_improved))
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        st.header("Forecast and delivery", help=glossary.help_text("forecast", "delivery", "held-out"))
        st.html(
            markup.note(
                "Each mark is one value of one palette and the interval that should hold its level 90% of the time. "
                "On the dashed line the replies gave what was forecast. Grey crosses are "
                + shown.wording.pick(
                    "the published pooled weights.", "the paper's weights, solved on all prompts together."
                )
            )
        )
        st.plotly_chart(
            delivery.overview(shown),
            key="overview",
            config=theme.CONFIG,
            alt="Forecast and realised levels of every palette, with intervals, beside those of pooled weights",
        )
    with right:
        st.header("Value by value")
        st.html(markup.levels_table(*delivery.by_value(shown), theme=shown.theme))
        st.html(
            markup.note(
                "Expected: over all candidates of a prompt, by their probabilities. Picked: of the one reply that is "
                "shown. More than 100%: a value rises by itself when others do, or the new replies were better by "
                "chance."
            )
        )
        st.html(markup.note(delivery.paper_sentence()))
with st.container(key="evidence_palette"):
    st.header("One palette")
    number = int(
        st.selectbox(
            "Palette",
            range(len(shown.delivery.asked)),
            format_func=shown.title,
            index=evidence.first,
            key="evidence_number",
            persist_state="session",
        )
    )
    st.plotly_chart(
        delivery.palette(shown, number),
        key=f"palette_{number}",
        config=theme.CONFIG,
        alt=f"Target, forecast with its interval, and realised level of each value: {shown.title(number)}",
    )
    with st.expander("In words"):
        st.text(sentences.capitalised(f"{shown.axis}, averaged over all halvings."))
        for sentence in delivery.summary(shown, number):
            st.text(sentence)
    draw_download(delivery.delivery_csv(shown), "delivery", "delivery_csv")
draw_tuned()
