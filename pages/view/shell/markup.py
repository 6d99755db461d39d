"""The look that config.toml cannot give: one style sheet, and the small pieces of markup that use it.

Constraint: markup is made here only, and everything in it that is not ours is escaped; replies are drawn by
:mod:`pages.view.shell.replies`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from mimetypes import guess_type

import streamlit as st

from map_core.core import amounts
from map_core.core.assets import ASSETS
from map_core.core.types import Verdict
from map_core.figures.theme import DEFAULT_THEME, Theme, dash


def apply() -> None:
    """Put the style sheets and the logo on the page."""
    for sheet in sorted(ASSETS.glob("style*.css")):
        st.html(sheet)
    st.logo(ASSETS / "logo.svg", size="large")


def headline(verdict: Verdict, title: str, sentence: str) -> str:
    """Return the verdict: an icon, its name, and what it means."""
    return (
        f'<div class="vp-verdict vp-{verdict.value}" role="status" id="answer">'
        '<i class="vp-icon" aria-hidden="true"></i>'
        f"<div><h2>{escape(title)}</h2><p>{escape(sentence)}</p></div></div>"
    )


def strip(verdict: Verdict, title: str) -> str:
    """Return the verdict in one line, in sight on a narrow screen while the sliders move; it leads to the rest."""
    return (
        f'<a class="vp-strip vp-{verdict.value}" href="#answer"><i class="vp-icon" aria-hidden="true"></i>'
        f"<b>{escape(title)}</b><span>Why, and what it costs</span></a>"
    )


def rail_key() -> str:
    """Return what the marks under a slider mean."""
    return (
        '<div class="vp-key"><span><i class="vp-tick"></i>base model</span>'
        '<span><i class="vp-dot"></i>what your palette gives</span></div>'
    )


def value_colours(values: int, theme: Theme) -> str:
    """Return a rule a row of the desk: the edge of each value's row has its colour."""
    return (
        "<style>"
        + "".join(f".st-key-value_{j} {{ border-left-color: {theme.colour(j)}; }}" for j in range(values))
        + "</style>"
    )


def facts(pairs: Sequence[tuple[str, str, str]]) -> str:
    """Return a row of (label, figure, what it means)."""
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd><b>{escape(figure)}</b><span>{escape(meaning)}</span></dd></div>"
        for label, figure, meaning in pairs
        if figure
    )
    return f'<dl class="vp-facts">{cells}</dl>'


def swatch(value: int, theme: Theme) -> str:
    """Return the mark of a value's colour."""
    return f'<i class="vp-swatch" style="background:{theme.colour(value)}"></i>'


def legend(items: Sequence[tuple[int, str]], theme: Theme) -> str:
    """Return the line of each value, as the sweep's figures draw it."""
    kinds = {"solid": "solid", "dash": "dashed", "dot": "dotted"}
    return (
        '<div class="vp-chips">'
        + "".join(
            f'<span><i class="vp-line" style="border-top:3px {kinds[dash(value)]} {theme.colour(value)}"></i>'
            f"{escape(text)}</span>"
            for value, text in items
        )
        + "</div>"
    )


def levels_table(
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    wide: bool = False,
    theme: Theme = DEFAULT_THEME,
) -> str:
    """Return a table with a value a row; each row is (position of the value, cells), one of no value has no colour: -1.

    A wide one scrolls on a narrow screen, and does so by the keyboard too.
    """
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row">{swatch(value, theme) if value >= 0 else ""}{escape(cells[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:])
        + "</tr>"
        for value, cells in rows
    )
    table = f'<table class="vp-levels"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="vp-scroll"{" tabindex=0" if wide else ""}>{table}</div>'


