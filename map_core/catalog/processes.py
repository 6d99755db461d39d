"""Run builds, imports and tunings as detached processes: start, stop and resume them from any session.

Each job has a folder, ``.making/NAME`` beside the tables, with the command, the input files, the process's log and its
progress file; :mod:`map_core.catalog.jobs` reads it. At most ``BUILDS`` jobs run at a time; the others wait in a queue
(:mod:`map_core.catalog.waiting`), which a thread advances while there are any. Constraint: a process is ended by its
id, and only if the time of its start shows that it is the same one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from map_core.building.checkpoints import checkpoint_path
from map_core.catalog import waiting
from map_core.catalog.folder import clean_name, folder, path_of
from map_core.catalog.jobs import (
    TUNE,
    TableJob,
    TableJobState,
    filled,
    identity_of,
    is_running,
    job_folder,
    job_folders,
    out_of,
    read_record,
    status,
)
from map_core.core.atomic_files import atomic_write
from map_core.core.checkpoint_folder import CheckpointFolder
from map_core.core.child_process import start_detached
from map_core.core.limits import BUILDS, BUILDS_OF_VISIT, BUILDS_WAITING
from map_core.errors import InputError
from map_core.models.tuned import is_finished, tuned_folder

#: Seconds between two attempts to start waiting jobs.
CHECK_SECONDS = 1.0
#: Nice value of a job's process, so that pages and replies take precedence.
NICENESS = 15


def free_name(stem: str) -> str:
    """Return a name that no table, tuned model or job has: the stem, or the stem with a number.

    Raises:
        InputError: the stem is not a valid name.
    """
    name, number = stem, 2
    while is_taken(name) or job_folder(name).exists():
        name, number = f"{stem} {number}", number + 1
    return name


def is_taken(name: str) -> bool:
    """Return whether there is a table or a tuned model of this name; both have the same owner."""
    return path_of(name).exists() or tuned_folder(clean_name(name)).exists()


def is_worked_on(name: str) -> bool:
    """Return whether there is a job of this name; a folder without a request, left by a killed app, does not count."""
    return (job_folder(name) / "request.json").exists()


def start(
    name: str,
    kind: str,
    arguments: Sequence[str],
    about: Mapping[str, Any],
    inputs: Mapping[str, bytes | Path] | None = None,
    extends: bool = False,
    visitor: str = "",
) -> None:
    """Start a job that makes a table or tunes a model, or queue it.

    Args:
        name: name of the table or the model, which must be free.
        kind: "build", "import", "extend", :data:`TUNE` or :data:`~map_core.catalog.jobs.MIX`.
        arguments: arguments of ``python -m map_core``; {out} and {progress} are replaced by the result and the
            progress file, and {folder}/ is the prefix of a file in the job's own folder.
        about: description of the request, plain values.
        inputs: input files of the job, by name: their content, or a file that is moved there.
        extends: whether the table exists and is extended.
        visitor: the id of the visitor; "" for one whose jobs are not counted.

    Raises:
        InputError: the name is taken by a table or another job, too many jobs wait, or the disk cannot be written.
    """
    home = job_folder(name)
    with waiting.order_lock(home.parent):  # so that only one of two concurrent requests gets the name
        if is_taken(name) and not extends:
            noun = "table" if path_of(name).exists() else "tuned model"
            raise InputError(f"There is a {noun} {clean_name(name)!r} already. Choose another name.")
        if is_worked_on(name):
            job = status(name)
            if job.state is not TableJobState.DONE or job.kind == TUNE:
                noun = "model" if job.kind == TUNE else "table"
                raise InputError(
                    f"A {noun} {clean_name(name)!r} is being made already. Look at it below, or choose another name."
                )
        _refuse_too_many(visitor)
        shutil.rmtree(home, ignore_errors=True)
        try:
            home.mkdir(parents=True)
            for file, content in (inputs or {}).items():
                if isinstance(content, Path):
                    shutil.move(content, home / file)
                else:
                    (home / file).write_bytes(content)
            request = {"kind": kind, "arguments": list(arguments), "about": dict(about), "visitor": visitor}
            (home / "request.json").write_text(json.dumps(request), encoding="utf-8")
        except OSError as error:
            shutil.rmtree(home, ignore_errors=True)
            raise InputError(
                f"The work cannot be kept in {home.parent.name} ({error}). Make room on the disk."
            ) from error
        resume(name)


def _refuse_too_many(visitor: str) -> None:
    """Refuse a further job if too many wait, or if too many of this visitor are not finished.

    Raises:
        InputError: there are too many; the message says how many.
    """
    going_on = [home for home in job_folders() if status(home.name).going_on]
    if sum(waiting.place(home) > 0 for home in going_on) >= BUILDS_WAITING.value:
        raise InputError(
            f"{BUILDS_WAITING.value} tables wait to be made already, the most that may. Try again when one is done."
        )
    own = sum((read_record(home / "request.json") or {}).get("visitor") == visitor for home in going_on)
    if visitor and own >= BUILDS_OF_VISIT.value:
        raise InputError(
            f"{own} tables that you have asked for are not made yet, the most that one visitor may have at a time. "
            "Stop one of them, or wait."
        )


def resume(name: str) -> None:
    """Queue a job, which then resumes where it stopped; do nothing if it is running or waiting.

    Raises:
        InputError: there is no such job.
    """
    home = job_folder(name)
    if read_record(home / "request.json") is None:
        raise InputError(f"There is no work on a table {name!r} any more. Look at the list again.")
    with waiting.order_lock(home.parent):
        if status(name).going_on:
            return
        waiting.enter(home)
        for old in ("progress.json", "process.json"):
            (home / old).unlink(missing_ok=True)
        advance()


def advance() -> None:
    """Start waiting jobs in order, as many as may run; try again later while some wait."""
    root = folder() / ".making"
    if not waiting.in_order(root):
        return
    with waiting.order_lock(root):
        running = sum(is_running(home) for home in job_folders())
        for home in waiting.in_order(root):
            if running >= BUILDS.value:
                _advance_later()
                return
            try:
                _launch(home)
            except OSError:  # the disk is full: the job waits until there is room
                _advance_later()
                return
            waiting.leave(home)
            running += 1


def _launch(home: Path) -> None:
    """Start the process of a job."""
    request = read_record(home / "request.json")
    if request is None:
        return
    out = out_of(home.name, str(request["kind"]))
    if request["kind"] == TUNE:
        out.parent.mkdir(parents=True, exist_ok=True)
    paths = {"{out}": str(out), "{progress}": str(home / "progress.json")}
    arguments = [filled(argument, paths, home) for argument in request["arguments"]]
    identity = start_detached("map_core", arguments, home / "log.txt", NICENESS)
    try:
        with atomic_write(home / "process.json") as partial:
            partial.write_text(json.dumps(identity.as_dict()), encoding="utf-8")
    except OSError:
        identity.terminate()  # without a record of its identity it could not be stopped later
        raise


_advancing = threading.Lock()


def _advance_later() -> None:
    """Call :func:`advance` repeatedly in one thread of this process until no job waits."""

    def advance_repeatedly() -> None:
        with _advancing:
            while waiting.in_order(folder() / ".making"):
                time.sleep(CHECK_SECONDS)
                with contextlib.suppress(InputError, OSError):
                    advance()

    if not _advancing.locked():
        threading.Thread(target=advance_repeatedly, name="waiting jobs", daemon=True).start()


def answer(name: str, answers: Mapping[str, str | None]) -> None:
    """Answer the questions that ended a job, and run its command again.

    Args:
        name: name of the table.
        answers: values of the options that answer them, by option; None removes an option.

    Raises:
        InputError: there is no such job.
    """
    request_path = job_folder(name) / "request.json"
    request = read_record(request_path)
    if request is None:
        raise InputError(f"There is no work on a table {name!r} any more. Look at the list again.")
    others = [argument for argument in request["arguments"] if argument.partition("=")[0] not in answers]
    answered = [f"{option}={value}" for option, value in answers.items() if value is not None]
    request["arguments"] = [*others, *answered]
    with atomic_write(request_path) as partial:
        partial.write_text(json.dumps(request), encoding="utf-8")
    resume(name)


def stop(name: str) -> None:
    """Stop a running job, keeping its partial results, or remove a waiting one from the queue."""
    home = job_folder(name)
    with waiting.order_lock(home.parent):
        if waiting.leave(home):
            with atomic_write(home / "progress.json") as partial:
                partial.write_text(json.dumps({"state": TableJobState.STOPPED}), encoding="utf-8")
        elif identity := identity_of(home):
            identity.terminate()


def discard(name: str) -> None:
    """Delete a job that is not running, with its partial results; a finished table or model is kept.

    Raises:
        InputError: it is running.
    """
    home = job_folder(name)
    with waiting.order_lock(home.parent):
        job = status(name)
        if job.state is TableJobState.RUNNING:
            raise InputError(
                f"{'The model' if job.kind == TUNE else 'The table'} {name!r} is being made. Stop that first."
            )
        out = out_of(name, job.kind)
        if job.kind != TUNE:
            CheckpointFolder(checkpoint_path(out)).remove()
        elif not is_finished(out):
            shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def list_jobs() -> tuple[TableJob, ...]:
    """Return all jobs, the latest first, after starting those that can be started."""
    with contextlib.suppress(InputError):  # another process holds the lock and starts them
        advance()
    homes = sorted(job_folders(), key=_request_time, reverse=True)
    return tuple(status(home.name) for home in homes)


def _request_time(home: Path) -> float:
    """Return the time at which a job was requested or answered; 0.0 if it was discarded in the meantime."""
    try:
        return (home / "request.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0
