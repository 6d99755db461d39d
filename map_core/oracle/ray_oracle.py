"""A table shared out over the workers of a Ray cluster; each answers for its prompts.

What comes back from a worker is a sum over its prompts, but for the questions that ask about every prompt.
Constraint: ray loads when a cluster is asked for; it is no part of what running the app needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from map_core.core.types import Form
from map_core.errors import EngineError, InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments, is_singular
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.memory import CLEARING, MemoryOracle, block_cuts, check_form, shows_full_rank
from map_core.oracle.parquet import ParquetOracle
from map_core.oracle.reward_stats import Spread, combine_spreads
from map_core.oracle.weighted import apply_prompt_weights

#: Seconds that the workers of a cluster may take to start and to read their shares.
START = 600.0


class RayOracle(Oracle):
    """A table on a Ray cluster; made by :meth:`of` from arrays or by :meth:`of_files` from files.

    Prompts of arrays count differently by :class:`map_core.oracle.weighted.WeightedOracle` around it.

    The cluster is the one that ``ray.init`` was called for, or a local one.

    Example:
        >>> oracle = RayOracle.of(rewards, offsets, ("humor",), Form.PER_PROMPT, workers=4)  # doctest: +SKIP
    """

    def __init__(self, workers: Sequence[Any], form: Form, described: Sequence[Any]) -> None:
        """Workers, and their answers to come: the values and the spread of each share."""
        form, found = Form(form), _gather(described)
        names = {values for values, _ in found}
        if len(names) > 1:
            raise InputError(f"The files hold different values: {' and '.join(map(', '.join, sorted(names)))}.")
        spreads = [spread for _, spread in found]
        whole = combine_spreads(form, spreads)
        self._describe(found[0][0], form, whole)
        self._workers, self._share = list(workers), 1.0
        self._parts: dict[float, RayOracle | None] = {}
        self._count([(part.prompts, part.replies) for part in spreads])
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
        """Share a table in memory out over so many workers.

        Args:
            rewards, offsets, values, form: as for :class:`MemoryOracle`.
            workers: how many; at most one a prompt.
            cpus: cores that each worker holds.

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
        wanted = np.searchsorted(offsets, np.linspace(0, offsets[-1], workers + 1)[1:-1])
        cuts = sorted({0, *(int(cut) for cut in wanted), len(counts)})
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
        """A worker for each of these Parquet files, which hold whole prompts and lie where the workers can read them.

        Where prompts have weights or some are held out, each counts by that, beside those of all files.

        Args:
            paths, values, form: as for :class:`ParquetOracle`.
            cpus: cores that each worker holds.
            settings: further arguments of :class:`ParquetOracle`, such as the memory of each worker.

        Raises:
            InputError, EngineError: as above.
        """
        started = _start(len(paths), Form(form), cpus)
        opened = [w.open.remote(os.fspath(path), values, settings) for w, path in zip(started, paths, strict=True)]
        oracle = cls(started, form, opened)
        return apply_prompt_weights(oracle, oracle._counts())

    def _counts(self) -> np.ndarray | None:
        """(prompt,) how much each counts; None where no file says anything of it."""
        found = _gather([worker.counts.remote() for worker in self._workers])
        if all(one is None for one in found):
            return None
        plain = [np.ones(prompts) for prompts in self._prompts]
        return np.concatenate([some if one is None else one for one, some in zip(found, plain, strict=True)])

    def moments(self, weights: np.ndarray) -> Moments:
        return combine_moments(self.form, self._sizes, self._ask("moments", weights))

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        counted: list[np.ndarray | None] = [None] * len(self._workers)
        if multiplicity is not None:
            counted = list(np.split(np.asarray(multiplicity), np.cumsum(self._prompts)[:-1], axis=1))
        asked = [
            worker.ask.remote(self._share, "batch_moments", weights, multiplicity=part, covariance=covariance)
            for worker, part in zip(self._workers, counted, strict=True)
        ]
        return combine_batches(self.form, _gather(asked))

    def best(self, weights: np.ndarray) -> np.ndarray:
        return combine_best(self.form, weights, self._sizes, self._ask("best", weights))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        return combine_prompts(self.form, self._ask("by_prompt", weights))

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate(self._ask("best_by_prompt", weights))

    def subsample(self, share: float) -> RayOracle | None:
        """The parts that the workers' own oracles give, or all of a worker's prompts where it has none."""
        if share not in self._parts:
            self._parts[share] = self._part(share)
        return self._parts[share]

    @cached_property
    def has_redundant_values(self) -> bool:
        return not shows_full_rank(self.subsample(CLEARING)) and is_singular(self.base_moments.covariance)

    def _part(self, share: float) -> RayOracle | None:
        counts = _gather([worker.sizes.remote(share) for worker in self._workers])
        if sum(prompts for prompts, _ in counts) == self.prompts:
            return None
        part = copy(self)
        for cached in ("base_moments", "has_redundant_values"):
            part.__dict__.pop(cached, None)
        part._share, part._parts = share, {}
        part._count(counts)
        return part

    def _count(self, counts: Sequence[tuple[int, int]]) -> None:
        """Take the prompts and replies of each worker as those that count."""
        self._prompts = [prompts for prompts, _ in counts]
        self._sizes = [prompts if self.form is Form.PER_PROMPT else replies for prompts, replies in counts]
        self.prompts, self.replies = sum(self._prompts), sum(replies for _, replies in counts)

    def _ask(self, question: str, weights: np.ndarray) -> list[Any]:
        return _gather([worker.ask.remote(self._share, question, weights) for worker in self._workers])


