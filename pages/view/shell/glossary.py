"""Help texts, popovers and the list of terms, all from the one glossary."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from map_core.text.glossary import Term, search_terms, term
from map_core.text.wording import Wording
from pages.view.shell import markup, wording

#: The terms that a page uses, by its title.
PAGE_TERMS = {
    "Set": (
        "value",
        "percentile",
        "target",
        "base model",
        "verdict",
        "possible, but not reliable",
        "best of N",
        "nats",
        "hardest target",
        "keep",
        "may drop",
        "no preference",
        "locked",
    ),
    "Choose": ("value", "target", "base model", "palette", "interval"),
    "Values": (
        "value",
        "value of your own",
        "scorer",
        "reward",
        "judging pairs",
        "reliable",
        "trained version",
        "AUC",
        "AUC within a prompt",
        "interval",
        "rank correlation",
        "target",
    ),
    "Explore": ("frontier", "trade-off", "budget", "nats", "shadow price", "sensitivity", "slack", "interval"),
    "Listen": ("base model", "aligned model", "candidate", "weights", "effective sample size", "nats", "forecast"),
    "Library": ("palette", "target", "use case", "weights", "distance", "best of N"),
    "Agree": ("group", "conflict", "satisfaction", "common palette", "budget", "nats"),
    "Sequence": ("round", "level", "weights", "distance", "nats"),
    "Baselines": ("target", "weights", "level", "distance", "nats"),
    "Tables": (
        "reward table",
        "table of your own",
        "build",
        "prompt",
        "candidate",
        "token",
        "seed",
        "use case",
        "held-out",
        "margin",
        "effective sample size",
        "interval",
    ),
    "Tune": ("palette", "target", "base model", "forecast", "held-out", "prompt", "token", "nats"),
    "Evidence": ("forecast", "delivery", "held-out", "interval", "pooled", "candidate"),
    "Report": ("palette", "verdict", "level", "interval", "distance", "certificate"),
}


def help_text(*names: str) -> str:
    """Return the text of a ``help=`` argument for one term or several, as Markdown.

    Raises:
        InputError: the glossary lacks a name.
    """
    shown = wording.current()
    terms = [term(name) for name in names]
    return "\n\n".join(
        f"**{_heading(entry.name)}:** {markup.plain(entry.sentence(shown))}"
        for entry in terms
        if shown.numbers or not entry.numbers
    )


def draw_page_terms(title: str) -> None:
    """Draw the popover that explains the terms of a page; nothing for a page without any."""
    if title not in PAGE_TERMS:
        return
    with st.popover("Glossary", icon=":material/menu_book:", type="tertiary", key="words"):
        _draw_entries(search_terms("", PAGE_TERMS[title], wording.current()))
        st.page_link("how.py", label="How it works, and all terms", icon=":material/functions:")


def draw_glossary() -> None:
    """Draw all terms, with a field to search them."""
    shown = wording.current()
    placeholder = shown.pick("nats, frontier, target", "effort, frontier, target")
    entries = search_terms(st.text_input("Find a word", key="glossary_search", placeholder=placeholder), (), shown)
    if not entries:
        st.html(markup.note("No term matches. A shorter text finds more."))
    left, right = st.columns(2, gap="large")
    middle = (len(entries) + 1) // 2
    for column, half in ((left, entries[:middle]), (right, entries[middle:])):
        with column:
            _draw_entries(half)


def _draw_entries(entries: Sequence[Term]) -> None:
    """Draw terms as one text, a paragraph each: a page with a message for each takes a tenth longer."""
    shown = wording.current()
    if entries:
        st.markdown("\n\n".join(_paragraph(entry, shown) for entry in entries))


def _paragraph(entry: Term, shown: Wording) -> str:
    also = entry.names(shown)
    other = f" ({', '.join(also)})" if also else ""
    formula = f"  \n${entry.formula}$" if entry.formula and shown.numbers else ""
    return f"**{_heading(entry.name)}**{markup.plain(other)}  \n{markup.plain(entry.sentence(shown))}{formula}"


def _heading(name: str) -> str:
    return markup.plain(name[:1].upper() + name[1:])
