"""The request that every engine takes: the prompt, the number of replies, the settings and the seed.

Constraint: numpy and the standard library only, so that a request can be made without loading a tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from map_core.core.types import SamplingSettings, Turn
from map_core.errors import InputError

#: Maximum number of candidates that a local engine draws in parallel, since more would keep other requests waiting.
DRAWN_AT_ONCE = 128
_SEED_STEP = 0x9E3779B1  # odd, so that the seeds of 2^32 candidates are all different


@dataclass(frozen=True)
class DrawRequest:
    """A request for K replies to one prompt.

    Args:
        prompt: the user's text; never empty.
        candidates: K, from 1.
        settings: temperature, truncation and length limit.
        seed: a whole number from 0; candidate k's random stream depends only on (seed, k).
        first: the number of the first candidate, so that further candidates can be drawn later.
        system: the system message; None for the template's default.
        history: the exchanges before this prompt, the earliest first; an empty prompt among them is left out, so that a
            chat may begin with the assistant.
        beginning: the beginning of every reply, which is continued.
        verbatim: whether the model reads the prompt alone, without the chat template, system message, history and
            beginning.

    Raises:
        InputError: an empty prompt, a K below 1 or a negative seed.
    """

    prompt: str
    candidates: int = 1
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    seed: int = 0
    first: int = 0
    system: str | None = None
    history: tuple[Turn, ...] = ()
    beginning: str = ""
    verbatim: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise InputError("The prompt is empty; write what the model should answer.")
        if self.candidates < 1:
            raise InputError(f"candidates is {self.candidates}; expected a whole number from 1.")
        _check_seed(self.seed)

    @property
    def messages(self) -> list[Mapping[str, str]]:
        """The chat: the system message, the earlier exchanges, the prompt, and the beginning of the reply, if any."""
        messages: list[Mapping[str, str]] = [] if self.system is None else [{"role": "system", "content": self.system}]
        for turn in self.history:
            messages += [{"role": "user", "content": turn.prompt}] if turn.prompt else []
            messages += [{"role": "assistant", "content": turn.reply}]
        messages += [{"role": "user", "content": self.prompt}]
        messages += [{"role": "assistant", "content": self.beginning}] if self.beginning else []
        return messages

    @property
    def seeds(self) -> list[int]:
        """One 32-bit seed per candidate, see :func:`candidate_seed`."""
        return candidate_seeds(self.seed, range(self.first, self.first + self.candidates))


def candidate_seed(seed: int, candidate: int) -> int:
    """Return the 32-bit seed of one candidate's random stream, which differs for every candidate of a request.

    Args:
        seed: the request's seed, a whole number from 0.
        candidate: its number, from 0.

    Raises:
        InputError: the seed is negative.
    """
    return candidate_seeds(seed, [candidate])[0]


def candidate_seeds(seed: int, candidates: Iterable[int]) -> list[int]:
    """Return :func:`candidate_seed` of several candidates of one request.

    Raises:
        InputError: the seed is negative.
    """
    _check_seed(seed)
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [(start + candidate * _SEED_STEP) % 2**32 for candidate in candidates]


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"The seed is {seed}; expected a whole number from 0.")
