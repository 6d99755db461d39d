"""The distribution of a value over the replies of a table, and its correlations: figure, words and data.

Constraint: reply texts never enter the figure.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import plotly.graph_objects as go

from map_core.core import amounts, safe_csv
from map_core.figures.theme import NEUTRAL, apply_layout, escape_label
from map_core.scoring.profile import STRONG_CORRELATION, ValueProfile
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording


def spread(profile: ValueProfile, title: str, tint: str, wording: Wording = NUMBERS) -> go.Figure:
    """Draw one bar per range of levels, with the average as a line."""
    middles = (profile.edges[:-1] + profile.edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=100 * profile.shares,
            width=profile.edges[1:] - profile.edges[:-1],
            marker={"color": tint, "line": {"width": 0}},
            name=escape_label(title),
            hovertemplate=wording.pick("%{x:+.1f} standard deviations<br>", "")
            + "%{y:.1f}% of the replies<extra></extra>",
        )
    )
    figure.add_vline(x=0.0, line={"color": NEUTRAL, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=0.0, y=1.0, yref="paper", yanchor="bottom", text="average", showarrow=False, font={"color": NEUTRAL}
    )
    title_across = wording.pick("Standard deviations from the average reply", "less ← average reply → more")
    figure.update_xaxes(title=title_across, showticklabels=wording.numbers)
    figure.update_yaxes(title="Replies (%)", rangemode="tozero")
    return apply_layout(figure, 260)


def spread_sentence(profile: ValueProfile, wording: Wording = NUMBERS) -> str:
    """Describe the figure in words."""
    if profile.constant:
        return "Every reply of this table has the same reward, so nothing can move this value."
    if not wording.numbers:
        return "Each bar counts replies: on the right those that have more of it than the average, on the left less."
    first, middle, third = (_signed(quartile) for quartile in profile.quartiles)
    return (
        f"Half of all replies lie between {first} and {third} standard deviations from the average, the middle one "
        f"at {middle}; the lowest is at {_signed(float(profile.edges[0]))} and the highest at "
        f"{_signed(float(profile.edges[-1]))}."
    )


def length_sentence(profile: ValueProfile, wording: Wording = NUMBERS) -> str:
    """Word whether longer replies score higher."""
    size = abs(profile.length)
    if size < 0.2:
        return f"Hardly depends on the length of the reply{wording.correlation(_signed(profile.length))}."
    kind = "longer" if profile.length > 0 else "shorter"
    strongly = " strongly" if size > 0.5 else ""
    return f"Favours {kind} replies{strongly}{wording.correlation(_signed(profile.length))}."


def duplicate_warnings(profile: ValueProfile, names: Mapping[str, str], wording: Wording = NUMBERS) -> list[str]:
    """Return a warning for each value that is almost the same as this one, or its opposite."""
    return [
        f"Nearly {'the same as' if correlation > 0 else 'the opposite of'} {names.get(name, name)}"
        + wording.pick(f": their rank correlation is {_signed(correlation)}, beyond {STRONG_CORRELATION:g}. ", ". ")
        + ("A target for both asks for the same twice." if correlation > 0 else "What raises one lowers the other.")
        for name, correlation in profile.twins
    ]


def correlation_text(correlation: float) -> str:
    """Word a correlation.

    Example:
        >>> correlation_text(0.85), correlation_text(-0.4), correlation_text(0.1)
        ('nearly the same', 'pull apart', 'hardly related')
    """
    if abs(correlation) > STRONG_CORRELATION:
        return "nearly the same" if correlation > 0 else "nearly opposites"
    if abs(correlation) >= 0.5:
        return "go together strongly" if correlation > 0 else "pull apart strongly"
    if abs(correlation) >= 0.2:
        return "go together" if correlation > 0 else "pull apart"
    return "hardly related"


def profile_csv(profile: ValueProfile) -> str:
    """Return CSV of bars and rank correlations: kind, the ends of a bar, the other value, and the number."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["kind", "from_sd", "to_sd", "with", "number"])
    for low, high, share in zip(profile.edges[:-1], profile.edges[1:], profile.shares, strict=True):
        begin, end, part = (amounts.significant(bound, unknown="") for bound in (low, high, share))
        writer.writerow(["share", begin, end, "", part])
    for name, correlation in (*profile.correlations, ("length of the reply", profile.length)):
        writer.writerow(["rank_correlation", "", "", name, amounts.significant(correlation, unknown="")])
    return out.getvalue()


def _signed(number: float) -> str:
    return sentences.number(number, 2) if number < 0 or abs(number) < 0.005 else f"+{sentences.number(number, 2)}"
