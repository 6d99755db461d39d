"""The crew on a Ray cluster: workers that draw and score, a GPU to each where there are any.

A worker that dies is started again and does anew what it was at; as every piece of work is decided by what was asked
alone, the table is the one that would have come undisturbed. What comes back is written here, as parts, so the
machines need no common disc. Constraint: ray loads when a cluster is asked for.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from map_core.building.model_spec import ModelSpec
from map_core.building.plan import SamplingSpec
from map_core.building.workers import LocalWorkers, SamplingOutcome, SamplingTask, ScoringOutcome, ScoringTask
from map_core.data.prompts import Prompt
from map_core.engines.base import EngineInfo
from map_core.engines.sampling_probe import SamplingProbe
from map_core.errors import EngineError, InputError, PaletteError
from map_core.oracle.ray_oracle import load_ray
from map_core.scoring.base import Scorer

T = TypeVar("T", SamplingTask, ScoringTask)

#: Pieces of work that each worker has before it, so that none waits for the next one.
TASKS_PER_WORKER = 2
#: How often a worker is started again, and one piece of work is tried again, when the worker dies on it.
RESTARTS, RETRIES = 100, 3


class RayWorkers:
    """Workers on a Ray cluster.

    Args:
        address: "local" starts one on this machine; "auto" or an address joins one that runs.
        opening: the base model; None where nothing is drawn.
        drawing: how it draws.
        scorers: the values; they must be picklable.
        limit: as for :class:`LocalWorkers`.
        workers: how many; by default as many as the cluster's GPUs, or its cores without any.

    Raises:
        InputError: ray is not installed, the cluster cannot be reached, or it has too few cores.
    """

    def __init__(
        self,
        address: str,
        opening: ModelSpec | None,
        drawing: SamplingSpec,
        scorers: Sequence[Scorer],
        limit: float | None = None,
        workers: int | None = None,
    ) -> None:
        self._ray = load_ray()
        self._workers: list[Any] = []
        self._started = not self._ray.is_initialized()
        if self._started:
            self._join(address)
        there = self._ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        count = workers if workers is not None else gpus or cpus
        if count < 1 or count > cpus or (gpus and count > gpus):
            self.close()
            raise InputError(
                f"{count} workers are asked for, and the cluster has {cpus} cores and {gpus} GPUs. Ask for at least "
                "one and no more than it has; each worker takes a core, and a GPU where there are any."
            )
        options = {"num_cpus": max(1, cpus // count), "max_restarts": RESTARTS, "max_task_retries": RETRIES}
        actor = self._ray.remote(**options, num_gpus=1 if gpus else 0)(RayWorker)
        self._workers = [actor.remote(opening, drawing, list(scorers), limit) for _ in range(count)]

    def _join(self, address: str) -> None:
        settings: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        if address != "local":
            import map_core

            # Machines of a cluster have the libraries; the project itself travels.
            settings["runtime_env"] = {"py_modules": [str(Path(map_core.__file__).parent)]}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="error", **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"No Ray cluster answers at {address!r} ({str(error).splitlines()[0]}). Start one with: ray start "
                "--head, or take --ray local."
            ) from error

    @cached_property
    def info(self) -> EngineInfo:
        """The model that draws, as the first worker has it."""
        info: EngineInfo = self._answer(self._workers[0].info.remote(), "opening the model")
        return info

    @property
    def parallel(self) -> int:
        """See :attr:`map_core.building.workers.Workers.parallel`: a prompt a worker."""
        return len(self._workers)

    @property
    def workers(self) -> list[Any]:
        """The workers, for whoever watches them."""
        return list(self._workers)

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`map_core.building.workers.Workers.usable_prompts`."""
        usable: list[Prompt] = self._answer(
            self._workers[0].usable_prompts.remote(list(prompts), skip), "looking at the prompts"
        )
        return usable

    def probe(self) -> SamplingProbe:
        """See :meth:`map_core.building.workers.Workers.probe`."""
        probe: SamplingProbe = self._answer(self._workers[0].probe.remote(), "looking at the model")
        return probe

    def draw(self, lacking: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """See :meth:`map_core.building.workers.Workers.draw`."""
        return self._spread("draw", lacking)

    def score(self, batches: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """See :meth:`map_core.building.workers.Workers.score`."""
        return self._spread("score", batches)

    @property
    def notes(self) -> tuple[str, ...]:
        """None: what the workers' scorers count stays with them."""
        return ()

    def close(self) -> None:
        """End the workers, and the cluster where it was started here."""
        for worker in self._workers:
            with contextlib.suppress(Exception):
                self._ray.kill(worker)
        if self._started:
            self._ray.shutdown()

    def _spread(self, method: str, work: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Yield each piece of work and its answer, in the order of the answers."""
        idle, coming = deque(self._workers * TASKS_PER_WORKER), iter(work)
        pending: dict[Any, tuple[T, Any]] = {}
        while True:
            while idle and (piece := next(coming, None)) is not None:
                worker = idle.popleft()
                pending[getattr(worker, method).remote(piece)] = piece, worker
            if not pending:
                return
            (reference,), _ = self._ray.wait(list(pending), num_returns=1)
            piece, worker = pending.pop(reference)
            idle.append(worker)
            yield piece, self._answer(reference, f"the prompt {piece.prompt[:60]!r}")

    def _answer(self, reference: Any, what: str) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PaletteError):
                raise error.cause from error
            raise EngineError(f"A worker of the cluster failed on {what} ({error.cause or error}).") from error
        except self._ray.exceptions.RayError as error:
            raise EngineError(
                f"A worker of the cluster stopped {RETRIES + 1} times on {what} ({str(error).splitlines()[0]}). What "
                "is made is kept; start the same again, with fewer candidates if memory ran out."
            ) from error


class RayWorker:
    """One worker: its model opens with the first prompt, its scorers load with the first score."""

    def __init__(
        self, opening: ModelSpec | None, drawing: SamplingSpec, scorers: Sequence[Scorer], limit: float | None
    ) -> None:
        self._crew = LocalWorkers(None if opening is None else opening.open, drawing, scorers, limit)

    def info(self) -> EngineInfo:
        """Return the model that draws."""
        return self._crew.info

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """Return the prompts that the model can take."""
        return self._crew.usable_prompts(prompts, skip)

    def probe(self) -> SamplingProbe:
        """Return what can be told of the replies."""
        return self._crew.probe()

    def draw(self, lack: SamplingTask) -> SamplingOutcome:
        """Draw the replies that one prompt lacks."""
        return self._crew.replies(lack)

    def score(self, batch: ScoringTask) -> ScoringOutcome:
        """Return the rewards of one batch."""
        return self._crew.rewards(batch)

    def pid(self) -> int:
        """Return the id of the worker's process."""
        import os

        return os.getpid()
