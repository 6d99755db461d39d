"""A palette found by choosing, as sentences: what is known, what is not, and how far.

Constraint: plain text; every figure is one of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.preference import Evidence, FoundPalette
from map_core.text import sentences
from map_core.text.units import Units

#: What the choices say of a value, in a cell of a table.
EVIDENCE = {
    Evidence.MORE: "clearly more",
    Evidence.LEANS: "probably more",
    Evidence.NOTHING: "not known yet",
    Evidence.LESS: "rather less",
}
#: The head of that table; its rows are those of :func:`value_rows`.
COLUMNS = ("Value", "Your choices say", "Today", "With these targets", "Could be")


def headline(palette: FoundPalette, names: Sequence[str]) -> str:
    """Return what the choices favour, in one sentence.

    Args:
        palette: the palette.
        names: (value,) as they read within a sentence.
    """
    for evidence, sentence in (
        (Evidence.MORE, "Your choices clearly favour more {}."),
        (Evidence.LEANS, "Your choices probably favour more {}."),
    ):
        if favoured := _named(palette, names, evidence):
            return sentence.format(sentences.listed(favoured))
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
    if unknown := _named(palette, names, Evidence.NOTHING):
        texts.append(f"Nothing is known yet about {sentences.listed(unknown)}, so no target is set there.")
    if less := _named(palette, names, Evidence.LESS):
        texts.append(f"You tended to choose less {sentences.listed(less)}. A palette has no way to ask for less.")
    if palette.has_targets:
        texts.append(
            "Your choices say more about which values matter than about how much of each: move the faders as you like."
        )
    if palette.shortened < 1:
        texts.append("The targets are as high as this table can be relied on; you may want more.")
    return tuple(texts)


def origin(palette: FoundPalette, gave: Sequence[bool], names: Sequence[str]) -> str:
    """Return how targets were found, for those who were not there.

    Args:
        palette: the palette that was found.
        gave: (value,) which of today's targets are still of it.
        names: (value,) as they read within a sentence.
    """
    of = sentences.listed([name for name, still in zip(names, gave, strict=True) if still])
    many = sum(gave) > 1
    changed = [names[j] for j in np.flatnonzero(~np.isnan(palette.targets)).tolist() if not gave[j]]
    made = amounts.counted(palette.decided + palette.undecided, "choice")
    texts = [
        f"The {'targets' if many else 'target'} of {of} {'come' if many else 'comes'} from {made} "
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
    """Return (position, cells) of each value, those that count most first, see :data:`COLUMNS`.

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
        units.said(j, 0.0),
        "no target" if np.isnan(target) else units.said(j, float(target)),
        f"{units.said(j, float(palette.low[j]))} to {units.said(j, float(palette.high[j]))}",
    )


def _named(palette: FoundPalette, names: Sequence[str], evidence: Evidence) -> list[str]:
    order = np.argsort(-palette.weights, kind="stable")
    return [names[j] for j in order if palette.evidence[j] is evidence]


def _capital(names: Sequence[str]) -> str:
    return sentences.capitalised(sentences.listed(names))
