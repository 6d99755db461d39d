"""The words of the product as types: what is passed between the floors of the house.

Constraint: standard library only, so that everything above can import it at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from map_core.errors import InputError


class Form(StrEnum):
    """Which log-normaliser A(lambda) is in force.

    ``PER_PROMPT`` is the exact dual of the problem and what a generator does; ``POOLED`` also re-weights
    prompts and is the only choice for tables with one reply a prompt.
    """

    PER_PROMPT = "per-prompt"
    POOLED = "pooled"


class Verdict(StrEnum):
    """Whether a palette can be had: yes, only on paper (too few replies carry it), or no."""

    REACHABLE = "reachable"
    ON_PAPER = "on_paper"
    OUT_OF_REACH = "out_of_reach"


@dataclass(frozen=True)
class SamplingSettings:
    """How replies are drawn from the base model; part of p0 and recorded with every table.

    Args:
        temperature: softmax temperature, > 0.
        top_k: only the k likeliest tokens are drawn; 0 switches it off.
        top_p: only the smallest set of tokens with this probability is drawn; 1.0 switches it off.
        max_new_tokens: longest reply, in tokens.

    Raises:
        InputError: a setting is outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("temperature", 0.0 < self.temperature <= 10.0, "a number above 0, at most 10"),
            ("top_k", self.top_k >= 0, "a whole number, 0 for off"),
            ("top_p", 0.0 < self.top_p <= 1.0, "a number above 0, at most 1 (1 for off)"),
            ("max_new_tokens", self.max_new_tokens >= 1, "a whole number from 1"),
        ):
            if not ok:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected {expected}.")

    def as_dict(self) -> dict[str, float | int]:
        """The settings as plain numbers, for a table's metadata."""
        return asdict(self)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> SamplingSettings:
        """The settings that a table's metadata tells; the defaults for those that it does not."""
        told = metadata.get("sampling") or {}
        return cls(**{name: told[name] for name in cls.__dataclass_fields__ if told.get(name) is not None})


@dataclass(frozen=True)
class Reply:
    """One reply of a model to a prompt.

    Args:
        text: the reply as people read it.
        tokens: its token ids, without the end-of-turn token.
        log_probs: natural logarithm of each token's probability under the model itself (temperature 1,
            nothing cut off), one per token.
        finished: it ended by its end-of-turn token, not by the length limit.
    """

    text: str
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    finished: bool = True


@dataclass(frozen=True)
class Turn:
    """One exchange of a chat that lies before the prompt: what the person wrote, what the model replied."""

    prompt: str
    reply: str
