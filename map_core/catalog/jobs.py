"""Read the state of work from its folder, ``.making/NAME`` beside the tables: the request and its progress.

Constraint: the whole state is in the folder, so that an app that was killed knows on its next start what is still
running and what was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from map_core.building import BuildEstimate
from map_core.catalog import waiting
from map_core.catalog.folder import clean_name, folder, path_of
from map_core.core.child_process import ProcessIdentity
from map_core.models.tuned import tuned_folder

#: The kind of work that makes a folder with a tuned model instead of a table.
TUNE = "tune"
#: The kind of work in which tuned models read replies and store a mixture; it makes no table.
MIX = "mix"
#: Number of lines of a process's log that are shown after a failure.
LOG_LINES = 12


class TableJobState(StrEnum):
    """State of work; "interrupted" if its process has ended without reporting a final state."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class TableJob:
    """A table that is being made, or a model that is being tuned.

    Args:
        name: name of the table or the model.
        kind: "build", "import", "extend", :data:`TUNE` or :data:`MIX`.
        about: description of the request, plain values to show.
        state: see :class:`TableJobState`.
        stage: "starting", "reading", "sampling", "scoring" or "writing"; for a tuning also
            "solving", "tuning", "answering" or "checking".
        done, total: progress of this stage; both 0 while unknown.
        unit: "prompts", "steps" or "%".
        rate: units per minute; None while unknown.
        seconds_left: time left in this stage; None while unknown.
        notes: sentences for the user.
        estimate: estimate of a build, measured on its first prompts; None until then.
        error: the error message; "" if there is none.
        questions: questions that must be answered first, as plain values, see
            :class:`map_core.data.importing.questions.Question`.
        place: position in the queue, from 1; 0 if it does not wait.
        figures: further results so far, see :class:`map_core.building.progress.Progress`.
        options: the options and arguments of its command.
    """

    name: str
    kind: str
    about: Mapping[str, Any]
    state: TableJobState
    stage: str
    done: int
    total: int
    unit: str
    rate: float | None
    seconds_left: float | None
    notes: tuple[str, ...]
    estimate: BuildEstimate | None
    error: str
    questions: tuple[Mapping[str, Any], ...] = ()
    place: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def going_on(self) -> bool:
        """Whether it runs or waits, so that its state can still change."""
        return self.state in (TableJobState.RUNNING, TableJobState.WAITING)


def job_folder(name: str) -> Path:
    """Return the folder of a job."""
    return folder() / ".making" / clean_name(name)


def out_of(name: str, kind: str) -> Path:
    """Return the output of a job: a table's file, or a tuned model's folder."""
    return tuned_folder(clean_name(name)) if kind == TUNE else path_of(name)


def job_folders() -> list[Path]:
    """Return the folders of all jobs."""
    return [home for home in (folder() / ".making").glob("*") if (home / "request.json").exists()]


def is_running(home: Path) -> bool:
    """Return whether the process of a job is running, whatever its progress file says."""
    identity = identity_of(home)
    return identity is not None and identity.running


def status(name: str) -> TableJob:
    """Return the state of a job."""
    home = job_folder(name)
    request = read_record(home / "request.json") or {}
    # In the order in which these come about: work that begins or ends in between is seen where it came from, or whole.
    place = waiting.place(home)
    running = is_running(home)
    progress = read_record(home / "progress.json") or {}
    state, error = _state(progress, running), str(progress.get("error") or "")
    if place:
        state = TableJobState.WAITING
    elif state is TableJobState.INTERRUPTED and not progress and (home / "log.txt").exists():
        state, error = TableJobState.FAILED, _tail(home / "log.txt")
    return TableJob(
        name=clean_name(name),
        kind=str(request.get("kind", "build")),
        about=request.get("about", {}),
        state=state,
        stage=str(progress.get("stage", "starting")),
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        unit=str(progress.get("unit", "prompts")),
        rate=progress.get("rate"),
        seconds_left=progress.get("seconds_left"),
        notes=tuple(str(note) for note in progress.get("notes", ())),
        estimate=BuildEstimate(**progress["estimate"]) if progress.get("estimate") else None,
        error=_without_paths(error, request, name),
        questions=tuple(progress.get("questions", ())),
        place=place,
        figures=progress.get("figures") or {},
        options=tuple(map(str, request.get("arguments", ()))),
    )


def _without_paths(text: str, request: Mapping[str, Any], name: str) -> str:
    """Return a message with the server's paths replaced by the names that the user knows."""
    home, about = job_folder(name), request.get("about", {})
    if request.get("kind") == "import" and "file" in about and len(request["arguments"]) > 1:
        text = text.replace(filled(str(request["arguments"][1]), {}, home), str(about["file"]))
    text = text.replace(f"{home}{os.sep}", "").replace(str(home), "")
    return text.replace(str(out_of(name, str(request.get("kind")))), clean_name(name))


def _state(progress: Mapping[str, Any], running: bool) -> TableJobState:
    state = progress.get("state")
    if state in (TableJobState.DONE, TableJobState.STOPPED, TableJobState.FAILED):
        return TableJobState(str(state))
    return TableJobState.RUNNING if running else TableJobState.INTERRUPTED


def identity_of(home: Path) -> ProcessIdentity | None:
    """Return the last process of a job; None if none was started."""
    return ProcessIdentity.from_dict(read_record(home / "process.json") or {})


def filled(argument: str, paths: Mapping[str, str], home: Path) -> str:
    """Return an argument with its placeholder replaced; other arguments, even with braces, are unchanged."""
    if argument.startswith("{folder}/"):
        return str(home / argument.removeprefix("{folder}/"))
    return paths.get(argument, argument)


def _tail(path: Path) -> str:
    """Return the last lines of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-LOG_LINES:])


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
