"""The card of a value: what it measures and misses, how far to trust it, and its distribution on the open table.

Constraint: replies are shown as text; every figure comes with its words and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from map_core.data.shown_replies import shown_reply
from map_core.figures import theme
from map_core.figures import value_profile as figures
from map_core.scoring.pairwise import trust_level
from map_core.scoring.profile import ExampleReply, ValueProfile, extreme_replies, value_profile
from map_core.scoring.validation import separations
from map_core.text import sentences
from pages.view.session import people_labels, scorer_cards
from pages.view.session import scene as scenes
from pages.view.shell import markup, wording
from pages.view.shell.replies import draw_reply
from pages.view.values import markup as marks
from pages.view.values import people
from pages.view.values.state import CustomValue, ValuesView


def draw_card_title(view: ValuesView, name: str) -> None:
    """Draw the name, colour and kind of a value."""
    own = view.own_named(name)
    if own is None:
        tags = ["of this table"]
    else:
        trained = "trained" if own.value.definition.head else ""
        value = own.value
        whose = "your own" if value.owner in ("", view.database.visitor.id) else f"of {value.owner_name or 'somebody'}"
        tags = [whose, f"version {own.value.version}", trained, "in use" if own.used else ""]
    st.html(marks.title(view.title(name), view.tint(name), tags))


def draw_card(view: ValuesView, name: str) -> None:
    """Draw the card below its title."""
    own = view.own_named(name)
    if own is not None and own.rewards is None:
        return
    table = view.portrayed
    profile = value_profile(table, name)
    if own is None:
        _draw_trust(name)
        people.draw_people(view, name)
    else:
        _draw_extremes(view, name)
    _draw_facts(view, name, own, profile)
    _draw_spread(view, name, profile)
    _draw_correlations(view, profile)
    if own is None:
        _draw_ladder(view, profile.rungs)


def _draw_trust(name: str) -> None:
    """Draw how far to trust a value of the table, from labels."""
    of_table = _quality(name)
    separation = of_table.separations.get(name)
    if separation is None:
        st.html(marks.word(None, scorer_cards.agreement_sentence(of_table, name)))
    else:
        st.html(
            marks.word(trust_level(separation.auc, separation.low), scorer_cards.agreement_sentence(of_table, name))
        )


def _quality(name: str) -> scorer_cards.ScorerQuality:
    """Return how well the table's scorers agree with labels; for this value including those given on the page."""
    quality = scorer_cards.scorer_quality()
    of_value = [label for label in people_labels.given() if name in label.labels]
    if len(of_value) == sum(name in label.labels for label in quality.given):
        return quality
    only = [replace(label, labels={name: label.labels[name]}) for label in of_value]
    return replace(quality, separations={**quality.separations, **separations(scenes.load().table, only)})


def _draw_facts(view: ValuesView, name: str, own: CustomValue | None, profile: ValueProfile) -> None:
    entry = _entry(view, name)
    if not entry:
        st.html(markup.note("This table does not say how this value was scored."))
    area, basis = _area(name, own)
    source = wording.current().pick(str(entry.get("source") or ""), "")
    facts = [
        ("Measures", entry.get("measures"), ""),
        ("Misses", entry.get("misses"), ""),
        ("Reading", entry.get("reading"), ""),
        (wording.current().pick("AUC", "Agrees with people"), area, basis),
        ("Within a prompt", *_within(name, own)),
        ("Length", figures.length_sentence(profile, wording.current()), ""),
        ("Scorer", source, f"version {entry['version']}" if entry.get("version") else ""),
        ("Licence", entry.get("licence"), ""),
    ]
    st.html(marks.facts([(label, str(text), small) for label, text, small in facts if text]))


def _area(name: str, own: CustomValue | None) -> tuple[str, str]:
    """Return the AUC, and the number of labels behind it."""
    if own is None:
        separation = _quality(name).separations.get(name)
        if separation is None:
            return "Not known", "nobody has labelled replies of this table for it"
        return (
            _agreement(separation.auc, separation.low, separation.high),
            f"95% interval, {scorer_cards.labels_basis(separation)}",
        )
    agreement = own.agreement
    if agreement is None:
        return "Not known", "no pair has been judged yet"
    how = ", cross-validated" if agreement.cross_validated else ""
    return (
        _agreement(agreement.auc, agreement.low, agreement.high),
        f"95% interval, from {agreement.decided} judged pairs{how}",
    )


