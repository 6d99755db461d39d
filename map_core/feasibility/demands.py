"""What a palette asks for beside its targets, as data; :mod:`map_core.feasibility.cuts` makes columns of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorstMean:
    """The mean of the worst replies of a value is at least a level (a floor under CVaR).

    Args:
        value: its name.
        share: of the replies that are the worst, above 0 and at most 1.
        level: in reward units.
    """

    value: str
    share: float
    level: float


@dataclass(frozen=True)
class Demands:
    """What a palette asks for beside its targets.

    Args:
        tails: values whose tail shall be no worse than the base model's.
        worst: floors under means of the worst replies.
        scorers: values whose targets hold for further values of the table too, with these.
        mix: nats; every target that is not of a cohort holds under each mix of prompts that is no further than this
            from the table's. 0 for the table's alone.
    """

    tails: tuple[str, ...] = ()
    worst: tuple[WorstMean, ...] = ()
    mix: float = 0.0
    scorers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tails or self.worst or self.mix or self.scorers)
