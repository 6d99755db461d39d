"""Tests of child processes: messages both ways, their end and their parent's, and identification by start time."""

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

#: A child that echoes messages and misbehaves on request.
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
    """Write a module that a child can run, in a working directory outside the project."""
    (tmp_path / "echo_child.py").write_text(ECHO)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "json.py").write_text("raise RuntimeError('taken for a library')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return "echo_child"


def started(module: str, tmp_path: Path, log: list[str] | None = None) -> ChildProcess:
    return ChildProcess(module, paths=[str(tmp_path)], on_log=None if log is None else log.append)


def test_messages_go_both_ways_and_other_output_is_ignored(module: str, tmp_path: Path) -> None:
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
def test_child_is_terminated_and_then_killed(module: str, tmp_path: Path, do: str, code: int) -> None:
    child = started(module, tmp_path)
    child.send({"do": do})
    assert child.receive(30.0) == {"do": do}
    child.end(grace=10.0 if do == "echo" else 0.2)
    assert child.exit_code == code
    assert not psutil.pid_exists(child.pid)


def test_child_ends_with_its_parent_during_work(module: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from map_core.core.child_process import ChildProcess;"
        f"child = ChildProcess({module!r}, paths=[sys.argv[1]]); child.send({{}}); child.receive(30);"
        "child.send({'do': 'hang'}); print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until(lambda: not ProcessIdentity.of(int(done.stdout)).running)


def test_reused_process_id_is_recognised_as_another_process() -> None:
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


def test_detached_process_counts_as_ended_before_it_is_waited_for(tmp_path: Path) -> None:
    identity = start_detached("this_is_no_module", [], tmp_path / "log.txt", niceness=5)
    until(lambda: not identity.running)
    identity.terminate()
    assert "No module named this_is_no_module" in (tmp_path / "log.txt").read_text()


def test_low_priority_child_yields_the_processor_to_the_app(module: str, tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    child = ChildProcess(module, paths=[str(tmp_path)], niceness=3)
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, own + 3)
    child.end()


def test_child_finds_the_project_and_keeps_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/one", "/two"]))
    environment = python_environment(["/three"], COLOUR="blue")
    assert environment["COLOUR"] == "blue"
    assert environment["PYTHONPATH"].split(os.pathsep)[-3:] == ["/three", "/one", "/two"]
    assert python_command("map_core", ["solve"])[1:] == ["-P", "-m", "map_core", "solve"]


@pytest.mark.parametrize("pid", [0, -1, -4])
def test_id_of_a_process_group_is_no_process(pid: int) -> None:
    assert ProcessIdentity.from_dict({"pid": pid, "pid_started": 1.0}) is None
