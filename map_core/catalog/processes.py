"""Builds, imports and tunings as processes of their own: begun, watched, stopped and resumed, by any viewer.

A folder a piece of work, ``.making/NAME`` beside the tables: the command, what was handed in, what the process says,
and its progress file; :mod:`map_core.catalog.jobs` reads it. Constraint: a process is ended by its id, and only when
the time of its start shows that it is the same one. So many run side by side as ``BUILDS`` says; the others wait in
turn (:mod:`map_core.catalog.waiting`), and start whenever the app looks, which it does by itself while some wait.
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

#: Seconds between two looks at whether work that waits can start.
LOOK_SECONDS = 1.0
#: How much lower the priority of a build is than that of the app, so that pages answer and replies are written.
NICENESS = 15


def free_name(stem: str) -> str:
    """Return a name that no table and no tuned model has and no work is on: the stem, or the stem with a number.

    Raises:
        InputError: the stem can be no name.
    """
    names = (stem, *(f"{stem} {n}" for n in range(2, 1000)))
    return next(name for name in names if not is_taken(name) and not job_folder(name).exists())


def is_taken(name: str) -> bool:
    """Whether there is a table or a tuned model of this name; whose one is, so is the other."""
    return path_of(name).exists() or tuned_folder(clean_name(name)).exists()


def is_worked_on(name: str) -> bool:
    """Whether there is work of this name; a folder that a killed app left before anything was asked for is none."""
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
    """Start to make a table or to tune a model, or let it wait for its turn.

    Args:
        name: of the table or the model; no other may have it.
        kind: "build", "import", "extend", :data:`TUNE` or :data:`~map_core.catalog.jobs.MIX`.
        arguments: of ``python -m map_core``; {out} and {progress} stand for the result and the progress file, and
            {folder}/ begins the name of a file in the work's own folder.
        about: what was asked for, plain values.
        inputs: files that the work needs, by name: their content, or a file that is moved there.
        extends: the table is there and is added to.
        visitor: who asks; "" for somebody whose work is not counted.

    Raises:
        InputError: the name is taken, by a table or by other work, too much waits already, or the disk cannot be
            written.
    """
    home = job_folder(name)
    with waiting.order_lock(home.parent):  # of two who ask for one name at a time, one is refused
        if is_taken(name) and not extends:
            what = "table" if path_of(name).exists() else "tuned model"
            raise InputError(f"There is a {what} {clean_name(name)!r} already. Choose another name.")
        if is_worked_on(name) and ((job := status(name)).state is not TableJobState.DONE or job.kind == TUNE):
            what = "model" if job.kind == TUNE else "table"
            raise InputError(
                f"A {what} {clean_name(name)!r} is being made already. Look at it below, or choose another name."
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
    """Refuse further work where too much waits, or too much of one visitor is not done.

    Raises:
        InputError: so it is; the message says how many.
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
    """Run the command of a piece of work, from where it stopped, in its turn; do nothing where it is running or waits.

    Raises:
        InputError: there is no such work.
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
    """Start what waits, in turn, as far as there is room; look again later while something waits."""
    root = folder() / ".making"
    if not waiting.in_order(root):
        return
    with waiting.order_lock(root):
        running = sum(is_running(home) for home in job_folders())
        for home in waiting.in_order(root):
            if running >= BUILDS.value:
                _look_again()
                return
            try:
                _begin(home)
            except OSError:  # a full disk: it waits for room
                _look_again()
                return
            waiting.leave(home)
            running += 1


def _begin(home: Path) -> None:
    """Start the process of a piece of work."""
    request = read_record(home / "request.json")
    if request is None:
        return
    out = out_of(home.name, str(request["kind"]))
    if request["kind"] == TUNE:
        out.parent.mkdir(parents=True, exist_ok=True)
    places = {"{out}": str(out), "{progress}": str(home / "progress.json")}
    arguments = [filled(argument, places, home) for argument in request["arguments"]]
    identity = start_detached("map_core", arguments, home / "log.txt", NICENESS)
    try:
        with atomic_write(home / "process.json") as partial:
            partial.write_text(json.dumps(identity.as_dict()), encoding="utf-8")
    except OSError:
        identity.terminate()  # nobody could stop it
        raise


_looking = threading.Lock()


def _look_again() -> None:
    """Look every now and then, in one thread of this process, until nothing waits any more."""

    def look() -> None:
        with _looking:
            while waiting.in_order(folder() / ".making"):
                time.sleep(LOOK_SECONDS)
                with contextlib.suppress(InputError, OSError):
                    advance()

    if not _looking.locked():
        threading.Thread(target=look, name="tables that wait", daemon=True).start()


def answer(name: str, answers: Mapping[str, str | None]) -> None:
    """Answer the questions that ended a piece of work, and run its command again.

    Args:
        name: of the table.
        answers: values of the options that answer them, by option; None takes an option back.

    Raises:
        InputError: there is no such work.
    """
    place = job_folder(name) / "request.json"
    request = read_record(place)
    if request is None:
        raise InputError(f"There is no work on a table {name!r} any more. Look at the list again.")
    kept = [argument for argument in request["arguments"] if argument.partition("=")[0] not in answers]
    given = [f"{option}={value}" for option, value in answers.items() if value is not None]
    request["arguments"] = [*kept, *given]
    with atomic_write(place) as partial:
        partial.write_text(json.dumps(request), encoding="utf-8")
    resume(name)


def stop(name: str) -> None:
    """Ask the process to stop, where it is running; what it has made is kept. What waits does not start."""
    home = job_folder(name)
    with waiting.order_lock(home.parent):
        if waiting.leave(home):
            with atomic_write(home / "progress.json") as partial:
                partial.write_text(json.dumps({"state": TableJobState.STOPPED}), encoding="utf-8")
        elif identity := identity_of(home):
            identity.terminate()


def discard(name: str) -> None:
    """Forget a piece of work that is not running, and all that it has made so far; what is finished stays.

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
    """Return all work that is going on or was not brought to an end, the latest first; start what can be started."""
    with contextlib.suppress(InputError):  # others are at it
        advance()
    homes = sorted(job_folders(), key=_asked, reverse=True)
    return tuple(status(home.name) for home in homes)


def _asked(home: Path) -> float:
    """Return when a piece of work was asked for, or was answered; 0.0 where it was discarded meanwhile."""
    try:
        return (home / "request.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0
