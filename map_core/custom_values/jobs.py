"""Score and train in the background: a job runs a child process, and ends it when the job is cancelled.

One job runs at a time, in a separate registry, so that computations of pages do not wait for it. Scores that exist when
a job is cancelled are kept, and the next job with the same key resumes from them. Constraint: no model library is
imported in this process.
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

#: Seconds between two checks whether the job was cancelled.
_CHECK_SECONDS = 0.2
#: Seconds for the process to end by itself when the job ends.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class ScoringProgress:
    """Progress in prompts; for a training, in prompts that are read and folds."""

    done: int
    total: int


class ScoringProcessError(PaletteError):
    """The scoring process ended with an error; the message is the process's own."""


#: Jobs keyed by their output file, or by the training data of a head.
_JOBS = Jobs(workers=1)


def start(table: Path, replies: str, definition: Definition) -> Job:
    """Start the job that scores a table on a definition, or return the existing one.

    Its ``partial`` is a :class:`ScoringProgress`; ``cancel()`` stops it.

    Args:
        table: the file of the whole table.
        replies: the key of its replies, see :func:`map_core.custom_values.replies_key`.
        definition: the value's definition.
    """
    out = score_cache.score_path(replies, definition)
    return _JOBS.submit(out, lambda job: _score(job, table, out, definition))


def find_job(replies: str, definition: Definition) -> Job | None:
    """Return the job of a definition in this process; None if there was none."""
    return _JOBS.get(score_cache.score_path(replies, definition))


def start_training(table: Path, replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> Job:
    """Start the job that trains a head on judged pairs, or return the existing one.

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

        def on_answer(answer: Mapping[str, Any]) -> None:
            if "head" in answer:
                heads.append(HeadWeights.from_dict(answer["head"]))

        _run_process(job, [str(table)], message, on_answer)
        return heads[0]

    return _JOBS.submit(_training_key(replies, definition, pairs), train)


def training_job(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> Job | None:
    """Return the job that trains on these pairs in this process; None if there was none."""
    return _JOBS.get(_training_key(replies, definition, pairs))


def _training_key(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]]) -> tuple[object, ...]:
    return ("head", replies, definition.words.key, tuple(sorted(pairs)))


def _score(job: Job, table: Path, out: Path, definition: Definition) -> None:
    _run_process(job, [str(table), str(out)], definition.as_dict())


def _run_process(
    job: Job,
    arguments: Sequence[str],
    message: Mapping[str, Any],
    on_answer: Callable[[Mapping[str, Any]], None] = lambda answer: None,
) -> None:
    """Run the process: send it a message, and pass on its answers until it ends."""
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
            on_answer(answer)
            if "done" in answer:
                job.report(ScoringProgress(answer["done"], answer["total"]))
        if code := process.wait():
            raise ScoringProcessError(error or f"The process that scores ended with {code}; the log says more.")
    finally:
        process.end(_GRACE_SECONDS)
