"""Who does the work of a build: something that draws replies and scores them, here or on a cluster.

Constraint: work comes back in any order, and every piece of it is decided by what was asked alone.
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
    """Replies that a prompt lacks.

    Args:
        number: the prompt's place in the table.
        prompt: its text.
        first, count: the number of the first candidate, and how many.
    """

    number: int
    prompt: str
    first: int
    count: int


@dataclass(frozen=True)
class ScoringTask:
    """Replies to one prompt that lack a value's reward.

    Args:
        number: the prompt's place in the table.
        prompt: its text.
        column: the value's place in the table.
        scorer: the scorer's place among the scorers.
        candidates: the numbers of the replies.
        replies: the replies.
    """

    number: int
    prompt: str
    column: int
    scorer: int
    candidates: tuple[int, ...]
    replies: tuple[Reply, ...]


SamplingOutcome = list[Reply] | InputError
"""A prompt's replies, or why a server, which alone can tell, does not take the prompt."""

ScoringOutcome = tuple[np.ndarray, dict[int, str]]
"""(K,) rewards, NaN where the scorer failed, and why, by place."""


class Workers(Protocol):
    """What draws and scores."""

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        ...

    @property
    def parallel(self) -> int:
        """How many prompts are worked on at a time."""
        ...

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """Return the prompts that the model can take, see :func:`map_core.building.sampling.usable_prompts`."""
        ...

    def probe(self) -> SamplingProbe:
        """Return what can be told of the replies before the first one counts, see :meth:`Engine.probe`."""
        ...

    def draw(self, lacking: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """Yield the replies, as they are ready."""
        ...

    def score(self, batches: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """Yield the rewards, as they are ready."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the rewards so far should know, a sentence each, as far as the scorers here tell."""
        ...

    def close(self) -> None:
        """End what runs."""
        ...


OpenWorkers = Callable[[str | None, SamplingSpec, Sequence[Scorer]], Workers]
"""A crew for a model by name (None where nothing is drawn), how it draws, and the values."""


class LocalWorkers:
    """One engine and one process of scorers on this machine, a prompt after another.

    Args:
        engine: the base model, or what opens it when it is first needed; None where nothing is drawn.
        drawing: how it draws.
        scorers: the values.
        limit: seconds that a scorer may take for all replies to a prompt, in a process of its own; None lets scorers
            run in this process for as long as they like.
        say: told when a server is asked again, in a sentence; None for nobody.
    """

    def __init__(
        self,
        engine: Engine | Callable[[], Engine] | None,
        drawing: SamplingSpec,
        scorers: Sequence[Scorer],
        limit: float | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._engine, self._drawing, self._say = engine, drawing, say
        self._host: ScorerHost = InProcessScorers(scorers) if limit is None else ScorerSubprocess(scorers, limit)

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        return self._model().info

    @property
    def parallel(self) -> int:
        """See :attr:`Workers.parallel`: one prompt, with all its replies at once."""
        return 1

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`Workers.usable_prompts`."""
        return usable_prompts(self._model(), self._drawing, prompts, skip)

    def probe(self) -> SamplingProbe:
        """See :meth:`Workers.probe`."""
        engine, drawing = self._model(), self._drawing
        return call_with_retries(lambda: engine.probe(drawing.settings, drawing.system), self._say)

    def draw(self, lacking: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """See :meth:`Workers.draw`; what a server does not answer is asked again."""
        for lack in lacking:
            yield lack, self.replies(lack)

    def replies(self, lack: SamplingTask) -> SamplingOutcome:
        """Draw the replies that one prompt lacks."""
        engine = self._model()
        try:
            return call_with_retries(
                lambda: sample_candidates(engine, self._drawing, lack.prompt, lack.first, lack.count), self._say
            )
        except InputError as error:
            return error

    def score(self, batches: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """See :meth:`Workers.score`."""
        for batch in batches:
            yield batch, self.rewards(batch)

    def rewards(self, batch: ScoringTask) -> ScoringOutcome:
        """Return the rewards of one batch."""
        whole = len(batch.replies)

        def ask(some: Sequence[Reply]) -> np.ndarray:
            return call_with_retries(
                lambda: self._host.score(batch.scorer, batch.prompt, some, len(some) / whole), self._say
            )

        return score_each(ask, batch.replies)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :attr:`Workers.notes`."""
        return self._host.notes

    def close(self) -> None:
        """End the process of the scorers."""
        self._host.close()

    def _model(self) -> Engine:
        if self._engine is None:
            raise InputError("No model was opened, and replies are to be drawn.")
        if not isinstance(self._engine, Engine):
            self._engine = self._engine()
        return self._engine
