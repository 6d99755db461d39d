"""Draw and score on the workers of a Ray cluster, each with a GPU of its own where the cluster has GPUs.

A worker that dies is restarted and repeats its task; as the result of a task depends only on its inputs, the table is
the same as without failures. Results are written as parts on this machine, so the machines need no shared disk.
Constraint: ray is imported only when a cluster is used.
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

#: Tasks that each worker has queued, so that none waits for the next one.
TASKS_PER_WORKER = 2
#: How often a worker is restarted, and a task retried, when the worker dies.
RESTARTS, RETRIES = 100, 3


class RayWorkers:
    """Workers on a Ray cluster.

    Args:
        address: "local" starts a cluster on this machine; "auto" or an address joins a running one.
        model_spec: the base model; None where nothing is drawn.
        sampling: how replies are drawn.
        scorers: the values; they must be picklable.
        limit: as for :class:`LocalWorkers`.
        workers: their number; by default that of the cluster's GPUs, or of its cores if it has none.

    Raises:
        InputError: ray is not installed, the cluster cannot be reached, or it has too few cores.
    """

    def __init__(
        self,
        address: str,
        model_spec: ModelSpec | None,
        sampling: SamplingSpec,
        scorers: Sequence[Scorer],
        limit: float | None = None,
        workers: int | None = None,
    ) -> None:
        self._ray = load_ray()
        self._actors: list[Any] = []
        self._started = not self._ray.is_initialized()
        if self._started:
            self._join(address)
        resources = self._ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        count = workers if workers is not None else gpus or cpus
        if count < 1 or count > cpus or (gpus and count > gpus):
            self.close()
            raise InputError(
                f"{count} workers are asked for, and the cluster has {cpus} cores and {gpus} GPUs. Ask for at least "
                "one and no more than it has; each worker takes a core, and a GPU where there are any."
            )
        options = {"num_cpus": max(1, cpus // count), "max_restarts": RESTARTS, "max_task_retries": RETRIES}
        actor = self._ray.remote(**options, num_gpus=1 if gpus else 0)(RayWorker)
        self._actors = [actor.remote(model_spec, sampling, list(scorers), limit) for _ in range(count)]

    def _join(self, address: str) -> None:
        settings: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        if address != "local":
            import map_core

            # The machines of a cluster have the libraries; the project itself is sent to them.
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
        """The model that draws, as the first worker reports it."""
        info: EngineInfo = self._result(self._actors[0].info.remote(), "opening the model")
        return info

    @property
    def parallel(self) -> int:
        """See :attr:`map_core.building.workers.Workers.parallel`: one prompt per worker."""
        return len(self._actors)

    @property
    def workers(self) -> list[Any]:
        """The workers' actor handles."""
        return list(self._actors)

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`map_core.building.workers.Workers.usable_prompts`."""
        usable: list[Prompt] = self._result(
            self._actors[0].usable_prompts.remote(list(prompts), skip), "looking at the prompts"
        )
        return usable

    def probe(self) -> SamplingProbe:
        """See :meth:`map_core.building.workers.Workers.probe`."""
        probe: SamplingProbe = self._result(self._actors[0].probe.remote(), "looking at the model")
        return probe

    def draw(self, tasks: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        """See :meth:`map_core.building.workers.Workers.draw`."""
        return self._distribute("draw", tasks)

    def score(self, tasks: Iterable[ScoringTask]) -> Iterator[tuple[ScoringTask, ScoringOutcome]]:
        """See :meth:`map_core.building.workers.Workers.score`."""
        return self._distribute("score", tasks)

    @property
    def notes(self) -> tuple[str, ...]:
        """None: the notes of the workers' scorers are not collected."""
        return ()

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        for worker in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(worker)
        if self._started:
            self._ray.shutdown()

    def _distribute(self, method: str, tasks: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Yield each task and its result, in the order in which they finish."""
        idle, remaining = deque(self._actors * TASKS_PER_WORKER), iter(tasks)
        pending: dict[Any, tuple[T, Any]] = {}
        while True:
            while idle and (task := next(remaining, None)) is not None:
                worker = idle.popleft()
                pending[getattr(worker, method).remote(task)] = task, worker
            if not pending:
                return
            (reference,), _ = self._ray.wait(list(pending), num_returns=1)
            task, worker = pending.pop(reference)
            idle.append(worker)
            yield task, self._result(reference, f"the prompt {task.prompt[:60]!r}")

    def _result(self, reference: Any, activity: str) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PaletteError):
                raise error.cause from error
            raise EngineError(f"A worker of the cluster failed on {activity} ({error.cause or error}).") from error
        except self._ray.exceptions.RayError as error:
            raise EngineError(
                f"A worker of the cluster stopped {RETRIES + 1} times on {activity} ({str(error).splitlines()[0]}). "
                "What was made is kept; run the same command again, with fewer candidates if memory ran out."
            ) from error


class RayWorker:
    """One worker, which opens its model with the first prompt and loads its scorers with the first batch."""

    def __init__(
        self, model_spec: ModelSpec | None, sampling: SamplingSpec, scorers: Sequence[Scorer], limit: float | None
    ) -> None:
        self._local = LocalWorkers(None if model_spec is None else model_spec.open, sampling, scorers, limit)

    def info(self) -> EngineInfo:
        """Return the model that draws."""
        return self._local.info

    def usable_prompts(self, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
        """See :meth:`map_core.building.workers.Workers.usable_prompts`."""
        return self._local.usable_prompts(prompts, skip)

    def probe(self) -> SamplingProbe:
        """See :meth:`map_core.building.workers.Workers.probe`."""
        return self._local.probe()

    def draw(self, task: SamplingTask) -> SamplingOutcome:
        """Draw the missing replies of one prompt."""
        return self._local.replies(task)

    def score(self, task: ScoringTask) -> ScoringOutcome:
        """Return the rewards of one task."""
        return self._local.rewards(task)

    def pid(self) -> int:
        """Return the id of the worker's process."""
        import os

        return os.getpid()
