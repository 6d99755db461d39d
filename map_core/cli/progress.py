"""Report the progress of a long command: lines on stderr, a progress file, and a clean end whatever stops it.

Constraint: Ctrl-C and SIGTERM end a command in the same way and keep its partial results; a second SIGTERM ends the
process at once.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from map_core.building import BuildEstimate, Progress, ProgressFile
from map_core.core import amounts
from map_core.errors import InputError, PaletteError
from map_core.text.build_estimate import estimate_sentence

STOPPED = "Stopped. What is made is kept; the same command resumes where it stopped."


class EstimateReached(Exception):
    """Raised to end a build that was started only for its estimate."""

    def __init__(self, estimate: BuildEstimate) -> None:
        super().__init__(estimate_sentence(estimate))


class ProgressReporter:
    """Passes the progress reports of a build to stderr and to the progress file.

    Args:
        quiet: write no progress to stderr.
        file: the progress file, or None.
    """

    def __init__(self, quiet: bool, file: ProgressFile | None) -> None:
        self._lines = None if quiet else ProgressLines()
        self._file = file
        #: Raise :class:`EstimateReached` as soon as the build can tell what the rest will take.
        self.only_estimate = False

    def __call__(self, progress: Progress) -> None:
        """Pass on one report.

        Raises:
            EstimateReached: it has the estimate, and only the estimate is wanted.
        """
        if self._lines is not None:
            self._lines(progress)
        if self._file is not None:
            self._file(progress)
        if progress.estimate is not None:
            if self.only_estimate:
                raise EstimateReached(progress.estimate)
            self.say(estimate_sentence(progress.estimate))

    def say(self, text: str) -> None:
        """Write a sentence to stderr unless quiet."""
        if self._lines is not None:
            click.echo(text, err=True)

    def note(self, *notes: str) -> None:
        """Write notes for the user to stderr, and to the progress file in place of earlier ones."""
        for text in notes:
            click.echo(text, err=True)
        if self._file is not None:
            self._file.note(notes)

    def fail(self, why: str) -> None:
        """Record in the progress file why the process is about to end itself."""
        if self._file is not None:
            self._file.end("failed", why)

    def ask(self, *questions: Mapping[str, Any]) -> None:
        """Record questions in the progress file, for a page to ask."""
        if self._file is not None:
            self._file.ask(questions)


@contextmanager
def watch_progress(out: Path, quiet: bool, path: Path | None, **more: Any) -> Iterator[ProgressReporter]:
    """Yield a progress watcher while the body runs; then record in the progress file how the body ended.

    Args:
        out: the table that is built.
        quiet: write no progress to stderr.
        path: the progress file, or None.
        more: further plain entries of the progress file.

    Raises:
        InputError: the progress file's folder does not exist.
        SystemExit: 130 after Ctrl-C and 143 after SIGTERM, with a message.
    """
    if path is not None and not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent} for the progress file. Make it first or choose another.")
    file = None if path is None else ProgressFile(path, out, more)

    def end(state: str, error: str | None = None) -> None:
        if file is not None:
            file.end(state, error)

    try:
        with _stops_on_sigterm():
            yield ProgressReporter(quiet, file)
    except KeyboardInterrupt as stop:
        end("stopped")
        click.echo(f"\n{STOPPED}", err=True)
        sys.exit(143 if isinstance(stop, _Terminated) else 130)
    except (PaletteError, click.ClickException) as error:
        end("failed", str(error))
        raise
    except MemoryError:
        end("failed", "There is not enough memory. Ask for fewer candidates or shorter replies, and start it again.")
        raise
    except BaseException as error:
        end("failed", f"{type(error).__name__}: {error}")
        raise
    end("done")


class _Terminated(KeyboardInterrupt):
    """Raised on SIGTERM, as KeyboardInterrupt is on Ctrl-C."""


@contextmanager
def _stops_on_sigterm() -> Iterator[None]:
    """Raise on SIGTERM in the main thread, as Ctrl-C does; change nothing in other threads, which get no signals."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ProgressLines:
    """Prints progress on stderr: in place on a terminal, else a line every ``every_seconds`` seconds."""

    def __init__(self, every_seconds: float = 10.0) -> None:
        self._every = every_seconds
        self._printed = -math.inf
        self._on_terminal = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        """Print one report."""
        last = progress.done == progress.total
        now = time.monotonic()
        if not last and not self._on_terminal and now - self._printed < self._every:
            return
        self._printed = now
        text = progress_text(progress)
        click.echo(f"\r{text:<78}" if self._on_terminal else text, nl=last or not self._on_terminal, err=True)


def progress_text(progress: Progress) -> str:
    """Return progress as one line: the stage, the prompts done, the rate and the time left."""
    if not progress.total:
        return progress.stage
    text = f"{progress.stage}: {progress.done} of {progress.total} {progress.unit}"
    if progress.done == progress.total:
        return f"{text}, {amounts.fixed(progress.seconds)} s"
    if progress.seconds_left is None or progress.rate is None:
        return text + (f", {progress.resumed} of them from before" if progress.resumed else "")
    return f"{text}, {amounts.fixed(progress.rate, 1)} a minute, {amounts.minutes_seconds(progress.seconds_left)} left"