class Worker:
    """A share of the table: of arrays, standardised as soon as the whole table's units are known, or of a file."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._file: ParquetOracle | None = None

    def open(self, path: str, columns: Sequence[str] | None, settings: Any) -> tuple[tuple[str, ...], Spread]:
        """Take a file as the share; its values, and where its rewards lie."""
        self._file = ParquetOracle(path, columns, self._form, weights_applied=True, **{"threads": 1} | settings)
        return self._file.values, self._file.spread

    def counts(self) -> np.ndarray | None:
        """(prompt,) how much each of the file's prompts counts; None where it does not say."""
        return None if self._file is None else self._file.prompt_weights

    def take(self, rewards: np.ndarray, counts: np.ndarray, values: tuple[str, ...]) -> tuple[tuple[str, ...], Spread]:
        """Take arrays as the share; the values, and where the rewards lie."""
        offsets = np.concatenate([[0], np.cumsum(counts)])
        cuts = block_cuts(offsets, rewards.shape[1], 1)
        self._parts = [(rewards[offsets[a] : offsets[b]], counts[a:b]) for a, b in cuts]
        self._values = values
        return values, combine_spreads(self._form, [Spread.of(*part, self._form) for part in self._parts])

    def use(self, whole: Spread) -> float:
        """Take the units of the whole table; the resolution of this share."""
        if self._file is not None:
            self._oracle: Oracle = self._file.in_units_of(whole)
        else:
            self._oracle = MemoryOracle.part(self._parts, self._values, self._form, whole, threads=1)
            self._parts = []
        return self._oracle.resolution

    def sizes(self, share: float) -> tuple[int, int]:
        """Prompts and replies of about this share of the prompts here."""
        part = self._at(share)
        return part.prompts, part.replies

    def ask(self, share: float, question: str, weights: np.ndarray, **settings: Any) -> Any:
        """Put a question of the contract to about this share of the prompts here."""
        return getattr(self._at(share), question)(weights, **settings)

    def _at(self, share: float) -> Oracle:
        return self._oracle.subsample(share) or self._oracle


def load_ray() -> ModuleType:
    """The ray library.

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
    """So many workers, each with so many cores to itself."""
    ray = load_ray()
    if not ray.is_initialized():
        ray.init(include_dashboard=False)
    there = ray.cluster_resources().get("CPU", 0.0)
    if cpus * count > there:
        raise InputError(
            f"{count} workers with {cpus:g} cores each need more than the {there:g} cores of the cluster. "
            "Ask for fewer workers, or for fewer cores each."
        )
    actor = ray.remote(num_cpus=cpus)(Worker)
    return [actor.remote(form) for _ in range(count)]


def _gather(asked: Sequence[Any]) -> list[Any]:
    """The workers' answers, in order."""
    ray = load_ray()
    try:
        return list(ray.get(list(asked), timeout=START))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from error
        raise EngineError(f"A worker of the cluster failed ({error}).") from error
    except (ray.exceptions.RayError, TimeoutError) as error:
        raise EngineError(
            f"A worker of the cluster stopped before it answered ({error}). Share the table out again."
        ) from error