def rail(value: int, base: float, realised: float | None, label: str, theme: Theme) -> str:
    """Return where base and realised level lie along a slider.

    Args:
        value: position of the value, for its colour.
        base: base level, as a share of the slider's way from 0 to 1.
        realised: realised level likewise; None when there is none.
        label: the same in words, for those who do not see it.
        theme: colours of the values.
    """
    start = 100 * min(max(base, 0.0), 1.0)
    marks = f'<span class="vp-base" style="left:{amounts.fixed(start, 2)}%"></span>'
    if realised is not None:
        end, of_value = 100 * min(max(realised, 0.0), 1.0), f"background:{theme.colour(value)}"
        left, width = amounts.fixed(min(start, end), 2), amounts.fixed(abs(end - start), 2)
        marks += f'<span class="vp-gain" style="left:{left}%;width:{width}%;{of_value}"></span>'
        marks += f'<span class="vp-realised" style="left:{amounts.fixed(end, 2)}%;{of_value}"></span>'
    return f'<div class="vp-rail" role="img" aria-label="{escape(label, quote=True)}">{marks}</div>'


def readout(target: str, meaning: str) -> str:
    """Return the target of a slider in figures and in words."""
    return f'<div class="vp-readout"><b>{escape(target)}</b> <span>{escape(meaning)}</span></div>'


def question(text: str, place: str) -> str:
    """Return what is asked of two replies, and how far one is."""
    return f'<h2 class="vp-question"><span>{escape(text)}</span><span class="vp-tag">{escape(place)}</span></h2>'


def note(text: str) -> str:
    """Return a quiet line."""
    return f'<p class="vp-note">{escape(text)}</p>'


def lead(text: str) -> str:
    """Return what a page has found, in a sentence that is read first."""
    return f'<p class="vp-lead">{escape(text)}</p>'


def confirmation(text: str) -> str:
    """Return what was just done, for eyes and for those who listen."""
    return f'<p class="vp-done" role="status">{escape(text)}</p>'


def alarm(text: str) -> str:
    """Return what stops somebody, in red; nothing without a text."""
    return f'<p class="vp-alarm" role="alert">{escape(text)}</p>' if text else ""


def chips(items: Sequence[tuple[int, str]], theme: Theme) -> str:
    """Return small labels, a value each; one of no value has no colour. Nothing when there are none."""
    if not items:
        return ""
    return (
        '<div class="vp-chips">'
        + "".join(f"<span>{swatch(value, theme) if value >= 0 else ''}{escape(text)}</span>" for value, text in items)
        + "</div>"
    )


def plain(text: str) -> str:
    """Return text without anything that Markdown would read."""
    return "".join("\\" + letter if letter in "\\`*_{}[]()#+-.!:$<>|~" else letter for letter in text)


def name(text: str, tag: str = "") -> str:
    """Return what somebody has named, with a small mark of its state."""
    mark = f'<span class="vp-tag">{escape(tag)}</span>' if tag else ""
    return f'<div class="vp-name"><b>{escape(text)}</b>{mark}</div>'


def region(label: str, title: str, progress: str, sentences: Sequence[str]) -> str:
    """Return a landmark with a title, how far it is, and some sentences."""
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in sentences)
    of = f'<span class="vp-tag">{escape(progress)}</span>' if progress else ""
    named = escape(f"{label}, {progress}: {title}" if progress else f"{label}: {title}", quote=True)
    heading = f"<h2>{escape(title)}{of}</h2>"
    return f'<section class="vp-region" role="region" aria-label="{named}">{heading}{paragraphs}</section>'


def image(name: str, alt: str) -> str:
    """Return a picture of our own from assets/, and its meaning in words."""
    kind, drawn = guess_type(name)[0], b64encode((ASSETS / name).read_bytes()).decode()
    return f'<img class="vp-picture" src="data:{kind};base64,{drawn}" alt="{escape(alt, quote=True)}">'


def steps(items: Sequence[tuple[str, str]]) -> str:
    """Return numbered steps, (title, sentence) each, side by side where there is room."""
    cells = "".join(f"<li><b>{escape(title)}</b><span>{escape(text)}</span></li>" for title, text in items)
    return f'<ol class="vp-steps">{cells}</ol>'
