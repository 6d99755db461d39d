"""A table distributed over the workers of a Ray cluster, by prompts.

Workers return averages over their prompts, except for the per-prompt methods. Constraint: ray is imported when a
cluster is used; the app does not need it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from map_core.core.types import Form
from map_core.errors import EngineError, InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.memory import MemoryOracle, block_cuts, check_form
from map_core.oracle.parquet import ParquetOracle
from map_core.oracle.reward_stats import RewardStats, combine_stats
from map_core.oracle.weighted import apply_prompt_weights

#: Seconds that workers may take to start, to read their shares and to answer.
TIMEOUT = 600.0


class RayOracle(Oracle):
    """A table on a Ray cluster; use :meth:`of` for arrays or :meth:`of_files` for files.

    Prompt weights of arrays need a :class:`map_core.oracle.weighted.WeightedOracle` around it. The cluster is the one
    that ``ray.init`` connected to, or a local one.

    Example:
        >>> oracle = RayOracle.of(rewards, offsets, ("humor",), Form.PER_PROMPT, workers=4)  # doctest: +SKIP
    """

    def __init__(self, workers: Sequence[Any], form: Form, described: Sequence[Any]) -> None:
        """Combine the shares of workers.

        Args:
            workers: one a share.
            form: per prompt or pooled.
            described: their pending results: the values and the statistics of each share.
        """
        form, shares = Form(form), _gather(described)
        names = {values for values, _ in shares}
        if len(names) > 1:
            raise InputError(f"The files hold different values: {' and '.join(map(', '.join, sorted(names)))}.")
        stats = [share_stats for _, share_stats in shares]
        whole = combine_stats(form, stats)
        self._describe(shares[0][0], form, whole)
        self._workers, self._share = list(workers), 1.0
        self._which: tuple[int, ...] | None = None
        self._parts: dict[float, RayOracle | None] = {}
        self._count([(part.prompts, part.replies) for part in stats])
        self.resolution = max(_gather([worker.use.remote(whole) for worker in workers]))

    @classmethod
    def of(
        cls,
        rewards: np.ndarray,
        offsets: np.ndarray,
        values: tuple[str, ...],
        form: Form,
        *,
        workers: int = 2,
        cpus: float = 1.0,
    ) -> RayOracle:
        """Distribute a table in memory over workers.

        Args:
            rewards: as for :class:`MemoryOracle`.
            offsets: as for :class:`MemoryOracle`.
            values: as for :class:`MemoryOracle`.
            form: as for :class:`MemoryOracle`.
            workers: how many; at most one a prompt.
            cpus: cores that each worker reserves.

        Raises:
            InputError: ray is not installed, the cluster has too few cores, or the table cannot be read.
            EngineError: a worker stopped.
        """
        rewards, offsets = np.asarray(rewards), np.asarray(offsets, dtype=np.int64)
        if rewards.dtype != np.float32:
            rewards = rewards.astype(np.float64, copy=False)
        counts = np.diff(offsets)
        form = Form(form)
        check_form(form, int(counts.max()))
        cuts_at = np.searchsorted(offsets, np.linspace(0, offsets[-1], workers + 1)[1:-1])
        cuts = sorted({0, *(int(cut) for cut in cuts_at), len(counts)})
        shares = [(rewards[offsets[a] : offsets[b]], counts[a:b]) for a, b in pairwise(cuts)]
        started = _start(len(shares), form, cpus)
        return cls(
            started, form, [w.take.remote(*share, tuple(values)) for w, share in zip(started, shares, strict=True)]
        )

    @classmethod
    def of_files(
        cls,
        paths: Sequence[str | os.PathLike[str]],
        values: Sequence[str] | None = None,
        form: Form = Form.PER_PROMPT,
        *,
        cpus: float = 1.0,
        **settings: Any,
    ) -> Oracle:
        """Start a worker for each Parquet file and apply the prompt weights and held-out flags of all files.

        Args:
            paths: files of whole prompts, where the workers can read them.
            values: as for :class:`ParquetOracle`.
            form: as for :class:`ParquetOracle`.
            cpus: cores that each worker reserves.
            **settings: further arguments of :class:`ParquetOracle`, such as the memory of each worker.

        Raises:
            InputError: as :meth:`of`.
            EngineError: a worker stopped.
        """
        started = _start(len(paths), Form(form), cpus)
        opened = [w.open.remote(os.fspath(path), values, settings) for w, path in zip(started, paths, strict=True)]
        oracle = cls(started, form, opened)
        return apply_prompt_weights(oracle, oracle._file_weights())

    def _file_weights(self) -> np.ndarray | None:
        """Return the prompt weights of all files, (prompt,); None where no file has any."""
        weights = _gather([worker.prompt_weights.remote() for worker in self._workers])
        if all(file_weights is None for file_weights in weights):
            return None
        return np.concatenate(
            [
                np.ones(prompts) if file_weights is None else file_weights
                for file_weights, prompts in zip(weights, self._prompts, strict=True)
            ]
        )

    def moments(self, weights: np.ndarray) -> Moments:
        """Return the moments at x, see :meth:`Oracle.moments`."""
        return combine_moments(self.form, self._sizes, self._call("moments", weights))

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors, see :meth:`Oracle.batch_moments`."""
        counted: list[np.ndarray | None] = [None] * len(self._workers)
        if multiplicity is not None:
            counted = list(np.split(np.asarray(multiplicity), np.cumsum(self._prompts)[:-1], axis=1))
        pending = [
            worker.call.remote(
                self._share, self._which, "batch_moments", weights, multiplicity=part, covariance=covariance
            )
            for worker, part in zip(self._workers, counted, strict=True)
        ]
        return combine_batches(self.form, _gather(pending))

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels of the best replies, see :meth:`Oracle.best`."""
        return combine_best(self.form, weights, self._sizes, self._call("best", weights))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's moments, see :meth:`Oracle.by_prompt`."""
        return combine_prompts(self.form, self._call("by_prompt", weights))

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return each prompt's best levels, see :meth:`Oracle.best_by_prompt`."""
        return np.concatenate(self._call("best_by_prompt", weights))

    def subsample(self, share: float) -> RayOracle | None:
        """Return the subsamples of the workers' own oracles, or all prompts of a worker that has none."""
        if share not in self._parts:
            self._parts[share] = self._part(share)
        return self._parts[share]

    def _part(self, share: float) -> RayOracle | None:
        counts = _gather([worker.sizes.remote(share) for worker in self._workers])
        if sum(prompts for prompts, _ in counts) == self.prompts:
            return None
        part = self._uncached_copy()
        part._share, part._parts = share, {}
        part._count(counts)
        return part

    def of_values(self, which: np.ndarray) -> RayOracle:
        """Return an oracle of some of the values alone, see :meth:`Oracle.of_values`."""
        part = self._copy_of_values(which)
        positions = np.arange(len(self.values)) if self._which is None else np.array(self._which)
        part._which = tuple(positions[which].tolist())
        part._parts = {}
        return part

    def _count(self, counts: Sequence[tuple[int, int]]) -> None:
        """Set the numbers of prompts and replies of each worker."""
        self._prompts = [prompts for prompts, _ in counts]
        self._sizes = [prompts if self.form is Form.PER_PROMPT else replies for prompts, replies in counts]
        self.prompts, self.replies = sum(self._prompts), sum(replies for _, replies in counts)

    def _call(self, method: str, weights: np.ndarray) -> list[Any]:
        return _gather([worker.call.remote(self._share, self._which, method, weights) for worker in self._workers])


