"""The markup of the page Library; all text that is not constant is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from map_core.figures.palette_comparison import LETTERS
from map_core.text import sentences
from pages.view.session.palette_cache import AssessedPalette
from pages.view.shell import wording
from pages.view.shell.markup import swatch

#: Colours that people give palettes: names that Streamlit's text knows as well, so that a choice can be shown in them.
COLOURS = ("blue", "green", "violet", "orange", "red", "grey")


def name(text: str, colour: str = "", tag: str = "", shape: int | None = None) -> str:
    """Return a palette's name, with its colour or the shape of its mark, and a small mark of its state."""
    kind = colour if colour in COLOURS else "none"
    mark = f'<i class="vp-tint vp-tint-{kind}" aria-hidden="true"></i>'
    if shape is not None:
        mark = f'<span class="vp-shape" aria-hidden="true">{LETTERS[shape]}</span>'
    small = f'<span class="vp-tag">{escape(tag)}</span>' if tag else ""
    return f'<h3 class="vp-kept">{mark}<span>{escape(text)}</span>{small}</h3>'


def levels(assessed: AssessedPalette) -> str:
    """Return a table with a row per value: what is asked for, what is given, and with numbers the weight."""
    numbers = wording.current().numbers
    scene, weights = assessed.scene, assessed.snapshot("").weights
    targets = [assessed.palette.targets.get(name) for name in scene.table.values]
    keeps = [target is not None and target.keep and not target.free for target in targets]
    rows = "".join(
        f'<tr><th scope="row">{swatch(j, scene.theme)}{escape(sentences.capitalised(title))}</th>'
        f"<td>{'as it is' if keeps[j] else _percentile(assessed.targets[j], '–')}</td>"
        f"<td>{_percentile(assessed.levels[j], '–')}</td>"
        + (f"<td>{sentences.number(float(weights[j]), 2)}</td></tr>" if numbers else "</tr>")
        for j, title in enumerate(scene.names)
    )
    head = "".join(
        f'<th scope="col">{text}</th>' for text in ("Value", "Asked", "Given", "Weight")[: 4 if numbers else 3]
    )
    return (
        '<div class="vp-scroll"><table class="vp-levels vp-beside">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def steps(labels: Sequence[str]) -> str:
    """Return the sentences under a step of the timeline."""
    return '<div class="vp-gains">' + "".join(f"<p>{escape(text)}</p>" for text in labels) + "</div>" if labels else ""


def shapes(names: Sequence[str]) -> str:
    """Return the legend of the marks in the chart."""
    legend = [f"<span><b>{LETTERS[n]}</b> {escape(text)}</span>" for n, text in enumerate(names)]
    legend.append('<span><i class="vp-tick"></i>base model</span>')
    return f'<div class="vp-key vp-shapes">{"".join(legend)}<span>open: no target, or not possible</span></div>'


def _percentile(level: float, missing: str) -> str:
    return missing if np.isnan(level) else wording.current().level(level)
