"""The markup of the page Values; all text that is not constant is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from map_core.scoring.pairwise import TrustLevel

_WORDS = {TrustLevel.RELIABLE: "good", TrustLevel.ROUGH: "warn", TrustLevel.UNUSABLE: "bad"}


def _swatch(tint: str) -> str:
    return f'<i class="vp-swatch" style="background:{escape(tint, quote=True)}"></i>'


def title(text: str, tint: str, tags: Sequence[str]) -> str:
    """Return the name of a value with its colour, and small marks of what it is."""
    small = "".join(f'<span class="vp-tag">{escape(tag)}</span>' for tag in tags if tag)
    return f'<h2 class="vp-value">{_swatch(tint)}<span>{escape(text)}</span>{small}</h2>'


def word(level: TrustLevel | None, sentence: str) -> str:
    """Return how far to trust a value: the word, and the sentence behind it."""
    kind, label = ("none", "no word yet") if level is None else (_WORDS[level], level.value)
    return (
        f'<div class="vp-word vp-word-{kind}" role="status"><b>{escape(label[:1].upper() + label[1:])}</b>'
        f"<span>{escape(sentence)}</span></div>"
    )


def rung(percentile: str, meaning: str) -> str:
    """Return the position of a reply on the value's scale."""
    return f'<p class="vp-rung"><b>{escape(percentile)}</b> <span>{escape(meaning)}</span></p>'


def sides(more: Sequence[str], less: Sequence[str]) -> str:
    """Return both sides of a definition."""
    columns = "".join(
        f"<div><dt>{label}</dt>" + "".join(f"<dd>{escape(text)}</dd>" for text in texts) + "</div>"
        for label, texts in (("More like this", more), ("Less like this", less))
    )
    return f'<dl class="vp-sides">{columns}</dl>'


def facts(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return what is known of a value: (label, text, a smaller line) each."""
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(text)}"
        + (f"<small>{escape(small)}</small>" if small else "")
        + "</dd></div>"
        for label, text, small in rows
    )
    return f'<dl class="vp-sides vp-known">{cells}</dl>'


def tints(named: Mapping[str, str]) -> str:
    """Return the colours that can be chosen, with their names."""
    return (
        '<div class="vp-chips">'
        + "".join(f"<span>{_swatch(tint)}{escape(name)}</span>" for name, tint in named.items())
        + "</div>"
    )


def table(rows: Sequence[tuple[str, str, str, str]], numbers: bool = True) -> str:
    """Return a table of correlations, (colour, name, number, in words) per row; without numbers only the words."""
    body = "".join(
        f'<tr><th scope="row">{_swatch(tint)}{escape(name)}</th>'
        + (f"<td>{escape(number)}</td>" if numbers else "")
        + f"<td>{escape(label)}</td></tr>"
        for tint, name, number, label in rows
    )
    middle = '<th scope="col">Rank correlation</th>' if numbers else ""
    head = f'<tr><th scope="col">Beside</th>{middle}<th scope="col">In words</th></tr>'
    return f'<div class="vp-scroll"><table class="vp-levels"><thead>{head}</thead><tbody>{body}</tbody></table></div>'
