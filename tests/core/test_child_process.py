"""Tests of child processes: messages in both directions, termination, death of the parent, and identification."""

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

#: Echoes messages, and exits, hangs or ignores SIGTERM on request.
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
MESSAGE = {"numbers": [0.1 + 0.2, 1e-300, -0.0], "text": "Grüße \u2028 \ud800", "none": None}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module that a child can run, enter an unrelated working directory, and return the module's name."""
    (tmp_path / "echo_child.py").write_text(ECHO)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "json.py").write_text("raise RuntimeError('taken for a library')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return "echo_child"


def start_child(module: str, tmp_path: Path, log: list[str] | None = None) -> ChildProcess:
    return ChildProcess(module, paths=[str(tmp_path)], on_log=None if log is None else log.append)


def test_messages_go_both_ways_and_other_output_is_ignored(module: str, tmp_path: Path) -> None:
    log: list[str] = []
    child = start_child(module, tmp_path, log)
    for number in range(3):
        assert child.send(MESSAGE | {"number": number})
    assert [child.receive(30.0) for _ in range(3)] == [MESSAGE | {"number": number} for number in range(3)]
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


@pytest.mark.parametrize(("action", "code"), [("echo", -signal.SIGTERM), ("ignore", -signal.SIGKILL)])
def test_a_child_is_terminated_and_then_killed(module: str, tmp_path: Path, action: str, code: int) -> None:
    child = start_child(module, tmp_path)
    child.send({"do": action})
    assert child.receive(30.0) == {"do": action}
    child.end(grace=10.0 if action == "echo" else 0.2)
    assert child.exit_code == code
    assert not psutil.pid_exists(child.pid)


def test_a_busy_child_exits_when_its_parent_is_killed(module: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from map_core.core.child_process import ChildProcess;"
        f"child = ChildProcess({module!r}, paths=[sys.argv[1]]); child.send({{}}); child.receive(30);"
        "child.send({'do': 'hang'}); print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    completed = subprocess.run(
        command, env=python_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.returncode == -signal.SIGKILL, completed.stderr
    until(lambda: not ProcessIdentity.of(int(completed.stdout)).running)


def test_a_process_is_distinguished_from_another_one_with_its_id() -> None:
    identity = ProcessIdentity.of(os.getpid())
    assert identity.running
    assert ProcessIdentity.from_dict(identity.as_dict()) == identity
    boot, _, ticks = identity.ticks.partition(":")
    assert not ProcessIdentity(identity.pid, identity.started, f"{boot}:{int(ticks) + 1}").running
    assert not ProcessIdentity(identity.pid, identity.started, f"another boot:{ticks}").running
    assert ProcessIdentity(identity.pid, identity.started + 3600.0, identity.ticks).running, "the clock was put back"
    assert ProcessIdentity(identity.pid, identity.started).running
    assert not ProcessIdentity(identity.pid, identity.started - 3600.0).running
    assert ProcessIdentity.from_dict({"pid": 1}) is None
    assert ProcessIdentity.from_dict({"pid": "one", "pid_started": 0.0}) is None


def test_the_end_of_a_detached_process_is_noticed_without_waiting_for_it(tmp_path: Path) -> None:
    identity = start_detached("this_is_no_module", [], tmp_path / "log.txt", niceness=5)
    until(lambda: not identity.running)
    identity.terminate()
    assert "No module named this_is_no_module" in (tmp_path / "log.txt").read_text()


def test_a_child_with_niceness_has_a_lower_priority_than_the_app(module: str, tmp_path: Path) -> None:
    own_priority = os.getpriority(os.PRIO_PROCESS, 0)
    child = ChildProcess(module, paths=[str(tmp_path)], niceness=3)
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, own_priority + 3)
    child.end()


def test_a_child_finds_the_project_and_keeps_the_given_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/one", "/two"]))
    environment = python_environment(["/three"], COLOUR="blue")
    assert environment["COLOUR"] == "blue"
    assert environment["PYTHONPATH"].split(os.pathsep)[-3:] == ["/three", "/one", "/two"]
    assert python_command("map_core", ["solve"])[1:] == ["-P", "-m", "map_core", "solve"]


@pytest.mark.parametrize("pid", [0, -1, -4])
def test_an_id_that_addresses_many_processes_is_rejected(pid: int) -> None:
    assert ProcessIdentity.from_dict({"pid": pid, "pid_started": 1.0}) is None
