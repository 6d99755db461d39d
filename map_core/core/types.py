"""Types that several packages pass to each other.

Constraint: types only, standard library only, so that every package can import them at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from map_core.errors import InputError


class Form(StrEnum):
    """Form of the log-normaliser A(lambda).

    ``PER_PROMPT``: a softmax over each prompt's replies, averaged over prompts; the exact dual, and the form that a
    generator realises. ``POOLED``: one softmax over all replies, which also re-weights prompts; the only form for
    tables with one reply per prompt.
    """

    PER_PROMPT = "per-prompt"
    POOLED = "pooled"


class Verdict(StrEnum):
    """Whether a palette is reachable.

    ``ON_PAPER``: some weights meet the targets, but the effective sample size is too small for a reliable forecast.
    """

    REACHABLE = "reachable"
    ON_PAPER = "on_paper"
    OUT_OF_REACH = "out_of_reach"


@dataclass(frozen=True)
class SamplingSettings:
    """Sampling settings of the base model: part of p0, recorded in every table's metadata.

    Args:
        temperature: softmax temperature, from 1e-30 (below it logits overflow) to 10.
        top_k: keep the k likeliest tokens, 0 for off.
        top_p: keep the smallest set of tokens with this probability, in (0, 1]; 1 for off.
        max_new_tokens: length limit of a reply, at least 1.

    Raises:
        InputError: a setting is outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("temperature", 1e-30 <= self.temperature <= 10.0, "a number above 0 (1e-30 or more), at most 10"),
            ("top_k", self.top_k >= 0, "a whole number, 0 for off"),
            ("top_p", 0.0 < self.top_p <= 1.0, "a number above 0, at most 1 (1 for off)"),
            ("max_new_tokens", self.max_new_tokens >= 1, "a whole number from 1"),
        ):
            if not valid:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected {expected}.")

    def as_dict(self) -> dict[str, float | int]:
        """Return the settings by name, for a table's metadata."""
        return asdict(self)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> SamplingSettings:
        """Return the settings recorded in a table's metadata, with defaults for missing and unknown ones."""
        sampling = metadata.get("sampling") or {}
        known = {name: sampling.get(name) for name in cls.__dataclass_fields__}
        return cls(**{name: setting for name, setting in known.items() if setting not in (None, "unknown")})


#: Length limit of replies in tokens where neither a request nor a table sets one; most replies end before it.
DEFAULT_REPLY_LENGTH = 160


def recorded_length(metadata: Mapping[str, Any]) -> int | None:
    """Return the length limit of a table's replies in tokens; None where its metadata has none."""
    sampling = metadata.get("sampling")
    limit = sampling.get("max_new_tokens") if isinstance(sampling, Mapping) else None
    return limit if isinstance(limit, int) and limit > 0 else None


@dataclass(frozen=True)
class Reply:
    """One reply of a model to a prompt.

    Args:
        text: the reply without special tokens.
        tokens: token ids, without the end-of-turn token; empty where the engine returns none.
        log_probs: natural logarithm of each token's probability under the base model at temperature 1 without
            truncation, one per token.
        finished: whether it ended with its end-of-turn token rather than at the length limit.
        filtered: whether a server's content filter ended it; the text is then incomplete or empty.
    """

    text: str
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    finished: bool = True
    filtered: bool = False


@dataclass(frozen=True)
class Turn:
    """An earlier exchange of a chat.

    Args:
        prompt: what the person wrote.
        reply: what the model answered.
        cut: whether the reply was cut by its length limit; the interface then marks it as incomplete.
    """

    prompt: str
    reply: str
    cut: bool = False
