"""How far a build is: in numbers for whoever called, and in a small file for whoever watches from another process.

The file is replaced as a whole each time, so a reader never sees half of it. It says in words how a build ended; a
build whose process is gone and that says "running" was killed. Constraint: standard library and psutil only.
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

#: Seconds between two writings of the file while nothing but numbers changes.
WRITE_INTERVAL = 0.5


@dataclass(frozen=True)
class BuildEstimate:
    """What is left of a build, extrapolated from prompts that it has just made.

    Args:
        measured: how many prompts it rests on.
        prompts: how many are left.
        replies: how many are left to draw.
        tokens: of these replies; None where the model does not tell.
        tokens_per_second: how quickly tokens were drawn; None where the model does not tell.
        sampling_seconds, scoring_seconds: for what is left.
        checkpoint_bytes: of everything that is kept until the table is complete, what is there included.
        table_bytes: of the table's rows.
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
    """How far a build is.

    Args:
        stage: "sampling", "scoring" or "writing".
        done, total: prompts of this stage that are ready, and all of them.
        resumed: how many of ``done`` an earlier run had made.
        seconds: time spent on this stage in this run.
        estimate: what is left of the build; in one report only, as soon as it can be told.
        unit: what is counted, in the plural.
        figures: further plain JSON values that are known by now, such as a tuning's losses; those of a later report
            replace these, name by name.
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
        """Prompts a minute in this run; None before the first is ready."""
        new = self.done - self.resumed
        return 60.0 * new / self.seconds if new and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time left in this stage at the rate so far; None before the first prompt is ready."""
        new = self.done - self.resumed
        return (self.total - self.done) * self.seconds / new if new else None


Reporter = Callable[[Progress], None]


class StageProgress:
    """Reports of one stage: one at its start and one after each prompt.

    Args:
        stage: its name.
        ready: how many prompts an earlier run had made.
        total: all prompts.
        report: called with each report; None for nobody.
    """

    def __init__(self, stage: str, ready: int, total: int, report: Reporter | None) -> None:
        self._stage, self._resumed, self._total, self._report = stage, ready, total, report
        self._done, self._began = ready, time.perf_counter()
        self._tell()

    def one(self) -> None:
        """Count one more prompt as ready."""
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        if self._report is not None:
            seconds = time.perf_counter() - self._began
            self._report(Progress(self._stage, self._done, self._total, self._resumed, seconds))


@dataclass
class ProgressFile:
    """The file that a build writes while it works, for a page or a script that watches.

    JSON, replaced as a whole: ``state`` ("running", "done", "stopped", "failed"), ``stage`` ("starting", "sampling",
    "scoring", "writing"), ``done``, ``total`` and ``resumed`` in ``unit`` ("prompts"), ``rate`` a minute and
    ``seconds_left`` of this stage (null while unknown), ``pid``, ``pid_started`` and ``pid_ticks`` (the process
    and when it began, see :class:`map_core.core.child_process.ProcessIdentity`),
    ``began``, ``updated`` and ``ended`` (all times in seconds since 1970), ``out``, ``estimate`` (the fields of
    :class:`BuildEstimate`, null until it is known), ``error`` (in words, null unless
    failed), ``notes`` (sentences that a person should read), ``questions`` (what has to be decided first, see
    :class:`map_core.data.importing.questions.Question`), ``figures`` (see :class:`Progress`) and what ``more`` says.

    Args:
        path: the file; its folder must be there.
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
        turned = progress.estimate or progress.stage != self._last.stage or progress.done == progress.total
        self._last = progress
        if turned or time.monotonic() - self._written >= WRITE_INTERVAL:
            self._write("running")

    def note(self, notes: Sequence[str]) -> None:
        """Show these sentences beside the numbers, in place of earlier ones."""
        self._notes = tuple(notes)
        self._write("running")

    def ask(self, questions: Sequence[Mapping[str, Any]]) -> None:
        """Keep what has to be decided before the work can be done, as plain values."""
        self._questions = list(questions)

    def end(self, state: str, error: str | None = None) -> None:
        """Write the last report: "done", "stopped" or "failed" with the reason in words."""
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
        # A watcher that sees nothing new is no reason to lose a build: a full disc shows in the build itself.
        with contextlib.suppress(OSError), atomic_write(self.path) as partial:
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
