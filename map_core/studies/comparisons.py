"""Blind comparisons of aligned and base replies: readers' votes on which one is better by a palette's targets.

A line of the file holds a pair of replies to one prompt, the likeliest under a preset and one drawn from the base
model, and the vote of each reader, who saw the two in random order without their origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError
from map_core.studies.delivery import bootstrap_mean


@dataclass(frozen=True)
class Comparison:
    """One pair of replies and its votes.

    Args:
        use_case: the preset's use case.
        preset: the palette's name.
        prompt_id: the prompt's identifier.
        aligned: index of the aligned reply among the prompt's candidates.
        base: index of the base reply among the prompt's candidates.
        held_out: whether the prompt was held out when the weights were solved for.
        votes: one vote per reader: 1 for the aligned reply, -1 for the base reply, 0 for neither.
    """

    use_case: str
    preset: str
    prompt_id: str
    aligned: int
    base: int
    held_out: bool
    votes: tuple[int, ...]

    @property
    def preferred(self) -> float:
        """Share of the votes for the aligned reply, a tie counting half."""
        return float(np.mean([(vote + 1) / 2 for vote in self.votes]))


def read_comparisons(path: Path) -> tuple[Comparison, ...]:
    """Read a file of comparisons, JSON lines with the fields of :class:`Comparison`.

    Raises:
        InputError: no such file, or a line that is no comparison; the message names it.
    """
    comparisons = []
    for where, entry in json_records(read_text(path), path, "one per comparison"):
        try:
            votes = tuple(int(vote) for vote in entry["votes"])
            comparisons.append(Comparison(**{**entry, "votes": votes}))
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"{where} is no comparison ({error!r}); expected preset, prompt_id and votes.") from error
        if not votes or not set(votes) <= {-1, 0, 1}:
            raise InputError(f"{where} has the votes {list(votes)}; expected 1, 0 or -1 of each reader.")
    return tuple(comparisons)


def preferred_share(comparisons: Sequence[Comparison], seed: int = 0) -> tuple[float, float, float]:
    """Return the share of votes for the aligned reply, a tie counting half, with its 95% bootstrap interval over pairs.

    Args:
        comparisons: at least one.
        seed: seed of the bootstrap.

    Returns:
        (share, low, high).
    """
    shares = np.array([comparison.preferred for comparison in comparisons])
    return bootstrap_mean(shares[:, None], 0.95, seed)
