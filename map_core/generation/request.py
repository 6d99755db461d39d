"""The request to the generator, and its methods.

Constraint: no model library; a request is checked here once, before any work, so that page, command line, worker and
server can rely on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from map_core.core.types import SamplingSettings, Turn
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError
from map_core.generation.choice import base_pick
from map_core.generation.weighted_rewards import scored_values
from map_core.scoring.specification import Specification

#: A request beyond these is refused: a mistyped number must not occupy the queue or break the page.
MOST_CANDIDATES = 1024
LONGEST_PROMPT = 200_000


class Method(StrEnum):
    """How the base model's draws become one aligned reply.

    ``RESAMPLE``: K whole replies, one picked with probability softmax(lambda . r); what tables forecast.
    ``BEST``: K whole replies, the one with the highest lambda . r.
    ``BLOCKS``: sequential Monte Carlo, K replies that are re-sampled every block of tokens by their partial rewards.
    ``PRUNE``: K replies, of which the unpromising ones are stopped early, see :mod:`map_core.generation.pruning`.
    """

    RESAMPLE = "resample"
    BEST = "best"
    BLOCKS = "blocks"
    PRUNE = "prune"

    @classmethod
    def _missing_(cls, value: object) -> Method:
        raise InputError(f"There is no method {value!r}; there are {', '.join(cls)}.")


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt to be answered, the weights, and how.

    Args:
        prompt: what the person wrote; never empty.
        weights: lambda by value, 1/reward, any finite number; of a share or a tail of a value by its name, see
            :mod:`map_core.palettes.column_names`.
        values: further values whose rewards are shown; those with a weight are always shown.
        candidates: K, from 1 to :data:`MOST_CANDIDATES`.
        settings: how the base model is sampled; the settings of the table that gave the weights.
        seed: a whole number from 0; the same request with the same seed gives the same replies and picks.
        system: a system prompt, or none.
        history: the exchanges before this prompt, the earliest first.
        provisional: score partial replies while they are being written.
        method: see :class:`Method`.
        block: tokens of a block, from 1; for the method "blocks" only.
        most_candidates: whole replies only: draw K at a time until the goals below are met, up to this many in all;
            None draws K once.
        least_ess: goal of drawing more: effective sample size of the choice.
        largest_error: goal of drawing more: standard error of the expected lambda . r over the candidates, in nats.
        headroom: goal of drawing more, with the method "resample": no further candidate can be picked, if lambda . r
            counts only up to this many nats above the mean of the candidates; see
            :func:`map_core.generation.choice.race` and :mod:`map_core.analysis.headroom`.
        beginning: how every reply begins; replies go on from there and are scored with it.
        verbatim: the prompt is all that the model reads, without its chat template, system message and history.
        own: how values that are not built in are scored, as a table's metadata records it
            (:func:`map_core.scoring.from_metadata`); those of values that are not scored are ignored.
        floors: by value, in reward units: the least reward of every reply, see
            :mod:`map_core.generation.reply_floors`.

    Raises:
        InputError: an empty or overlong prompt, text that is not valid Unicode, a weight or floor that is not finite, K
            out of range, a negative seed, a block below 1, or an invalid goal.
    """

    prompt: str
    weights: Mapping[str, float] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    candidates: int = 16
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    seed: int = 0
    system: str | None = None
    history: tuple[Turn, ...] = ()
    provisional: bool = True
    method: Method = Method.RESAMPLE
    block: int = 16
    most_candidates: int | None = None
    least_ess: float | None = None
    largest_error: float | None = None
    headroom: float | None = None
    beginning: str = ""
    verbatim: bool = False
    own: tuple[Specification, ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise InputError("The prompt is empty. Write what the model should answer.")
        _check_text("prompt", self.prompt)
        _check_text("beginning of the reply", self.beginning)
        if self.verbatim and (self.system is not None or self.history or self.beginning):
            raise InputError(
                "A verbatim prompt takes no system prompt, earlier turns or beginning of the reply; write all of it "
                "into the prompt."
            )
        if self.system is not None:
            _check_text("system prompt", self.system)
        for turn in self.history:
            _check_text("earlier turn", turn.prompt)
            _check_text("earlier turn", turn.reply)
        check_weights(self.weights)
        for name, floor in self.floors.items():
            if not math.isfinite(floor):
                raise InputError(f"The floor of {name!r} is {floor}; expected a finite number in reward units.")
        base_pick(self.candidates, self.seed)  # refuses K below 1 and negative seeds
        most = self.candidates if self.most_candidates is None else self.most_candidates
        if max(self.candidates, most) > MOST_CANDIDATES:
            raise InputError(
                f"The request is for {max(self.candidates, most):,} candidates; expected at most {MOST_CANDIDATES:,}."
            )
        if self.block < 1:
            raise InputError(f"The block is {self.block} tokens; expected a whole number from 1.")
        self._check_goals()

    def _check_goals(self) -> None:
        if self.headroom is not None and self.method is not Method.RESAMPLE:
            raise InputError(f"headroom is for the method 'resample'; the method is {self.method.value!r}.")
        goals = {"least_ess": self.least_ess, "largest_error": self.largest_error, "headroom": self.headroom}
        for name, goal in goals.items():
            if goal is not None and not 0.0 < goal < math.inf:
                raise InputError(f"{name} is {goal}; expected a number above 0.")
        if self.most_candidates is None:
            return
        if self.method not in (Method.RESAMPLE, Method.BEST):
            raise InputError(
                f"most_candidates is for the methods 'resample' and 'best'; the method is {self.method.value!r}."
            )
        if self.most_candidates < self.candidates:
            raise InputError(
                f"most_candidates is {self.most_candidates}; expected at least the {self.candidates} of the first draw."
            )
        if not any(goal is not None for goal in goals.values()):
            raise InputError("most_candidates needs a goal; give headroom, least_ess or largest_error.")

    def with_used_values(self) -> GenerationRequest:
        """Return the request without the specifications of values that it does not score."""
        return replace(self, own=tuple(value for value in self.own if value.name in self.scored))

    @cached_property
    def base(self) -> int:
        """The candidate that is the base model's reply: uniform over the first K, known before sampling starts."""
        return base_pick(self.candidates, self.seed)

    def draw_request(self) -> DrawRequest:
        """Return the request to the engine for the first draw: K replies of the base model."""
        return DrawRequest(
            self.prompt,
            self.candidates,
            self.settings,
            self.seed,
            system=self.system,
            history=self.history,
            beginning=self.beginning,
            verbatim=self.verbatim,
        )

    @property
    def scored(self) -> tuple[str, ...]:
        """The values that are scored: those with a weight or a floor, then those that are only shown."""
        return self.values_of((*self.weights, *self.floors, *self.values))

    def values_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the values that these weights are about: a share of kindness is scored on kindness."""
        return scored_values(tuple(names), {value.name for value in self.own})


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that are not finite.

    Raises:
        InputError: a weight is not finite.
    """
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise InputError(f"The weight of {name!r} is {weight}; expected a finite number.")


def _check_text(label: str, text: str) -> None:
    if len(text) > LONGEST_PROMPT:
        raise InputError(f"The {label} has {len(text):,} characters; expected at most {LONGEST_PROMPT:,}. Shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The {label} is not valid text at character {error.start + 1}; expected Unicode, as in a UTF-8 file."
        ) from error
