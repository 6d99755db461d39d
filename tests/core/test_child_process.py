"""Child processes: messages both ways, their end and their parent's, and recognising one by its start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from map_core.core.child_process import (
    ChildProcess,
    ProcessIdentity,
    python_command,
    python_environment,
    start_detached,
)
from tests.waiting import until

#: Echoes messages, and misbehaves as it is asked to.
ECHO = """
import os, signal, sys, time
print("noise before the pipe is set apart", flush=True)
from map_core.core.child_process import ParentPipe
parent = ParentPipe()
print("noise")
os.write(1, b"noise of a library\\n")
while True:
    message = parent.receive()
    match message.get("do"):
        case "leave":
            print("last line", file=sys.stderr)
            sys.exit(message["code"])
        case "hang":
            time.sleep(600)
        case "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent.send(message)
"""
NUMBERS = {"numbers": [0.1 + 0.2, 1e-300, -0.0], "text": "Grüße \u2028 \ud800", "none": None}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that a child can run, and a working directory that has nothing to do with the project."""
    (tmp_path / "echo_child.py").write_text(ECHO)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "json.py").write_text("raise RuntimeError('taken for a library')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return "echo_child"


def started(module: str, tmp_path: Path, log: list[str] | None = None) -> ChildProcess:
    return ChildProcess(module, paths=[str(tmp_path)], on_log=None if log is None else log.append)


def test_messages_go_both_ways_and_noise_is_none(module: str, tmp_path: Path) -> None:
    log: list[str] = []
    child = started(module, tmp_path, log)
    for number in range(3):
        assert child.send(NUMBERS | {"number": number})
    assert [child.receive(30.0) for _ in range(3)] == [NUMBERS | {"number": number} for number in range(3)]
    with pytest.raises(TimeoutError):
        child.receive(0.05)
    assert child.send({"do": "leave", "code": 7})
    for _ in range(2):
        with pytest.raises(EOFError):
            child.receive(30.0)
    assert child.wait(30.0) == 7
    assert not child.running
    assert not child.send({})
    assert log[-1] == "last line"
    assert "noise of a library" in log
    child.end()


@pytest.mark.parametrize(("do", "code"), [("echo", -signal.SIGTERM), ("ignore", -signal.SIGKILL)])
def test_it_is_terminated_and_then_killed(module: str, tmp_path: Path, do: str, code: int) -> None:
    child = started(module, tmp_path)
    child.send({"do": do})
    assert child.receive(30.0) == {"do": do}
    child.end(grace=10.0 if do == "echo" else 0.2)
    assert child.exit_code == code
    assert not psutil.pid_exists(child.pid)


def test_it_leaves_with_its_parent_in_the_middle_of_work(module: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from map_core.core.child_process import ChildProcess;"
        f"child = ChildProcess({module!r}, paths=[sys.argv[1]]); child.send({{}}); child.receive(30);"
        "child.send({'do': 'hang'}); print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until(lambda: not ProcessIdentity.of(int(done.stdout)).running)


def test_a_process_is_told_from_another_one_with_its_number() -> None:
    own = ProcessIdentity.of(os.getpid())
    assert own.running
    assert ProcessIdentity.from_dict(own.as_dict()) == own
    boot, _, ticks = own.ticks.partition(":")
    assert not ProcessIdentity(own.pid, own.started, f"{boot}:{int(ticks) + 1}").running
    assert not ProcessIdentity(own.pid, own.started, f"another boot:{ticks}").running
    assert ProcessIdentity(own.pid, own.started + 3600.0, own.ticks).running, "the clock was put back"
    assert ProcessIdentity(own.pid, own.started).running
    assert not ProcessIdentity(own.pid, own.started - 3600.0).running
    assert ProcessIdentity.from_dict({"pid": 1}) is None
    assert ProcessIdentity.from_dict({"pid": "one", "pid_started": 0.0}) is None


def test_a_detached_process_has_ended_before_anybody_waits_for_it(tmp_path: Path) -> None:
    identity = start_detached("this_is_no_module", [], tmp_path / "log.txt", niceness=5)
    until(lambda: not identity.running)
    identity.terminate()
    assert "No module named this_is_no_module" in (tmp_path / "log.txt").read_text()


def test_the_app_comes_before_a_child_that_is_to_leave_it_the_processor(module: str, tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    child = ChildProcess(module, paths=[str(tmp_path)], niceness=3)
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, own + 3)
    child.end()


def test_a_child_finds_the_project_and_keeps_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/one", "/two"]))
    environment = python_environment(["/three"], COLOUR="blue")
    assert environment["COLOUR"] == "blue"
    assert environment["PYTHONPATH"].split(os.pathsep)[-3:] == ["/three", "/one", "/two"]
    assert python_command("map_core", ["solve"])[1:] == ["-P", "-m", "map_core", "solve"]


@pytest.mark.parametrize("pid", [0, -1, -4])
def test_an_id_that_stands_for_many_processes_is_none(pid: int) -> None:
    assert ProcessIdentity.from_dict({"pid": pid, "pid_started": 1.0}) is None
