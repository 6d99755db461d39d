"""Sample aligned replies, and list the built-in scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.interface.notebook import html_table

if TYPE_CHECKING:
    from map_core.scoring.base import Scorer


@dataclass(frozen=True, eq=False)
class AlignedSample:
    """One prompt answered by the base model and by the aligned model, chosen from the same candidates.

    Args:
        prompt: the user's text.
        base: the base model's reply.
        aligned: the aligned model's reply.
        replies: (candidate,) all candidates.
        probabilities: (candidate,) of being the aligned reply, softmax(lambda . r).
        rewards: (candidate,) by value.
        ess: effective sample size of the choice.
        kl: nats that the choice spent, at most log K.
        floors: whether the floors for every reply were met, and by how many candidates; None without floors.
    """

    prompt: str
    base: str
    aligned: str
    replies: tuple[str, ...]
    probabilities: tuple[float, ...]
    rewards: dict[str, tuple[float, ...]]
    ess: float
    kl: float
    floors: dict[str, Any] | None = None

    def _repr_html_(self) -> str:
        return html_table(self.prompt, ("base model", "aligned model"), [(self.base, self.aligned)])


def sample_aligned(
    prompt: str,
    weights: Mapping[str, float],
    *,
    candidates: int = 16,
    model: str | None = None,
    seed: int = 0,
    settings: SamplingSettings | None = None,
    floors: Mapping[str, float] | None = None,
) -> AlignedSample:
    """Answer a prompt as the base model and as the aligned model, from the same candidates.

    Args:
        prompt: the user's text.
        weights: lambda by built-in value, in 1/reward: :attr:`Solved.weights` or, where shares or use cases have
            weights, :meth:`Solved.weights_for`.
        candidates: K, the replies to choose among.
        model: a name from ``value-palette models list`` or a folder; None for the default one.
        seed: the same seed gives the same replies and the same choice.
        settings: how the model is sampled; None for those of the embedded table.
        floors: the least reward of the reply by value, in reward units; where no candidate meets all of them, the
            reply is among those with the least shortfall.

    Raises:
        InputError: an empty prompt, an unknown value, or a number out of its range.
        MissingModelError: the model is not on this machine; the message has the command that fetches it.

    Example:
        >>> import map_core as vp
        >>> sample = vp.sample_aligned("How do I calm a crying child?", {"kindness": 2.0})  # doctest: +SKIP
        >>> print(sample.aligned)  # doctest: +SKIP
    """
    from map_core.engines.factory import open_engine
    from map_core.generation.events import Finished
    from map_core.generation.request import GenerationRequest
    from map_core.generation.sampler import generation_events
    from map_core.models.packaged import DEFAULT_MODEL

    if settings is None:
        settings = SamplingSettings.from_metadata(table_format.load_metadata(table_format.DEFAULT_TABLE))
    request = GenerationRequest(
        prompt,
        dict(weights),
        candidates=candidates,
        settings=settings,
        seed=seed,
        provisional=False,
        floors=dict(floors or {}),
    )
    scorers_by_name = {scorer.name: scorer for scorer in scorers(request.scored)} if request.scored else {}
    engine = open_engine(model or DEFAULT_MODEL)
    *_, finished = generation_events(engine, scorers_by_name, request)
    assert isinstance(finished, Finished), "generation_events() ends with Finished"
    choice, texts = finished.choice, tuple(reply.text for reply in finished.replies)
    return AlignedSample(
        prompt=prompt,
        base=texts[choice.base],
        aligned=texts[choice.picked],
        replies=texts,
        probabilities=tuple(map(float, choice.probabilities)),
        rewards={name: tuple(map(float, rewards)) for name, rewards in finished.rewards.items()},
        ess=float(choice.ess),
        kl=float(choice.kl),
        floors=None if choice.floors is None else choice.floors.as_dict(),
    )


def scorers(names: Sequence[str] | None = None) -> list[Scorer]:
    """Return built-in scorers by name, all of them when None.

    A scorer's ``score(prompt, replies)`` returns one reward per reply; a model that it needs loads at the first call.

    Raises:
        InputError: an unknown value, or one that is named twice.

    Example:
        >>> import map_core as vp
        >>> [scorer.name for scorer in vp.scorers(["diversity", "humor"])]
        ['diversity', 'humor']
    """
    from map_core.scoring import scorers as built_in

    return built_in(names)
