"""The style sheets of the pages, and small pieces of markup that use them.

Constraint: all text that is not constant is escaped; replies are drawn by :mod:`pages.view.shell.replies`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from mimetypes import guess_type

import streamlit as st

from map_core.core import amounts
from map_core.core.assets import ASSETS
from map_core.core.types import Verdict
from map_core.figures.theme import DEFAULT_THEME, Theme, dash


def apply() -> None:
    """Put the style sheets and the logo on the page."""
    st.html(_style("style*.css"))
    st.logo(ASSETS / "logo.svg", size="large")


def apply_only(state: str) -> None:
    """Put the style sheet of a state on the page, for as long as the page or part that calls this is drawn.

    Constraint: what a state changes elsewhere on the page is in a sheet of its own, ``only-STATE.css``, and not in a
    rule like ``.stApp:has(.mark) .bar``. A browser would style the whole page anew for each mark that Plotly draws and
    measures, to see whether that rule still holds.
    """
    # Beside an element, so that it lies where it is drawn: style sheets alone are collected in one place of the page,
    # where what a later run of a fragment adds would replace the sheet that others have put there.
    st.html('<i class="vp-only"></i>' + _style(f"only-{state}.css"))


@cache
def _style(names: str) -> str:
    """Return style sheets as one element, which Streamlit sends to a browser once and then only refers to."""
    sheets = sorted(ASSETS.glob(names))
    return "<style>" + "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets) + "</style>"


def headline(verdict: Verdict, title: str, sentence: str) -> str:
    """Return the verdict: an icon, its name, and what it means."""
    return (
        f'<div class="vp-verdict vp-{verdict.value}" role="status" id="answer">'
        '<i class="vp-icon" aria-hidden="true"></i>'
        f"<div><h2>{escape(title)}</h2><p>{escape(sentence)}</p></div></div>"
    )


def strip(verdict: Verdict, title: str) -> str:
    """Return the verdict as one line that stays in view on a narrow screen and links to the rest."""
    return (
        f'<a class="vp-strip vp-{verdict.value}" href="#answer"><i class="vp-icon" aria-hidden="true"></i>'
        f"<b>{escape(title)}</b><span>Why, and what it costs</span></a>"
    )


def rail_key() -> str:
    """Return the legend of the marks below a slider."""
    return (
        '<div class="vp-key"><span><i class="vp-tick"></i>base model</span>'
        '<span><i class="vp-dot"></i>what your palette gives</span></div>'
    )


def value_colours(values: int, theme: Theme) -> str:
    """Return the style rules that give the edge of each value's row its colour."""
    return (
        "<style>"
        + "".join(f".st-key-value_{j} {{ border-left-color: {theme.colour(j)}; }}" for j in range(values))
        + "</style>"
    )


def facts(pairs: Sequence[tuple[str, str, str]]) -> str:
    """Return a row of facts, (label, figure, what it means) each."""
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
    """Return the legend of the values' lines, as the sensitivity figures draw them."""
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
    """Return a table with a row per value.

    Args:
        header: of the columns.
        rows: (position of the value, cells) each; position -1 for a row without a colour.
        wide: on a narrow screen it scrolls, also by keyboard.
        theme: colours of the values.
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
    """Return the bar below a slider that shows base and realised level.

    Args:
        value: position of the value, for its colour.
        base: base level, from 0 to 1 along the slider.
        realised: realised level likewise; None when there is none.
        label: the same in words, for screen readers.
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


def question(text: str, progress: str) -> str:
    """Return a question with the progress through the questions."""
    return f'<h2 class="vp-question"><span>{escape(text)}</span><span class="vp-tag">{escape(progress)}</span></h2>'


def note(text: str) -> str:
    """Return a paragraph in muted colour."""
    return f'<p class="vp-note">{escape(text)}</p>'


def lead(text: str) -> str:
    """Return the main sentence of a page, in larger type."""
    return f'<p class="vp-lead">{escape(text)}</p>'


def confirmation(text: str) -> str:
    """Return a confirmation, which screen readers announce."""
    return f'<p class="vp-done" role="status">{escape(text)}</p>'


def alarm(text: str) -> str:
    """Return a problem in red; "" without a text."""
    return f'<p class="vp-alarm" role="alert">{escape(text)}</p>' if text else ""


def chips(items: Sequence[tuple[int, str]], theme: Theme) -> str:
    """Return small labels, (position of the value, text) each; position -1 has no colour. "" without any."""
    if not items:
        return ""
    return (
        '<div class="vp-chips">'
        + "".join(f"<span>{swatch(value, theme) if value >= 0 else ''}{escape(text)}</span>" for value, text in items)
        + "</div>"
    )


def plain(text: str) -> str:
    """Return text with all Markdown characters escaped."""
    return "".join("\\" + letter if letter in "\\`*_{}[]()#+-.!:$<>|~" else letter for letter in text)


def name(text: str, tag: str = "") -> str:
    """Return a name in bold, with a small tag."""
    mark = f'<span class="vp-tag">{escape(tag)}</span>' if tag else ""
    return f'<div class="vp-name"><b>{escape(text)}</b>{mark}</div>'


def region(label: str, title: str, progress: str, sentences: Sequence[str]) -> str:
    """Return a landmark region with a title, a progress, and some sentences."""
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in sentences)
    of = f'<span class="vp-tag">{escape(progress)}</span>' if progress else ""
    named = escape(f"{label}, {progress}: {title}" if progress else f"{label}: {title}", quote=True)
    heading = f"<h2>{escape(title)}{of}</h2>"
    return f'<section class="vp-region" role="region" aria-label="{named}">{heading}{paragraphs}</section>'


def image(name: str, alt: str) -> str:
    """Return a picture from ``assets/`` with its alternative text."""
    kind, drawn = guess_type(name)[0], b64encode((ASSETS / name).read_bytes()).decode()
    return f'<img class="vp-picture" src="data:{kind};base64,{drawn}" alt="{escape(alt, quote=True)}">'


def steps(items: Sequence[tuple[str, str]]) -> str:
    """Return numbered steps, (title, sentence) each, side by side where there is room."""
    cells = "".join(f"<li><b>{escape(title)}</b><span>{escape(text)}</span></li>" for title, text in items)
    return f'<ol class="vp-steps">{cells}</ol>'
