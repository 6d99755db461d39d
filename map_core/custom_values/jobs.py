"""Scoring and training in the background: a job starts a process, follows it, and ends it when it is stopped.

One at a time, in a registry of its own, so that what pages compute never waits behind it. What was scored before a
stop is kept, and the next job of the same key goes on from there. Constraint: no model library in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.core.child_process import ChildProcess
from map_core.core.jobs import Job, Jobs
from map_core.custom_values import score_cache
from map_core.errors import PaletteError
from map_core.scoring import Definition
from map_core.scoring.head_weights import HeadWeights

#: Seconds between two looks at whether the job was cancelled.
_CHECK_SECONDS = 0.2
#: Seconds that the process has to leave by itself when the job ends.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class ScoringProgress:
    """How far the scoring is, in prompts; how far a training is, in prompts that are read and folds."""

    done: int
    total: int


class ScoringProcessError(PaletteError):
    """The scoring process ended with an error, in its words."""


#: By the file that a job makes, or by what a head is trained on.
_JOBS = Jobs(workers=1)


def start(table: Path, replies: str, definition: Definition) -> Job:
    """Start the job that scores a table on a definition, or return the one that runs.

    Its ``partial`` is a :class:`ScoringProgress`; ``cancel()`` stops it.

    Args:
        table: the file of the whole table.
        replies: its key, see :func:`map_core.custom_values.replies_key`.
        definition: of the value.
    """
    out = score_cache.score_path(replies, definition)
    return _JOBS.submit(out, lambda job: _follow(job, table, out, definition))


def find_job(replies: str, definition: Definition) -> Job | None:
    """Return the job of a definition in this process; None if there was none."""
    return _JOBS.get(score_cache.score_path(replies, definition))


def start_training(table: Path, replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> Job:
    """Start the job that trains a head on judged pairs, or return the one that runs or has ended.

    Its ``partial`` is a :class:`ScoringProgress`, its ``result`` the :class:`HeadWeights`.

    Args:
        table: the file of the whole table.
        replies: its key.
        definition: the words that the head starts from.
        pairs: rows of the table, the reply with more of the value first.
    """

    def train(job: Job) -> HeadWeights:
        heads: list[HeadWeights] = []
        message = {"definition": definition.words.as_dict(), "pairs": [list(pair) for pair in pairs]}

        def hear(answer: Mapping[str, Any]) -> None:
            if "head" in answer:
                heads.append(HeadWeights.from_dict(answer["head"]))

        _run_process(job, [str(table)], message, hear)
        return heads[0]

    return _JOBS.submit(_training_key(replies, definition, pairs), train)


def training_job(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> Job | None:
    """Return the job that trains on these pairs in this process; None if there was none."""
    return _JOBS.get(_training_key(replies, definition, pairs))


def _training_key(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> tuple[object, ...]:
    return ("head", replies, definition.words.key, tuple(sorted(pairs)))


def _follow(job: Job, table: Path, out: Path, definition: Definition) -> None:
    _run_process(job, [str(table), str(out)], definition.as_dict())


def _run_process(
    job: Job,
    arguments: Sequence[str],
    message: Mapping[str, Any],
    hear: Callable[[Mapping[str, Any]], None] = lambda answer: None,
) -> None:
    """Start the process, send it a message, and hear what it says until it ends."""
    process = ChildProcess("map_core.custom_values", list(arguments), variables={"TOKENIZERS_PARALLELISM": "false"})
    try:
        process.send(message)
        error = ""
        while True:
            job.check()
            try:
                answer = process.receive(_CHECK_SECONDS)
            except TimeoutError:
                continue
            except EOFError:
                break
            error = answer.get("error", error)
            hear(answer)
            if "done" in answer:
                job.report(ScoringProgress(answer["done"], answer["total"]))
        if code := process.wait():
            raise ScoringProcessError(error or f"The process that scores ended with {code}; the log says more.")
    finally:
        process.end(_GRACE_SECONDS)
