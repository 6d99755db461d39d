"""The result of probing a model before replies are drawn.

Constraint: standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingProbe:
    """Properties of a model's replies.

    Args:
        log_probs: whether they have the tokens' log-probabilities under the model itself.
        unknown: sampling settings of a server that are unknown, since it accepts no field for them.
        notes: further sentences for the user.
    """

    log_probs: bool = True
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
