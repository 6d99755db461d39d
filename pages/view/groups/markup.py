"""The markup of Agree and of meetings; all text that is not constant is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import segno

from map_core.core import amounts
from map_core.figures.groups import MARKS, group_letter
from map_core.figures.theme import Theme
from map_core.groups import Rule
from map_core.store import meeting_numbers
from map_core.text.groups import RULES, meaning
from pages.view.shell import wording
from pages.view.shell.markup import alarm

_SIGNS = {"diamond": "vp-filled", "diamond-open": "vp-open"}


def headline(text: str) -> str:
    """Return the agreement of the groups in large type; screen readers announce its changes."""
    return f'<p class="vp-agreed" role="status">{escape(text)}</p>'


def legend(names: Sequence[str], lettered: bool) -> str:
    """Return the sign of each group and of each rule, as the figures draw them."""
    items = []
    if lettered:
        items += [
            f'<span class="vp-who"><i class="vp-letter" aria-hidden="true">{group_letter(g)}</i>{escape(name)}</span>'
            for g, name in enumerate(names)
        ]
    else:
        items.append(f'<span class="vp-who"><i class="vp-dot" aria-hidden="true"></i>one of {len(names)} people</span>')
    items += [f'<span class="vp-who">{_sign(which)}{escape(RULES[which])}</span>' for which in MARKS]
    items.append('<span class="vp-who"><i class="vp-base-tick" aria-hidden="true"></i>base model</span>')
    items.append('<span class="vp-who"><i class="vp-alone" aria-hidden="true"></i>alone, with the same effort</span>')
    return f'<div class="vp-legend">{"".join(items)}</div>'


def _sign(which: Rule) -> str:
    shade, symbol, _ = MARKS[which]
    return f'<i class="vp-diamond {_SIGNS[symbol]}" style="--shade:{shade}" aria-hidden="true"></i>'


def sentences(lines: Sequence[str]) -> str:
    """Return a list of sentences; "" without any."""
    if not lines:
        return ""
    return '<ul class="vp-said">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def titled_list(title: str, lines: Sequence[str]) -> str:
    """Return a small title and its sentences; "" without any."""
    return f'<h2 class="vp-small-title">{escape(title)}</h2>{sentences(lines)}' if lines else ""


def rule(which: Rule, outcome: str, verdict: str) -> str:
    """Return the result of one rule: its sign and name, how it chooses, and what it gives."""
    tag = f'<span class="vp-tag">{escape(verdict)}</span>' if verdict else ""
    title, means = RULES[which], meaning(which, wording.current())
    return (
        f'<div class="vp-rule"><h2>{_sign(which)}{escape(title)} {tag}</h2><p>{escape(outcome)}</p>'
        f'<p class="vp-note">{escape(means)}</p></div>'
    )


def title(name: str, note: str) -> str:
    """Return the name of a meeting and a note on it."""
    return f'<div class="vp-meeting-title"><h1>{escape(name)}</h1><p>{escape(note)}</p></div>'


def invitation(link: str, number: str, problem: str = "") -> str:
    """Return how to join: a QR code of the link, the link, and the digits to type.

    Args:
        link: to the page for phones.
        number: the meeting's six digits.
        problem: why a phone cannot open the link, and what to do; "" where no problem is known.
    """
    picture = segno.make(link, error="m").svg_data_uri(border=2, scale=4, dark="#111", light="#fff")
    short_link = link.removeprefix("http://").removeprefix("https://").split("?")[0]
    alt = escape(f"QR code of the link {link}", quote=True)
    return (
        f'<div class="vp-invite">{alarm(problem)}'
        f'<div class="vp-qr"><img src="{escape(picture, quote=True)}" alt="{alt}"></div>'
        f"<p>Point a phone at it, or open <b>{escape(short_link)}</b> and type</p>"
        f'<p class="vp-code">{escape(meeting_numbers.spaced(number))}</p></div>'
    )


def see_picture() -> str:
    """Return the link from a sent wish to the picture."""
    return '<a class="vp-see" href="#picture">Sent. See the picture</a>'


def anchor() -> str:
    """Return the anchor of the picture."""
    return '<span id="picture"></span>'


def count(text: str) -> str:
    """Return how many have joined."""
    return f'<p class="vp-count" role="status">{escape(text)}</p>'


def common(headline: str, nearness: Sequence[tuple[Rule, float, str]]) -> str:
    """Return the common palettes of a meeting, as one member sees them.

    Args:
        headline: the agreement in a sentence.
        nearness: for each common palette, its satisfaction of the member from 0 to 1, and the same in words.
    """
    rows = [
        f'<div class="vp-near"><h3>{_sign(rule)}{escape(RULES[rule])}</h3>'
        '<div class="vp-near-bar" aria-hidden="true">'
        f'<i style="width:{amounts.percent(share)};--shade:{MARKS[rule][0]}"></i>'
        f"</div><p>{escape(text)}</p></div>"
        for rule, share, text in nearness
    ]
    return (
        '<section class="vp-common"><h2>The common palette</h2>'
        f'<p role="status">{escape(headline)}</p>{"".join(rows)}</section>'
    )


def strips(
    values: Sequence[int],
    titles: Sequence[str],
    bases: Sequence[float],
    *,
    wishes: Sequence[np.ndarray],
    mine: int | None,
    notes: Sequence[str],
    common: Mapping[Rule, Sequence[float]],
    descriptions: Sequence[str],
    theme: Theme,
) -> str:
    """Return what everybody asks for: a strip for each value, light enough for a phone.

    Args:
        values: positions of the values, for their colours.
        titles: of the values.
        bases: percentile of the base level of each.
        wishes: for each value (member,) percentiles, NaN where it is free.
        mine: position of the member who looks; None for somebody else.
        notes: each strip in words.
        common: percentile of each value in each common palette that is known.
        descriptions: what the common palettes give of each value, shown below its strip.
        theme: colours of the values.
    """
    rows = []
    for k, j in enumerate(values):
        marks = [f'<i class="vp-base" style="left:{amounts.fixed(bases[k], 1)}%"></i>']
        for g, percentile in enumerate(wishes[k]):
            if not np.isnan(percentile) and g != mine:
                left = amounts.fixed(percentile, 1)
                marks.append(f'<i class="vp-one" style="left:{left}%;background:{theme.colour(j)}"></i>')
        if mine is not None and not np.isnan(wishes[k][mine]):
            left, shade = amounts.fixed(wishes[k][mine], 1), theme.colour(j)
            marks.append(f'<i class="vp-mine" style="left:{left}%;border-color:{shade}"></i>')
        for rule, levels in common.items():
            shade, symbol, _ = MARKS[rule]
            style = f"left:{amounts.fixed(levels[k], 1)}%;--shade:{shade}"
            marks.append(f'<i class="vp-diamond {_SIGNS[symbol]}" style="{style}"></i>')
        below = f"<small>{escape(descriptions[k])}</small>" if descriptions[k] else ""
        rows.append(
            f'<div class="vp-strip-row"><span>{escape(titles[k])}</span><div>'
            f'<div class="vp-line-of" role="img" aria-label="{escape(notes[k], quote=True)}">{"".join(marks)}</div>'
            f"{below}</div></div>"
        )
    return f'<div class="vp-strips">{"".join(rows)}</div>'
