"""Describe a palette inferred from choices between replies: what is known of each value, and how well.

Constraint: plain text; every figure comes from the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.preference import Evidence, FoundPalette
from map_core.text import sentences
from map_core.text.units import Units

#: What the choices say about a value, in a cell of a table.
EVIDENCE = {
    Evidence.MORE: "clearly more",
    Evidence.LEANS: "probably more",
    Evidence.NOTHING: "not known yet",
    Evidence.LESS: "rather less",
}
#: The header of the table of :func:`value_rows`.
COLUMNS = ("Value", "Your choices say", "Base model", "With these targets", "Could be")


def headline(palette: FoundPalette, names: Sequence[str]) -> str:
    """Return what the choices favour, in one sentence.

    Args:
        palette: the palette.
        names: (value,) as they read within a sentence.
    """
    for evidence, degree in ((Evidence.MORE, "clearly"), (Evidence.LEANS, "probably")):
        favoured = _named(palette, names, evidence)
        if favoured:
            return f"Your choices {degree} favour more {sentences.listed(favoured)}."
    return "Your choices favour no value yet."


def details(palette: FoundPalette, names: Sequence[str]) -> tuple[str, ...]:
    """Return sentences on what is known, what is not, and what a palette cannot do.

    Args:
        palette: the palette.
        names: (value,) as they read within a sentence.
    """
    texts = []
    if palette.has_targets and palette.decided:
        texts.append(
            f"These targets agree with {amounts.significant(palette.explained)} of your "
            f"{amounts.counted(palette.decided, 'choice')}."
        )
    if palette.undecided:
        times = "once" if palette.undecided == 1 else f"{palette.undecided} times"
        texts.append(f"You saw no difference {times}.")
    leaning = _named(palette, names, Evidence.LEANS)
    if leaning and _named(palette, names, Evidence.MORE):
        texts.append(f"{_capital(leaning)} probably {'counts' if len(leaning) == 1 else 'count'} too.")
    for name in [names[int(j)] for j in np.flatnonzero(palette.targets < 0)]:
        texts.append(f"{sentences.capitalised(name)} counts for less than the others, so it may drop a little.")
    unknown = _named(palette, names, Evidence.NOTHING)
    if unknown:
        texts.append(f"Nothing is known yet about {sentences.listed(unknown)}, so no target is set there.")
    less = _named(palette, names, Evidence.LESS)
    if less:
        texts.append(f"You tended to choose less {sentences.listed(less)}. A palette has no way to ask for less.")
    if palette.has_targets:
        texts.append(
            "Your choices say more about which values matter than about how much of each: move the faders as you like."
        )
    if palette.shortened < 1:
        texts.append("The targets are as high as this table can be relied on; you may want more.")
    return tuple(texts)


def origin(palette: FoundPalette, unchanged: Sequence[bool], names: Sequence[str]) -> str:
    """Return how targets were found, for readers who did not make the choices.

    Args:
        palette: the palette that was found.
        unchanged: (value,) whether today's target of each value is still that of the palette.
        names: (value,) as they read within a sentence.
    """
    kept = sentences.listed([name for name, same in zip(names, unchanged, strict=True) if same])
    several = sum(unchanged) > 1
    changed = [names[j] for j in np.flatnonzero(~np.isnan(palette.targets)).tolist() if not unchanged[j]]
    choices = amounts.counted(palette.decided + palette.undecided, "choice")
    texts = [
        f"The {'targets' if several else 'target'} of {kept} {'come' if several else 'comes'} from {choices} "
        "between two replies: which would you rather send?",
        f"These targets agree with {amounts.significant(palette.explained)} of the "
        f"{amounts.counted(palette.decided, 'choice')} that preferred one.",
    ]
    if palette.undecided:
        texts.append(f"In {palette.undecided} there was no difference.")
    if changed:
        texts.append(f"{_capital(changed)} {'has' if len(changed) == 1 else 'have'} been changed since.")
    return " ".join(texts)


def value_rows(palette: FoundPalette, units: Units) -> list[tuple[int, tuple[str, ...]]]:
    """Return (position, cells) of each value, the largest weights first, see :data:`COLUMNS`.

    Args:
        palette: the palette.
        units: percentiles, and the names and wording of the reader.
    """
    order = sorted(range(len(units.names)), key=lambda j: (-palette.weights[j], _RANK[palette.evidence[j]], j))
    return [(j, _cells(palette, units, j)) for j in order]


_RANK = {evidence: rank for rank, evidence in enumerate(Evidence)}


def _cells(palette: FoundPalette, units: Units, j: int) -> tuple[str, ...]:
    target = palette.targets[j]
    return (
        sentences.capitalised(units.names[j]),
        EVIDENCE[palette.evidence[j]],
        units.level_text(j, 0.0),
        "no target" if np.isnan(target) else units.level_text(j, float(target)),
        f"{units.level_text(j, float(palette.low[j]))} to {units.level_text(j, float(palette.high[j]))}",
    )


def _named(palette: FoundPalette, names: Sequence[str], evidence: Evidence) -> list[str]:
    """Return the names of the values with this evidence, the largest weights first."""
    order = np.argsort(-palette.weights, kind="stable")
    return [names[j] for j in order if palette.evidence[j] is evidence]


def _capital(names: Sequence[str]) -> str:
    return sentences.capitalised(sentences.listed(names))
