"""Progress of a build: reports to the caller, and a small file for a watching process.

The file is replaced atomically, so a reader never sees an incomplete one. It records how a build ended; a build whose
state is "running" and whose process is gone was killed. Constraint: standard library and psutil only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from map_core.core.atomic_files import atomic_write
from map_core.core.child_process import ProcessIdentity

#: Minimum number of seconds between two writes of the file while only the numbers change.
WRITE_INTERVAL = 0.5


@dataclass(frozen=True)
class BuildEstimate:
    """The rest of a build, extrapolated from prompts that it has just made.

    Args:
        measured: number of prompts that were measured.
        prompts: number of prompts left.
        replies: number of replies left to draw.
        tokens: number of tokens of these replies; None where the model does not report tokens.
        tokens_per_second: measured sampling rate; None where the model does not report tokens.
        sampling_seconds, scoring_seconds: time for the rest.
        checkpoint_bytes: size of all checkpoints until the table is complete, including the existing ones.
        table_bytes: size of the table's rows.
    """

    measured: int
    prompts: int
    replies: int
    tokens: int | None
    tokens_per_second: float | None
    sampling_seconds: float
    scoring_seconds: float
    checkpoint_bytes: int
    table_bytes: int


@dataclass(frozen=True)
class Progress:
    """The progress of a build.

    Args:
        stage: "sampling", "scoring" or "writing".
        done, total: prompts of this stage that are done, and all of them.
        resumed: how many of ``done`` were made by an earlier run.
        seconds: time spent on this stage in this run.
        estimate: the rest of the build; only in the one report in which it becomes available.
        unit: what is counted, in the plural.
        figures: further plain JSON values known so far, such as a tuning's losses; a later report replaces them by
            name.
    """

    stage: str
    done: int
    total: int
    resumed: int
    seconds: float
    estimate: BuildEstimate | None = None
    unit: str = "prompts"
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Prompts per minute in this run; None before the first is done."""
        new = self.done - self.resumed
        return 60.0 * new / self.seconds if new and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds left in this stage at the rate so far; None before the first prompt is done."""
        new = self.done - self.resumed
        return (self.total - self.done) * self.seconds / new if new else None


Reporter = Callable[[Progress], None]


class StageProgress:
    """Reports the progress of one stage at its start and after each prompt.

    Args:
        stage: its name.
        ready: number of prompts made by an earlier run.
        total: number of all prompts.
        report: called with each report; None for no reports.
    """

    def __init__(self, stage: str, ready: int, total: int, report: Reporter | None) -> None:
        self._stage, self._resumed, self._total, self._report = stage, ready, total, report
        self._done, self._began = ready, time.perf_counter()
        self._send()

    def advance(self) -> None:
        """Count one more prompt as done."""
        self._done += 1
        self._send()

    def _send(self) -> None:
        if self._report is not None:
            seconds = time.perf_counter() - self._began
            self._report(Progress(self._stage, self._done, self._total, self._resumed, seconds))


@dataclass
class ProgressFile:
    """The progress file that a build writes for a watching page or script.

    A JSON object that is replaced atomically: ``state`` ("running", "done", "stopped", "failed"), ``stage``
    ("starting", "sampling", "scoring", "writing"), ``done``, ``total`` and ``resumed`` in ``unit`` ("prompts"),
    ``rate`` per minute and ``seconds_left`` of this stage (null while unknown), ``pid``, ``pid_started`` and
    ``pid_ticks`` (the process and its start, see :class:`map_core.core.child_process.ProcessIdentity`), ``began``,
    ``updated`` and ``ended`` (times in seconds since 1970), ``out``, ``estimate`` (the fields of
    :class:`BuildEstimate`, null until it is known), ``error`` (a message, null unless failed), ``notes`` (sentences
    for the user), ``questions`` (decisions that are needed first, see
    :class:`map_core.data.importing.questions.Question`), ``figures`` (see :class:`Progress`) and the entries of
    ``more``.

    Args:
        path: the file; its folder must exist.
        out: the table that is built.
        more: further plain entries, such as the names of the values.
    """

    path: Path
    out: Path
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = Progress("starting", 0, 0, 0, 0.0)
        self._began, self._written = time.time(), 0.0
        self._notes: tuple[str, ...] = ()
        self._estimate: BuildEstimate | None = None
        self._questions: list[Mapping[str, Any]] = []
        self._figures: dict[str, Any] = {}
        self._process = ProcessIdentity.of(os.getpid()).as_dict()
        self._write("running")

    def __call__(self, progress: Progress) -> None:
        """Take a report; write it at each stage's start and end, and at most every :data:`WRITE_INTERVAL` seconds."""
        self._estimate = progress.estimate or self._estimate
        self._figures |= progress.figures
        stage_changed = progress.estimate or progress.stage != self._last.stage or progress.done == progress.total
        self._last = progress
        if stage_changed or time.monotonic() - self._written >= WRITE_INTERVAL:
            self._write("running")

    def note(self, notes: Sequence[str]) -> None:
        """Replace the notes by these sentences."""
        self._notes = tuple(notes)
        self._write("running")

    def ask(self, questions: Sequence[Mapping[str, Any]]) -> None:
        """Record the questions that must be answered before the work can be done, as plain values."""
        self._questions = list(questions)

    def end(self, state: str, error: str | None = None) -> None:
        """Write the last report: "done", "stopped", or "failed" with a message."""
        self._write(state, error)

    def _write(self, state: str, error: str | None = None) -> None:
        now, last = time.time(), self._last
        content = {
            "state": state,
            "stage": last.stage,
            "done": last.done,
            "total": last.total,
            "unit": last.unit,
            "resumed": last.resumed,
            "rate": last.rate,
            "seconds_left": last.seconds_left if state == "running" else None,
            **self._process,
            "began": self._began,
            "updated": now,
            "ended": None if state == "running" else now,
            "out": str(self.out),
            "estimate": None if self._estimate is None else asdict(self._estimate),
            "error": error,
            "notes": list(self._notes),
            "questions": self._questions,
            "figures": self._figures,
            **self.more,
        }
        self._written = time.monotonic()
        # A build does not fail because its progress cannot be written; a full disc is an error of the build itself.
        with contextlib.suppress(OSError), atomic_write(self.path) as partial:
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