def _agreement(auc: float, low: float, high: float) -> str:
    return wording.current().agreement(auc, low, high).removeprefix("AUC ").removeprefix("agrees with people ")


def _within(name: str, own: CustomValue | None) -> tuple[str, str]:
    """Return the AUC between two replies to one prompt and its basis; "" for custom values, whose AUC is that one."""
    separation = _quality(name).separations.get(name) if own is None else None
    if separation is None or separation.within is None:
        return "", ""
    return (
        scorer_cards.within_figure(separation),
        f"{wording.current().pick('AUC between', 'between')} two replies to one prompt, "
        f"{scorer_cards.within_basis(separation)}",
    )


def measures(view: ValuesView, name: str) -> str:
    """Return what a higher score of a value means, a sentence; "" where that is not known."""
    return str(_entry(view, name).get("measures") or "")


def _entry(view: ValuesView, name: str) -> dict[str, Any]:
    return scenes.value_cards(view.portrayed.metadata).get(name, {})


def _draw_extremes(view: ValuesView, name: str) -> None:
    """Draw the replies with the highest and the lowest scores side by side."""
    high, low = extreme_replies(view.portrayed, name)
    with st.container(horizontal=True, gap="medium", key="values_ends"):
        for end, rungs in (("most", high), ("least", low)):
            with st.container(gap="small", key=f"values_end_{end}"):
                st.subheader(f"Has the {end} of it", anchor=False)
                for rung in rungs:
                    _draw_rung(view, rung, f"{end}_{rung.row}")


def _draw_ladder(view: ValuesView, rungs: Sequence[ExampleReply]) -> None:
    if not rungs:
        return
    st.subheader("What it sounds like, from low to high", anchor=False)
    for number, rung in enumerate(rungs):
        _draw_rung(view, rung, str(number))


def _draw_rung(view: ValuesView, rung: ExampleReply, key: str) -> None:
    table = view.portrayed
    prompt = table.prompts[table.prompt_of(rung.row)]
    sign = "+" if rung.standardised > 0 else ""
    with st.container(key=f"values_rung_{key}", gap=None):
        st.html(
            marks.rung(
                _percentile_text(rung.percentile),
                wording.current().pick(
                    f"({sign}{sentences.number(rung.standardised, 2)} standard deviations), asked: {prompt}",
                    f"asked: {prompt}",
                ),
            )
        )
        draw_reply(shown_reply(table, rung.row))


def _percentile_text(percentile: float) -> str:
    """Return the percentile of a reply in words."""
    reading = wording.current()
    if not reading.numbers:
        return sentences.capitalised(sentences.better_than(percentile))
    if percentile > 99:
        return "above p99"
    return "below p1" if percentile < 1 else reading.level(percentile)


def _draw_spread(view: ValuesView, name: str, profile: ValueProfile) -> None:
    st.subheader("How it is spread over the replies", anchor=False)
    if not profile.constant:
        figure = figures.spread(profile, view.title(name), view.tint(name), wording.current())
        st.plotly_chart(figure, config=theme.CONFIG, key=f"values_spread_{name}")
    st.html(markup.note(figures.spread_sentence(profile, wording.current())))
    st.download_button(
        "Data (CSV)",
        figures.profile_csv(profile),
        f"{name}.csv",
        "text/csv",
        icon=":material/download:",
        type="tertiary",
        key="values_csv",
        on_click="ignore",
    )


def _draw_correlations(view: ValuesView, profile: ValueProfile) -> None:
    """Draw the correlations with other values, and a warning where two are nearly the same."""
    if not profile.correlations:
        return
    st.subheader("What it goes together with", anchor=False)
    names = {other: view.title(other) for other, _ in profile.correlations}
    for warning in figures.duplicate_warnings(profile, names, wording.current()):
        st.warning(markup.plain(warning), icon=":material/join:")
    st.html(
        marks.table(
            [
                (view.tint(other), names[other], sentences.number(size, 2), figures.correlation_text(size))
                for other, size in profile.correlations
            ],
            wording.current().numbers,
        )
    )
