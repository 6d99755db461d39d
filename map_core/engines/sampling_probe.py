"""What can be told of a model's draws before the first one counts.

Constraint: standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingProbe:
    """How a model's replies come.

    Args:
        log_probs: with the log-probabilities of their tokens, under the model itself.
        unknown: sampling settings of a server that cannot be known, as it takes no field that sets them.
        notes: what a person should know beside that, a sentence each.
    """

    log_probs: bool = True
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
