"""Blind votes: two replies without their models' names, and a summary of the votes on a palette.

Constraint: the order depends only on the name of the pair, so that a page that is drawn again shows the same order, and
the order does not reveal which model wrote a reply.
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
from map_core.text.wording import NUMBERS, Wording

#: Confidence level of the interval of a share.
CONFIDENCE = 0.9


class Side(StrEnum):
    """The vote on two replies whose models are hidden."""

    A = "A"
    NEITHER = "neither"
    B = "B"


@dataclass(frozen=True)
class BlindPair:
    """Two replies to one prompt, in the order in which they are shown.

    Args:
        a: the first reply.
        b: the second reply.
        aligned: which of them is the aligned model's.
    """

    a: str
    b: str
    aligned: Side

    def preferred(self, side: Side) -> Preference:
        """Return which model's reply a vote prefers."""
        if side is Side.NEITHER:
            return Preference.TIE
        return Preference.ALIGNED if side is self.aligned else Preference.BASE


def blind_pair(name: str, base: str, aligned: str) -> BlindPair | None:
    """Return two replies in an order drawn from a name.

    Args:
        name: of the pair; its hash decides the order, so each order has half of all names.
        base: the base model's reply.
        aligned: the aligned model's.

    Returns:
        None where the two differ in spaces only, so that there is nothing to judge.

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
        ties: judgements that were ties.
        low: lower end of the interval of the share, from 0 to 1.
        high: its upper end.
    """

    aligned: int
    decided: int
    ties: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share that preferred the aligned reply, aligned / decided."""
        return self.aligned / self.decided


def preference_share(tally: Tally) -> PreferenceShare | None:
    """Return the share that prefers the aligned reply, with Wilson's interval.

    See :func:`map_core.core.wilson.wilson_interval`, which assumes that judgements are independent.

    Args:
        tally: of the votes on a palette.

    Returns:
        None while nobody has preferred either reply.
    """
    decided = tally.aligned + tally.base
    if not decided:
        return None
    low, high = wilson_interval(tally.aligned, decided, CONFIDENCE)
    return PreferenceShare(tally.aligned, decided, tally.tie, low, high)


def preference_sentence(tally: Tally, wording: Wording = NUMBERS) -> str:
    """Summarise the judgements in a sentence or two.

    Example:
        >>> preference_sentence(Tally(base=6, aligned=14, tie=1))
        'The aligned reply was preferred in 14 of 20 judgements, 70% (52 to 84%). 1 more was a tie.'
    """
    share = preference_share(tally)
    are_ties = "was a tie" if tally.tie == 1 else "were ties"
    if share is None:
        if tally.tie:
            return f"Nobody has preferred either reply yet. {tally.tie} {are_ties}."
        return "Nobody has judged this palette yet."
    judgements = amounts.counted(share.decided, "judgement")
    percent = f"{amounts.percent(share.share)} ({amounts.fixed(100 * share.low)} to {amounts.percent(share.high)})"
    ties = f" {tally.tie} more {are_ties}." if tally.tie else ""
    counted = f"The aligned reply was preferred in {share.aligned} of {judgements}"
    caveat = " Too few to be sure." if share.low < 0.5 < share.high else ""
    return f"{counted}{wording.pick(f', {percent}.', f'.{caveat}')}{ties}"


def votes_csv(votes: Iterable[Vote]) -> str:
    """Return CSV, one row per vote; voters are numbered, so that no session is named.

    Text that a spreadsheet would read as a formula is preceded by an apostrophe.
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
