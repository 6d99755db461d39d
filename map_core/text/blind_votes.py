"""Judging blind: two replies without their names, and what the judgements on a palette say together.

Constraint: which reply comes first depends on the name of the pair alone, so that whoever draws a page again shows the
same order, and nobody can tell from the order whose reply it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from map_core.core import amounts, safe_csv
from map_core.core.wilson import wilson_interval
from map_core.store.votes import Preference, Tally, Vote

#: Of the interval of a share.
CONFIDENCE = 0.9


class Side(StrEnum):
    """What a voter says of two replies whose names are hidden."""

    A = "A"
    NEITHER = "neither"
    B = "B"


@dataclass(frozen=True)
class BlindPair:
    """Two replies to one prompt, in the order in which they are shown.

    Args:
        a, b: the replies.
        aligned: which of them is the aligned model's.
    """

    a: str
    b: str
    aligned: Side

    def preferred(self, side: Side) -> Preference:
        """Return whose reply was preferred."""
        if side is Side.NEITHER:
            return Preference.TIE
        return Preference.ALIGNED if side is self.aligned else Preference.BASE


def blind_pair(name: str, base: str, aligned: str) -> BlindPair | None:
    """Return two replies in an order drawn from a name.

    Args:
        name: of the pair; the same name gives the same order, and half of all names either order.
        base: the base model's reply.
        aligned: the aligned model's.

    Returns:
        None where the two read alike, so that there is nothing to judge.

    Example:
        >>> blind_pair("3f", "Yes.", "Yes.  ") is None
        True
    """
    if base.split() == aligned.split():
        return None
    if hashlib.sha256(name.encode()).digest()[0] & 1:
        return BlindPair(aligned, base, Side.A)
    return BlindPair(base, aligned, Side.B)


@dataclass(frozen=True)
class PreferenceShare:
    """How often the aligned reply was preferred, among judgements that were not ties.

    Args:
        aligned: how many preferred it.
        decided: judgements that were not ties, at least one.
        ties: the others.
        low, high: the interval of the share, from 0 to 1.
    """

    aligned: int
    decided: int
    ties: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Return aligned / decided."""
        return self.aligned / self.decided


def preference_share(tally: Tally) -> PreferenceShare | None:
    """Return the share that prefers the aligned reply, with Wilson's interval.

    See :func:`map_core.core.wilson.wilson_interval`. It takes judgements for independent.

    Args:
        tally: of the votes on a palette.

    Returns:
        None while nobody preferred either.
    """
    decided = tally.aligned + tally.base
    if not decided:
        return None
    low, high = wilson_interval(tally.aligned, decided, CONFIDENCE)
    return PreferenceShare(tally.aligned, decided, tally.tie, low, high)


def preference_sentence(tally: Tally) -> str:
    """Word what the judgements say, in a sentence or two.

    Example:
        >>> preference_sentence(Tally(base=6, aligned=14, tie=1))
        'The aligned reply was preferred in 14 of 20 judgements, 70% (52 to 84%). 1 more was a tie.'
    """
    share = preference_share(tally)
    are_ties = "was a tie" if tally.tie == 1 else "were ties"
    if share is None:
        return (
            f"Nobody has preferred either reply yet. {tally.tie} {are_ties}."
            if tally.tie
            else "Nobody has judged this palette yet."
        )
    of = "1 judgement" if share.decided == 1 else f"{share.decided} judgements"
    percent = f"{amounts.percent(share.share)} ({amounts.fixed(100 * share.low)} to {amounts.percent(share.high)})"
    more = f" {tally.tie} more {are_ties}." if tally.tie else ""
    return f"The aligned reply was preferred in {share.aligned} of {of}, {percent}.{more}"


def votes_csv(votes: Iterable[Vote]) -> str:
    """Return CSV, one row per vote; voters are numbered, so that nobody's session is named.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["palette", "prompt", "preferred", "voter", "when_utc"])
    voters: dict[str, int] = {}
    for vote in votes:
        voter = voters.setdefault(vote.viewer, len(voters) + 1)
        writer.writerow(
            [vote.palette_key, vote.prompt, vote.preferred.value, voter, vote.when.isoformat(timespec="seconds")]
        )
    return out.getvalue()
