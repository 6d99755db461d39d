"""How a model is tuned on a palette: the routes and their settings.

Constraint: standard library only; settings are checked here once, before any work.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from map_core.errors import InputError

#: Ranks of an adapter: of the layers that are trained, and of an output layer that is solved, of which 8 would keep
#: three quarters of the correlation with lambda . r and 128 keep 96 hundredths (the embedded table).
TRAINED_RANK, SOLVED_RANK = 8, 128


class TuningMethod(StrEnum):
    """A loss whose optimum is the tilt p0 exp(lambda . r) / Z, at KL coefficient 1.

    ``ADVANTAGE``: distillation with less noise: each token of the table's replies by how much it changes the expected
    exp(lambda . r), and the rest of the vocabulary by its exact divergence from p0.
    ``DISTILL``: cross-entropy on the table's replies with weights softmax_k(lambda . r) per prompt.
    ``PAIRS``: regression of log-ratio differences on lambda . (r_a - r_b), REBEL.
    ``DPO``: soft labels sigma(lambda . (r_a - r_b)), beta 1.
    ``NATURAL``: one natural-gradient step of the output layer, solved at once from the table's replies.
    ``RLOO``: online, with the divergence in the reward, no normalisation, one iteration.
    """

    ADVANTAGE = "advantage"
    DISTILL = "distill"
    PAIRS = "pairs"
    DPO = "dpo"
    NATURAL = "natural"
    RLOO = "rloo"

    @classmethod
    def _missing_(cls, value: object) -> TuningMethod:
        raise InputError(f"There is no tuning method {value!r}; there are {', '.join(cls)}.")

    @property
    def rank(self) -> int:
        """The rank of its adapter where none is chosen."""
        return SOLVED_RANK if self is TuningMethod.NATURAL else TRAINED_RANK

    @property
    def online(self) -> bool:
        """Whether replies are sampled while training; else the table's are used."""
        return self is TuningMethod.RLOO


#: The route where none is chosen: it takes the least time and memory, and comes furthest for its nats (docs/tuning.md).
DEFAULT_METHOD = TuningMethod.NATURAL


@dataclass(frozen=True)
class TuningSettings:
    """Settings of one tuning.

    Args:
        method: the route.
        steps: optimizer steps.
        prompts: prompts a step.
        replies: replies a prompt in a step; of the table's replies for the offline routes, a new sample each time.
        learning_rate: of AdamW, with a linear warm-up over a tenth of the steps and a cosine decay.
        rank: of the LoRA matrices; 0 tunes all weights.
        blocks: last blocks of the model that get LoRA matrices, on all their linear layers; 0 for all blocks.
        bfloat16: multiply in bfloat16; weights and optimizer stay in float32.
        seed: of the matrices, the prompts and the replies.
        value_replies: replies a prompt that values of tokens are fitted on, by ``ADVANTAGE`` and ``NATURAL``.
        trace: how far a reply's end counts for its tokens there, from 0, by fitted values alone, to 1, by lambda . r
            alone; see :func:`map_core.tuning.token_values.advantages`.
        beginnings: tokens from one scored beginning of a reply to the next, by ``NATURAL``.
        strength: nats that ``NATURAL`` spends, as a multiple of those that lambda itself takes.

    Raises:
        InputError: a setting is outside its range.
    """

    method: TuningMethod = TuningMethod.PAIRS
    steps: int = 48
    prompts: int = 4
    replies: int = 8
    learning_rate: float = 2e-4
    rank: int = TRAINED_RANK
    blocks: int = 0
    bfloat16: bool = False
    seed: int = 0
    value_replies: int = 24
    trace: float = 0.0
    beginnings: int = 16
    strength: float = 1.0

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("steps", self.steps >= 1, "a whole number from 1"),
            ("prompts", self.prompts >= 1, "a whole number from 1"),
            ("replies", self.replies >= 2, "at least 2, which are compared with each other"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("rank", self.rank >= 0, "a whole number, 0 for all weights"),
            ("blocks", self.blocks >= 0, "a whole number, 0 for all"),
            ("value_replies", self.value_replies >= 2, "at least 2"),
            ("trace", 0 <= self.trace <= 1, "a number from 0 to 1"),
            ("beginnings", self.beginnings >= 1, "a whole number from 1"),
            ("strength", 0 < self.strength < math.inf, "a number above 0"),
            ("seed", self.seed >= 0, "a whole number from 0"),
        ):
            if not ok:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected {expected}.")
        if self.full and self.method is TuningMethod.NATURAL:
            raise InputError("The method natural solves an adapter of the output layer. Leave --full out.")

    @property
    def full(self) -> bool:
        """Whether all weights are tuned, without an adapter."""
        return self.rank == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        facts = asdict(self) | {"method": self.method.value}
        if self.method is not TuningMethod.NATURAL:  # plans of earlier versions do not name them
            del facts["beginnings"], facts["strength"]
        return facts
