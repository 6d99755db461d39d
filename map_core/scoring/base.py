"""The contract of a scorer: one value, a card that describes it, and one function.

Constraint: importing this module, or any scorer's, loads no model library, so that the interface can show the cards of
all values at no cost. Models load with the first score.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import PaletteError


class ScorerError(PaletteError):
    """A scorer failed or returned a reward that is not finite."""


class Cost(StrEnum):
    """The cost of scoring a reply, in ascending order.

    ``NONE``: arithmetic on its words or its log-probabilities. ``EMBEDDING``: one pass of a sentence-embedding model,
    which all values share. ``MODEL``: one pass of the value's own model. ``NETWORK``: a request to a server.
    """

    NONE = "none"
    EMBEDDING = "embedding"
    MODEL = "model"
    NETWORK = "network"


@dataclass(frozen=True)
class Card:
    """What a person should know about a value before asking for more of it.

    Args:
        name: the value's name in tables, commands and code.
        title: the name that people read.
        measures: one sentence on what a higher reward means.
        misses: one sentence on what the scorer does not measure.
        licence: of the scorer's model or word list.
        source: of the method.
        version: changes whenever the same reply would get another reward.
        partial: whether rewards of unfinished replies predict the final one.
        uses: the kinds of model it needs, of "language model" and "embedder"; empty for none.
        costs: of scoring a reply.
        needs: its requirements, for people: a model's weights, a server, the environment variable of a key.
    """

    name: str
    title: str
    measures: str
    misses: str
    licence: str
    source: str
    version: str
    partial: bool
    uses: tuple[str, ...] = ()
    costs: Cost = Cost.NONE
    needs: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON values, for a table's metadata."""
        return asdict(self) | {"uses": list(self.uses), "costs": self.costs.value, "needs": list(self.needs)}


class Scorer(ABC):
    """A value that can be scored; a subclass states its card and gives :meth:`score`.

    Laws that every scorer keeps (:mod:`map_core.testing.scorer_laws`): the reward of a reply does not depend on the
    replies beside it, on their order or on padding, the same call gives the same rewards, and every reward is finite,
    for an empty reply too.
    """

    card: Card
    #: The kind of scorer, a key of :data:`map_core.scoring.FAMILIES`.
    family: str = "built-in"

    @property
    def name(self) -> str:
        """The value's name."""
        return self.card.name

    @property
    def version(self) -> str:
        """The scorer's version, with those of the models that it uses."""
        return self.card.version

    @property
    def partial(self) -> bool:
        """Whether unfinished replies can be scored for a provisional leader."""
        return self.card.partial

    def score_many(self, prompts: Sequence[str], replies: Sequence[Sequence[Reply]]) -> list[np.ndarray]:
        """Return the rewards of the replies to many prompts, in one batch where the scorer gains from it.

        Args:
            prompts: the users' texts.
            replies: for each prompt its replies, in any number from 0.

        Returns:
            The result of :meth:`score` for each prompt.
        """
        return [self.score(prompt, own) for prompt, own in zip(prompts, replies, strict=True)]

    def check(self) -> None:  # noqa: B027 (most scorers have nothing to check)
        """Check without scoring that the scorer's requirements are met and its settings fit its model.

        Raises:
            InputError: the settings do not fit.
            MissingModelError: a model is not on this machine.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings from which a custom scorer can be made again, as plain JSON values."""
        return {}

    def entry(self) -> dict[str, Any]:
        """Return the scorer's entry in a table's metadata, as plain JSON values: card, version, family and settings.

        :func:`map_core.scoring.from_metadata` reads it.
        """
        recipe = {"version": self.version, "family": self.family, "settings": self.settings()}
        return self.card.as_dict() | ({"reading": self.reading} if self.reading else {}) | recipe

    @property
    def reading(self) -> str:
        """A sentence on how a model's output becomes the reward, and on guesses made; "" where there is no choice."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the rewards so far, a sentence each, such as how many texts were cut."""
        return ()

    def forget_notes(self) -> None:  # noqa: B027 (most scorers have none)
        """Reset :attr:`notes`."""

    def was_cut(self, prompt: str, reply: Reply) -> bool:
        """Return whether a reply that was just scored was longer than the scorer's model reads."""
        return False

    def cut_note(self, cut: int, read: int) -> str:
        """Return the note on replies that were cut.

        Args:
            cut: how many, from 1.
            read: of how many replies.
        """
        return f"{cut} of {read} replies were longer than {self.name} reads."

    @abstractmethod
    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the rewards of replies to one prompt.

        Args:
            prompt: the user's text.
            replies: K replies, finished or (where ``partial``) not.

        Returns:
            (K,) float64, higher is better, finite.
        """


def score_checked(scorer: Scorer, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
    """Score replies and check the result against the scorer's contract.

    Returns:
        (K,) float64, finite.

    Raises:
        ScorerError: the scorer raised, or returned a wrong number of rewards or one that is not finite; the message
            names the value, the prompt and the candidate.
    """
    shown = prompt if len(prompt) <= 60 else prompt[:57] + "..."
    try:
        rewards = np.asarray(scorer.score(prompt, replies), dtype=np.float64)
    except PaletteError:
        raise
    except Exception as error:
        raise ScorerError(
            f"The scorer of {scorer.name!r} failed on the prompt {shown!r}: {type(error).__name__}: {error}. "
            "Mend the scorer or leave this value out; what is built so far is kept."
        ) from error
    if rewards.shape != (len(replies),):
        raise ScorerError(
            f"The scorer of {scorer.name!r} gave rewards of shape {rewards.shape} for {len(replies)} replies to the "
            f"prompt {shown!r}; expected ({len(replies)},), one a reply."
        )
    bad = np.flatnonzero(~np.isfinite(rewards))
    if bad.size:
        raise ScorerError(
            f"The scorer of {scorer.name!r} gave {rewards[bad[0]]} for candidate {bad[0]} of the prompt {shown!r}; "
            "expected a finite number. Mend the scorer or leave this value out; what is built so far is kept."
        )
    return rewards


def log_prob(reply: Reply) -> float:
    """Return the log-probability of a whole reply under its base model, in nats, summed over its tokens.

    It is NaN where the reply has text and no log-probabilities.
    """
    return math.fsum(reply.log_probs) if reply.log_probs or not reply.text else math.nan
