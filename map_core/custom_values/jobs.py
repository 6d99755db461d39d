"""Scoring in the background: a job that starts the scoring process, follows it, and ends it when it is stopped.

One at a time, in a registry of its own, so that what pages compute never waits behind it. What was scored before a
stop is kept, and the next job of the same key goes on from there. Constraint: no model library in this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from map_core.core.child_process import ChildProcess
from map_core.core.jobs import Job, Jobs
from map_core.custom_values import score_cache
from map_core.errors import PaletteError
from map_core.scoring import Definition

#: Seconds between two looks at whether the job was cancelled.
_CHECK_SECONDS = 0.2
#: Seconds that the process has to leave by itself when the job ends.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class ScoringProgress:
    """How far the scoring is, in prompts."""

    done: int
    total: int


class ScoringProcessError(PaletteError):
    """The scoring process ended with an error, in its words."""


#: By the file that a job makes.
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


def job(replies: str, definition: Definition) -> Job | None:
    """Return the job of a definition in this process; None if there was none."""
    return _JOBS.get(score_cache.score_path(replies, definition))


def _follow(job: Job, table: Path, out: Path, definition: Definition) -> None:
    process = ChildProcess(
        "map_core.custom_values", [str(table), str(out)], variables={"TOKENIZERS_PARALLELISM": "false"}
    )
    try:
        process.send(definition.as_dict())
        error = ""
        while True:
            job.check()
            try:
                message = process.receive(_CHECK_SECONDS)
            except TimeoutError:
                continue
            except EOFError:
                break
            error = message.get("error", error)
            if "done" in message:
                job.report(ScoringProgress(message["done"], message["total"]))
        if code := process.wait():
            raise ScoringProcessError(error or f"The process that scores ended with {code}; the log says more.")
    finally:
        process.end(_GRACE_SECONDS)
