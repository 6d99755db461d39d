"""Score and train in the background: a job runs a child process, and ends it when the job is cancelled.

One job runs at a time, in a separate registry, so that computations of pages do not wait for it. Values with equal
words share a job: it is cancelled when every value that started it has stopped it, and each value learns of what it
started itself. Scores that exist when a job is cancelled are kept, and the next job with the same key resumes from
them. Constraint: no model library is imported in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
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
#: Keys of jobs and the values that have stopped them.
_STOPPED: set[tuple[Hashable, int]] = set()


def start(table: Path, replies: str, definition: Definition, value: int) -> Job:
    """Start the job that scores a table on a definition, or return the existing one.

    Its ``partial`` is a :class:`ScoringProgress`; :func:`stop` stops it.

    Args:
        table: the file of the whole table.
        replies: the key of its replies, see :func:`map_core.custom_values.replies_key`.
        definition: the value's definition.
        value: the id of the value that wants the scores.
    """
    out = score_cache.score_path(replies, definition)
    return _submit(out, value, lambda job: _score(job, table, out, definition))


def find_job(replies: str, definition: Definition, value: int) -> Job | None:
    """Return the job of a definition that a value has started and not stopped, in this process; None for none."""
    return _wanted(score_cache.score_path(replies, definition), value)


def stop(replies: str, definition: Definition, value: int) -> None:
    """Stop the scoring for a value; it goes on for other values that want it."""
    _release(score_cache.score_path(replies, definition), value)


def stop_all(value: int) -> None:
    """Stop every scoring and training for a value, of each of its versions and on each table."""
    _JOBS.release_all(lambda slot: slot[1] == value)


def was_stopped(replies: str, definition: Definition, value: int) -> bool:
    """Return whether the scoring was stopped for a value, in this process, and not started for it again."""
    return (score_cache.score_path(replies, definition), value) in _STOPPED


def start_training(
    table: Path, replies: str, definition: Definition, pairs: Sequence[tuple[int, int]], value: int
) -> Job:
    """Start the job that trains a head on judged pairs, or return the existing one.

    Its ``partial`` is a :class:`ScoringProgress`, its ``result`` the :class:`HeadWeights`.

    Args:
        table: the file of the whole table.
        replies: its key.
        definition: the words that the head starts from.
        pairs: rows of the table, the reply with more of the value first.
        value: the id of the value that wants the head.
    """

    def train(job: Job) -> HeadWeights:
        heads: list[HeadWeights] = []
        message = {"definition": definition.words.as_dict(), "pairs": [list(pair) for pair in pairs]}

        def on_answer(answer: Mapping[str, Any]) -> None:
            if "head" in answer:
                heads.append(HeadWeights.from_dict(answer["head"]))

        _run_process(job, [str(table)], message, on_answer)
        return heads[0]

    return _submit(_training_key(replies, definition, pairs), value, train)


def training_job(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]], value: int) -> Job | None:
    """Return the job on these pairs that a value has started and not stopped, in this process; None for none."""
    return _wanted(_training_key(replies, definition, pairs), value)


def stop_training(replies: str, definition: Definition, pairs: Sequence[tuple[int, int]], value: int) -> None:
    """Stop the training for a value; it goes on for other values that want it."""
    _release(_training_key(replies, definition, pairs), value)


def _submit(key: Hashable, value: int, work: Callable[[Job], Any]) -> Job:
    """Start or join a job in the name of a value; a value holds each of its jobs by itself."""
    _STOPPED.discard((key, value))
    return _JOBS.submit(key, work, slot=(key, value))


def _wanted(key: Hashable, value: int) -> Job | None:
    job = _JOBS.get(key)
    return job if job is not None and job.is_held_by((key, value)) else None


def _release(key: Hashable, value: int) -> None:
    _STOPPED.add((key, value))
    _JOBS.release((key, value))


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
