"""Workers that draw and score the replies of a build: the protocol, and the implementation on this machine.

Constraint: results are yielded in any order, and the result of a task depends only on the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from map_core.building.fault_tolerant_scoring import score_each
from map_core.building.plan import SamplingSpec
from map_core.building.retry import call_with_retries
from map_core.building.sampling import sample_candidates, usable_prompts
from map_core.building.scorer_host import InProcessScorers, ScorerHost, ScorerSubprocess
from map_core.core.types import Reply
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.sampling_probe import SamplingProbe
from map_core.errors import InputError
from map_core.scoring.base import Scorer


@dataclass(frozen=True)
class SamplingTask:
    """Missing replies of a prompt.

    Args:
        prompt_index: the prompt's index in the table.
        prompt: its text.
        first, count: the number of the first missing candidate, and how many are missing.
    """

    prompt_index: int
    prompt: str
    first: int
    count: int


@dataclass(frozen=True)
class ScoringTask:
    """Replies to one prompt that lack a value's reward.

    Args:
        prompt_index: the prompt's index in the table.
        prompt: its text.
        column: the value's index in the table.
        scorer: the scorer's index among the scorers.
        candidates: the candidate numbers of the replies.
        replies: the replies.
    """

    prompt_index: int
    prompt: str
    column: int
    scorer: int
    candidates: tuple[int, ...]
    replies: tuple[Reply, ...]


SamplingOutcome = list[Reply] | InputError
"""A prompt's replies, or the error of a server that does not accept the prompt, which shows only when it is asked."""

ScoringOutcome = tuple[np.ndarray, dict[int, str]]
"""(K,) rewards, NaN where the scorer failed, and the reasons of the failures by index."""


class Workers(Protocol):
    """Draw and score the replies of a build."""

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        ...

    @property
    def parallel(self) -> int:
        """The number of prompts that are worked on at a time."""
        ...

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """Return the prompts that the model accepts, see :func:`map_core.building.sampling.usable_prompts`."""
        ...

    def probe(self) -> SamplingProbe:
        """Return what is known about the replies before any is drawn, see :meth:`Engine.probe`."""
        ...

    def draw(self, tasks: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """Yield each task with its replies, as they are ready."""
        ...

    def score(self, tasks: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """Yield each task with its rewards, as they are ready."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for readers of the rewards so far, from the scorers on this machine."""
        ...

    def close(self) -> None:
        """End the workers' processes."""
        ...


OpenWorkers = Callable[[str | None, SamplingSpec, Sequence[Scorer]], Workers]
"""Returns workers for a model's name (None where nothing is drawn), the sampling, and the scorers."""


class LocalWorkers:
    """One engine and one scorer host on this machine, which take the prompts one after another.

    Args:
        engine: the base model, or a function that opens it when it is first needed; None where nothing is drawn.
        sampling: how replies are drawn.
        scorers: the values.
        limit: seconds that a scorer may take for all replies to a prompt, in a child process; None runs scorers in
            this process without a time limit.
        say: called with a sentence before a request to a server is repeated; None for no messages.
    """

    def __init__(
        self,
        engine: Engine | Callable[[], Engine] | None,
        sampling: SamplingSpec,
        scorers: Sequence[Scorer],
        limit: float | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._engine, self._sampling, self._say = engine, sampling, say
        self._host: ScorerHost = InProcessScorers(scorers) if limit is None else ScorerSubprocess(scorers, limit)

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        return self._model().info

    @property
    def parallel(self) -> int:
        """See :attr:`Workers.parallel`: one prompt."""
        return 1

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`Workers.usable_prompts`."""
        return usable_prompts(self._model(), self._sampling, prompts, skip)

    def probe(self) -> SamplingProbe:
        """See :meth:`Workers.probe`."""
        engine, sampling = self._model(), self._sampling
        return call_with_retries(lambda: engine.probe(sampling.settings, sampling.system), self._say)

    def draw(self, tasks: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """See :meth:`Workers.draw`; failed requests to a server are repeated."""
        for task in tasks:
            yield task, self.replies(task)

    def replies(self, task: SamplingTask) -> SamplingOutcome:
        """Draw the missing replies of one prompt."""
        engine = self._model()
        try:
            return call_with_retries(
                lambda: sample_candidates(engine, self._sampling, task.prompt, task.first, task.count), self._say
            )
        except InputError as error:
            return error

    def score(self, tasks: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """See :meth:`Workers.score`."""
        for task in tasks:
            yield task, self.rewards(task)

    def rewards(self, task: ScoringTask) -> ScoringOutcome:
        """Return the rewards of one task."""
        count = len(task.replies)

        def score_batch(batch: Sequence[Reply]) -> np.ndarray:
            return call_with_retries(
                lambda: self._host.score(task.scorer, task.prompt, batch, len(batch) / count), self._say
            )

        return score_each(score_batch, task.replies)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :attr:`Workers.notes`."""
        return self._host.notes

    def close(self) -> None:
        """End the scorers' process."""
        self._host.close()

    def _model(self) -> Engine:
        if self._engine is None:
            raise InputError("Replies are to be drawn, but no model was given.")
        if not isinstance(self._engine, Engine):
            self._engine = self._engine()
        return self._engine
