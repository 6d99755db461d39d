"""Scoring in the background: a job that starts the scoring process, follows it, and ends it when it is stopped.

One at a time, in a registry of its own, so that what pages compute never waits behind it. What was scored before a
stop is kept, and the next job of the same key goes on from there. Constraint: no model library in this process.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from map_core.core.jobs import Job, Jobs
from map_core.custom_values import score_cache
from map_core.errors import PaletteError
from map_core.scoring import Definition

_ROOT = Path(__file__).resolve().parents[2]
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Scored:
    """How far the scoring is, in prompts."""

    done: int
    total: int


class ScoringFailed(PaletteError):
    """The scoring process ended with an error, in its words."""


#: By the file that a job makes.
_JOBS = Jobs(workers=1)


def start(table: Path, replies: str, definition: Definition) -> Job:
    """The job that scores a table on a definition: the one that runs, or a new one.

    Its ``partial`` is a :class:`Scored`; ``cancel()`` stops it.

    Args:
        table: the file of the whole table.
        replies: its key, see :func:`map_core.custom_values.replies_key`.
        definition: of the value.
    """
    out = score_cache.path_of(replies, definition)
    return _JOBS.submit(out, lambda job: _follow(job, table, out, definition))


def job(replies: str, definition: Definition) -> Job | None:
    """The job of a definition in this process, if there was one."""
    return _JOBS.get(score_cache.path_of(replies, definition))


def _follow(job: Job, table: Path, out: Path, definition: Definition) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "map_core.custom_values", str(table), str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(definition.to_json().encode() + b"\n")
        process.stdin.flush()
        error, read = "", b""
        while True:
            job.check()
            if not select.select([process.stdout], [], [], _LOOK_SECONDS)[0]:
                continue
            got = os.read(process.stdout.fileno(), 65536)
            if not got:
                break
            *lines, read = (read + got).split(b"\n")
            for told in map(json.loads, lines):
                error = told.get("error", error)
                if "done" in told:
                    job.report(Scored(told["done"], told["total"]))
        ended = process.wait()
        if ended:
            raise ScoringFailed(error or f"The process that scores ended with {ended}; the log says more.")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stdin.close()
        process.stdout.close()
