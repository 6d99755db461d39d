"""Who does the work of a build: something that draws replies and scores them, here or on a cluster.

Constraint: work comes back in any order, and every piece of it is decided by what was asked alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from map_core.building.fault_tolerant_scoring import each_score
from map_core.building.plan import Drawing
from map_core.building.retry import retried
from map_core.building.sampling import drawn, usable
from map_core.building.scorer_host import Apart, Here, Host
from map_core.core.types import Reply
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine, EngineInfo
from map_core.errors import InputError
from map_core.scoring.base import Scorer


@dataclass(frozen=True)
class Lack:
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
class Batch:
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


Drawn = list[Reply] | InputError
"""A prompt's replies, or why a server, which alone can tell, does not take the prompt."""

Scored = tuple[np.ndarray, dict[int, str]]
"""(K,) rewards, NaN where the scorer failed, and why, by place."""


class Crew(Protocol):
    """What draws and scores."""

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        ...

    def usable(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """Return the prompts that the model can take, see :func:`map_core.building.sampling.usable`."""
        ...

    def draw(self, lacking: Iterable[Lack]) -> Iterator[tuple[Lack, Drawn]]:
        """Yield the replies, as they are ready."""
        ...

    def score(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Scored]]:
        """Yield the rewards, as they are ready."""
        ...

    def close(self) -> None:
        """End what runs."""
        ...


Hire = Callable[[str | None, Drawing, Sequence[Scorer]], Crew]
"""A crew for a model by name (None where nothing is drawn), how it draws, and the values."""


class Local:
    """One engine and one process of scorers on this machine, a prompt after another.

    Args:
        engine: the base model, or what opens it when it is first needed; None where nothing is drawn.
        drawing: how it draws.
        scorers: the values.
        limit: seconds that a scorer may take for all replies to a prompt, in a process of its own; None lets scorers
            run in this process for as long as they like.
    """

    def __init__(
        self,
        engine: Engine | Callable[[], Engine] | None,
        drawing: Drawing,
        scorers: Sequence[Scorer],
        limit: float | None = None,
    ) -> None:
        self._engine, self._drawing = engine, drawing
        self._host: Host = Here(scorers) if limit is None else Apart(scorers, limit)

    @property
    def info(self) -> EngineInfo:
        """The model that draws."""
        return self._model().info

    def usable(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`Crew.usable`."""
        return usable(self._model(), self._drawing, prompts, skip)

    def draw(self, lacking: Iterable[Lack]) -> Iterator[tuple[Lack, Drawn]]:
        """See :meth:`Crew.draw`; what a server does not answer is asked again."""
        for lack in lacking:
            yield lack, self.replies(lack)

    def replies(self, lack: Lack) -> Drawn:
        """Draw the replies that one prompt lacks."""
        engine = self._model()
        try:
            return retried(lambda: drawn(engine, self._drawing, lack.prompt, lack.first, lack.count))
        except InputError as error:
            return error

    def score(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Scored]]:
        """See :meth:`Crew.score`."""
        for batch in batches:
            yield batch, self.rewards(batch)

    def rewards(self, batch: Batch) -> Scored:
        """Return the rewards of one batch."""
        whole = len(batch.replies)

        def ask(some: Sequence[Reply]) -> np.ndarray:
            return retried(lambda: self._host.score(batch.scorer, batch.prompt, some, len(some) / whole))

        return each_score(ask, batch.replies)

    def close(self) -> None:
        """End the process of the scorers."""
        self._host.close()

    def _model(self) -> Engine:
        if self._engine is None:
            raise InputError("No model was opened, and replies are to be drawn.")
        if not isinstance(self._engine, Engine):
            self._engine = self._engine()
        return self._engine