class OracleWorker:
    """A share of the table: arrays, standardised once the units of the whole table are known, or a file."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._file: ParquetOracle | None = None
        self._of_values: tuple[tuple[int, ...], MemoryOracle | ParquetOracle] | None = None

    def open(self, path: str, columns: Sequence[str] | None, settings: Any) -> tuple[tuple[str, ...], RewardStats]:
        """Open a file as the share; return its values and statistics."""
        self._file = ParquetOracle(path, columns, self._form, weights_applied=True, **{"threads": 1} | settings)
        return self._file.values, self._file.stats

    def prompt_weights(self) -> np.ndarray | None:
        """Return the prompt weights of the file, (prompt,); None where it has none."""
        return None if self._file is None else self._file.prompt_weights

    def take(
        self, rewards: np.ndarray, counts: np.ndarray, values: tuple[str, ...]
    ) -> tuple[tuple[str, ...], RewardStats]:
        """Take arrays as the share; return the values and statistics."""
        offsets = np.concatenate([[0], np.cumsum(counts)])
        cuts = block_cuts(offsets, rewards.shape[1], 1)
        self._parts = [(rewards[offsets[a] : offsets[b]], counts[a:b]) for a, b in cuts]
        self._values = values
        return values, combine_stats(self._form, [RewardStats.of(*part, self._form) for part in self._parts])

    def use(self, whole: RewardStats) -> float:
        """Standardise in the units of the whole table; return the resolution of this share."""
        if self._file is not None:
            self._oracle: MemoryOracle | ParquetOracle = self._file.in_units_of(whole)
        else:
            self._oracle = MemoryOracle.part(self._parts, self._values, self._form, whole, threads=1)
            self._parts = []
        return self._oracle.resolution

    def sizes(self, share: float) -> tuple[int, int]:
        """Return the numbers of prompts and replies of a subsample of about this share."""
        part = self._at(share)
        return part.prompts, part.replies

    def call(
        self, share: float, which: tuple[int, ...] | None, method: str, weights: np.ndarray, **settings: Any
    ) -> Any:
        """Call a method of the oracle of a subsample of about this share, and of the values at these positions."""
        return getattr(self._at(share, which), method)(weights, **settings)

    def _at(self, share: float, which: tuple[int, ...] | None = None) -> Oracle:
        return self._of(which).subsample(share) or self._of(which)

    def _of(self, which: tuple[int, ...] | None) -> MemoryOracle | ParquetOracle:
        """Return the share's oracle of the values at these positions, of which the last one is kept."""
        if which is None:
            return self._oracle
        if self._of_values is None or self._of_values[0] != which:
            self._of_values = which, self._oracle.of_values(np.array(which))
        return self._of_values[1]


def load_ray() -> ModuleType:
    """Import the ray library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "A table on a cluster needs ray, which is not installed. Run: pip install -r requirements-cluster.txt"
        ) from error
    return ray


def _start(count: int, form: Form, cpus: float) -> list[Any]:
    """Start workers that reserve ``cpus`` cores each."""
    ray = load_ray()
    if not ray.is_initialized():
        ray.init(include_dashboard=False)
    available = ray.cluster_resources().get("CPU", 0.0)
    if cpus * count > available:
        raise InputError(
            f"{count} workers with {cpus:g} cores each need more than the {available:g} cores of the cluster. "
            "Ask for fewer workers, or for fewer cores each."
        )
    actor = ray.remote(num_cpus=cpus)(OracleWorker)
    return [actor.remote(form) for _ in range(count)]


def _gather(pending: Sequence[Any]) -> list[Any]:
    """Wait for the workers' results, in order."""
    ray = load_ray()
    try:
        return list(ray.get(list(pending), timeout=TIMEOUT))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from error
        raise EngineError(f"A worker of the cluster failed ({error}).") from error
    except (ray.exceptions.RayError, TimeoutError) as error:
        raise EngineError(
            f"A worker of the cluster stopped before it answered ({error}). Distribute the table again."
        ) from error
