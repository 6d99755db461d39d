"""Tables made by processes of their own: begun, watched, stopped, killed, gone on with, given up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from map_core import rewards, tables
from map_core.errors import InputError
from map_core.tables import making
from map_core.tables.making import State

CSV = b"prompt,reply,humor\na,x,1\na,y,2\nb,z,0.5\n"
IMPORT = ("import", "{folder}/input.csv", "--out", "{out}", "--force", "--progress-file", "{progress}")
#: A command that goes on until it is stopped, as a build does.
WAITS = """
import sys, time
from pathlib import Path
from map_core.build import Progress
from map_core.command_line.watching import watched
out, progress, marker = (Path(one) for one in sys.argv[1:])
with watched(out, True, progress) as watcher:
    watcher(Progress("sampling", 1, 8, 0, 2.0))
    while not marker.exists():
        time.sleep(0.05)
    out.write_bytes(b"made")
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(tables.SETTING, str(tmp_path / "kept"))


@pytest.fixture
def waits(tmp_path, monkeypatch) -> Path:
    """``python -m map_core`` is a command that waits for this file to be there."""
    (tmp_path / "waits.py").write_text(WAITS)
    marker = tmp_path / "go"
    began = subprocess.Popen

    def popen(command, **options):
        assert command[:3] == [sys.executable, "-m", "map_core"]
        options["env"] = {**os.environ, "PYTHONPATH": str(making.ROOT)}
        return began([sys.executable, str(tmp_path / "waits.py"), *command[3:], str(marker)], **options)

    monkeypatch.setattr(making.subprocess, "Popen", popen)
    return marker


def until(name: str, *states: State, stage: str = "") -> making.Making:
    """The work once it is in one of these states."""
    for _ in range(600):
        found = making.look(name)
        if found.state in states and (not stage or found.stage == stage):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


def test_an_import_is_made_and_said(tmp_path: Path):
    upload = tmp_path / "uploaded"
    upload.write_bytes(CSV)
    making.begin("Mine", "import", IMPORT, {"file": "mine.csv"}, {"input.csv": upload})
    assert not upload.exists()
    found = until("Mine", State.DONE, State.FAILED)
    assert (found.state, found.kind, found.about, found.unit) == (State.DONE, "import", {"file": "mine.csv"}, "%")
    assert "values: humor" in found.notes[0]
    assert rewards.load(tables.path_of("Mine")).rewards.ravel().tolist() == [1.0, 2.0, 0.5]
    assert [one.name for one in making.every()] == ["Mine"]
    assert [one.name for one in tables.listed()] == ["Mine"]
    with pytest.raises(InputError, match="There is a table 'Mine' already"):
        making.begin("Mine", "import", IMPORT, {})
    making.give_up("Mine")
    assert making.every() == ()
    assert tables.path_of("Mine").exists()
    with pytest.raises(InputError, match="no work on a table 'Mine' any more"):
        making.go_on("Mine")


def test_what_cannot_be_imported_is_said_in_words(tmp_path: Path):
    making.begin("Bad", "import", IMPORT, {}, {"input.csv": b"prompt,reply,humor\na,x,funny\na,y,1\n"})
    found = until("Bad", State.DONE, State.FAILED)
    assert found.state is State.FAILED
    assert "row 1, column 'humor' is 'funny', no number" in found.error
    assert str(tmp_path) not in found.error
    assert tables.listed() == ()
    making.begin("Worse", "import", ("import", "--nonsense"), {})
    assert "nonsense" in until("Worse", State.DONE, State.FAILED).error
    with pytest.raises(InputError, match="is being made already"):
        making.begin("Worse", "import", IMPORT, {})


def test_killed_work_is_interrupted_and_goes_on(waits: Path):
    making.begin("Slow", "build", ("{out}", "{progress}"), {"prompts": 8})
    found = until("Slow", State.RUNNING, stage="sampling")
    assert (found.done, found.total, found.rate) == (1, 8, 30.0)
    with pytest.raises(InputError, match="Stop that first"):
        making.give_up("Slow")
    first = json.loads((making.place("Slow") / "process.json").read_text())["pid"]
    making.go_on("Slow")
    assert json.loads((making.place("Slow") / "process.json").read_text())["pid"] == first
    os.kill(first, signal.SIGKILL)
    assert until("Slow", State.INTERRUPTED).done == 1
    making.go_on("Slow")
    until("Slow", State.RUNNING, stage="sampling")
    making.stop("Slow")
    until("Slow", State.STOPPED)
    making.stop("Slow")  # which is nothing to a process that has ended
    waits.touch()
    making.go_on("Slow")
    until("Slow", State.DONE)
    assert tables.path_of("Slow").read_bytes() == b"made"


def test_another_process_sees_it_and_it_outlives_the_one_that_began_it(waits: Path, tmp_path: Path, monkeypatch):
    """As an app that is killed and started again: nothing but the disk is common to both."""
    making.begin("Slow", "build", ("{out}", "{progress}"), {})
    until("Slow", State.RUNNING, stage="sampling")
    monkeypatch.setattr(making, "_children", {})
    assert making.look("Slow").state is State.RUNNING
    waits.touch()
    until("Slow", State.DONE)


def test_another_process_with_the_same_number_is_not_taken_for_it(waits: Path):
    making.begin("Slow", "build", ("{out}", "{progress}"), {})
    until("Slow", State.RUNNING, stage="sampling")
    process = making.place("Slow") / "process.json"
    told = json.loads(process.read_text())
    process.write_text(json.dumps({"pid": os.getpid(), "pid_started": told["pid_started"] - 1000}))
    assert making.look("Slow").state is State.INTERRUPTED
    making.stop("Slow")  # which would end this very test
    process.write_text(json.dumps(told))
    waits.touch()
    until("Slow", State.DONE)


def test_a_free_name_is_no_tables_and_no_works():
    assert making.free_name("Mine") == "Mine"
    tables.path_of("Mine").write_bytes(b"")
    assert making.free_name("Mine") == "Mine 2"
    making.place("Mine 2").mkdir(parents=True)
    assert making.free_name("Mine") == "Mine 3"
