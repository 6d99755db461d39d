"""What a palette asks for beside its targets, as data; :mod:`map_core.feasibility.cuts` turns it into columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorstMean:
    """A lower bound on the mean of a value's worst replies (CVaR).

    Args:
        value: its name.
        share: the share of replies that count as the worst, above 0 and at most 1.
        level: the bound, in reward units.
    """

    value: str
    share: float
    level: float


@dataclass(frozen=True)
class Demands:
    """What a palette asks for beside its targets.

    Args:
        tails: values whose tail must be no worse than the base model's.
        worst: lower bounds on means of the worst replies.
        mix: nats; every target without a cohort must hold under each mix of prompts within this distance of the
            table's. 0 for the table's mix alone.
        scorers: values whose targets must also hold for further values of the table, with the names of these.
    """

    tails: tuple[str, ...] = ()
    worst: tuple[WorstMean, ...] = ()
    mix: float = 0.0
    scorers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tails or self.worst or self.mix or self.scorers)
