"""Tests of tables made in child processes: started, watched, stopped, killed, resumed, discarded."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from map_core import catalog
from map_core.catalog import jobs, processes
from map_core.catalog.jobs import TableJobState
from map_core.core import child_process
from map_core.data import table_format
from map_core.errors import InputError

CSV = b"prompt,reply,humor\na,x,1\na,y,2\nb,z,0.5\n"
IMPORT = ("import", "{folder}/input.csv", "--out", "{out}", "--force", "--progress-file", "{progress}")
#: A command that runs until it is stopped, as a build does.
WAITS = """
import sys, time
from pathlib import Path
from map_core.building import Progress
from map_core.cli.progress import watch_progress
out, progress, marker = (Path(one) for one in sys.argv[1:])
with watch_progress(out, True, progress) as watcher:
    watcher(Progress("sampling", 1, 8, 0, 2.0))
    while not marker.exists():
        time.sleep(0.05)
    out.write_bytes(b"made")
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))


@pytest.fixture
def waits(tmp_path, monkeypatch) -> Path:
    """Replace ``python -m map_core`` by a command that waits until this file exists; return its path."""
    (tmp_path / "waits.py").write_text(WAITS)
    marker = tmp_path / "go"

    def command(module, arguments):
        assert module == "map_core"
        return [sys.executable, str(tmp_path / "waits.py"), *arguments, str(marker)]

    monkeypatch.setattr(child_process, "python_command", command)
    return marker


def until(name: str, *states: TableJobState, stage: str = "") -> jobs.TableJob:
    """Wait until the work is in one of these states, and return it."""
    for _ in range(600):
        job = jobs.status(name)
        if job.state in states and (not stage or job.stage == stage):
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def test_import_succeeds_and_is_reported(tmp_path: Path):
    upload = tmp_path / "uploaded"
    upload.write_bytes(CSV)
    processes.start("Mine", "import", IMPORT, {"file": "mine.csv"}, {"input.csv": upload})
    assert not upload.exists()
    job = until("Mine", TableJobState.DONE, TableJobState.FAILED)
    assert (job.state, job.kind, job.about, job.unit) == (
        TableJobState.DONE,
        "import",
        {"file": "mine.csv"},
        "%",
    )
    assert "values: humor" in job.notes[0]
    assert table_format.load(catalog.path_of("Mine")).rewards.ravel().tolist() == [1.0, 2.0, 0.5]
    assert [entry.name for entry in processes.list_jobs()] == ["Mine"]
    assert [entry.name for entry in catalog.list_tables()] == ["Mine"]
    with pytest.raises(InputError, match="There is a table 'Mine' already"):
        processes.start("Mine", "import", IMPORT, {})
    processes.discard("Mine")
    assert processes.list_jobs() == ()
    assert catalog.path_of("Mine").exists()
    with pytest.raises(InputError, match="no work on a table 'Mine' any more"):
        processes.resume("Mine")


def test_import_failures_are_reported_in_words(tmp_path: Path):
    content = b"prompt,reply,humor\na,x,funny\na,y,1\n"
    processes.start("Bad", "import", IMPORT, {"file": "May.csv"}, {"input.csv": content})
    job = until("Bad", TableJobState.DONE, TableJobState.FAILED)
    assert job.state is TableJobState.FAILED
    # Messages use the name of the uploaded file and the row numbers of the spreadsheet.
    assert job.error.startswith("May.csv (row 1 is the header): row 2, column 'humor' is 'funny', not a number")
    assert "input.csv" not in job.error
    assert str(tmp_path) not in job.error
    assert catalog.list_tables() == ()
    processes.start("Worse", "import", ("import", "--nonsense"), {})
    assert "nonsense" in until("Worse", TableJobState.DONE, TableJobState.FAILED).error
    with pytest.raises(InputError, match="is being made already"):
        processes.start("Worse", "import", IMPORT, {})


def test_killed_work_is_marked_interrupted_and_resumes(waits: Path):
    processes.start("Slow", "build", ("{out}", "{progress}"), {"prompts": 8})
    job = until("Slow", TableJobState.RUNNING, stage="sampling")
    assert (job.done, job.total, job.rate) == (1, 8, 30.0)
    with pytest.raises(InputError, match="Stop that first"):
        processes.discard("Slow")
    first = json.loads((jobs.job_folder("Slow") / "process.json").read_text())["pid"]
    processes.resume("Slow")
    assert json.loads((jobs.job_folder("Slow") / "process.json").read_text())["pid"] == first
    os.kill(first, signal.SIGKILL)
    assert until("Slow", TableJobState.INTERRUPTED).done == 1
    processes.resume("Slow")
    until("Slow", TableJobState.RUNNING, stage="sampling")
    processes.stop("Slow")
    until("Slow", TableJobState.STOPPED)
    processes.stop("Slow")  # without effect on a process that has ended
    waits.touch()
    processes.resume("Slow")
    until("Slow", TableJobState.DONE)
    assert catalog.path_of("Slow").read_bytes() == b"made"


def test_work_survives_the_process_that_started_it(waits: Path, tmp_path: Path, monkeypatch):
    """As after a restart of the app: the two processes share only the disk."""
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    until("Slow", TableJobState.RUNNING, stage="sampling")
    monkeypatch.setattr(child_process, "_detached", [])
    assert jobs.status("Slow").state is TableJobState.RUNNING
    waits.touch()
    until("Slow", TableJobState.DONE)


def test_reused_process_id_is_not_mistaken_for_the_work(waits: Path):
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    until("Slow", TableJobState.RUNNING, stage="sampling")
    process = jobs.job_folder("Slow") / "process.json"
    record = json.loads(process.read_text())
    process.write_text(json.dumps({"pid": os.getpid(), "pid_started": record["pid_started"] - 1000}))
    assert jobs.status("Slow").state is TableJobState.INTERRUPTED
    processes.stop("Slow")  # which would end this test
    process.write_text(json.dumps(record))
    waits.touch()
    until("Slow", TableJobState.DONE)


def test_clock_change_interrupts_nothing(waits: Path):
    """Nor does a build of an older version, which recorded no ticks, look interrupted."""
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    until("Slow", TableJobState.RUNNING, stage="sampling")
    record = jobs.job_folder("Slow") / "process.json"
    identity = json.loads(record.read_text())
    assert identity["pid_ticks"]
    record.write_text(json.dumps(identity | {"pid_started": identity["pid_started"] - 3600.0}))
    assert jobs.status("Slow").state is TableJobState.RUNNING
    record.write_text(json.dumps({"pid": identity["pid"], "pid_started": identity["pid_started"]}))
    assert jobs.status("Slow").state is TableJobState.RUNNING
    waits.touch()
    until("Slow", TableJobState.DONE)


def test_free_name_belongs_to_no_table_and_no_work():
    assert processes.free_name("Mine") == "Mine"
    catalog.path_of("Mine").write_bytes(b"")
    assert processes.free_name("Mine") == "Mine 2"
    jobs.job_folder("Mine 2").mkdir(parents=True)
    assert processes.free_name("Mine") == "Mine 3"


def test_two_jobs_run_and_the_others_queue(waits: Path):
    names = ["One", "Two", "Three", "Four", "Five"]
    for name in names:
        processes.start(name, "build", ("{out}", "{progress}"), {})
    for name in names[:2]:
        until(name, TableJobState.RUNNING, stage="sampling")
    assert [(jobs.status(name).state, jobs.status(name).place) for name in names[2:]] == [
        (TableJobState.WAITING, place) for place in (1, 2, 3)
    ]
    with pytest.raises(InputError, match="is being made already"):
        processes.start("Five", "build", (), {})
    processes.resume("Five")  # it keeps its place
    assert jobs.status("Five").place == 3
    processes.stop("Three")
    assert until("Three", TableJobState.STOPPED).place == 0
    assert [jobs.status(name).place for name in names[3:]] == [1, 2]
    processes.resume("Three")
    assert [jobs.status(name).place for name in ("Four", "Five", "Three")] == [1, 2, 3]
    processes.discard("Five")
    assert jobs.status("Three").place == 2
    processes.stop("One")
    until("One", TableJobState.STOPPED)
    # Without any view of the list the app starts the first queued work by itself.
    waiting_file = jobs.job_folder("Four") / "waiting.json"
    for _ in range(200):
        if not waiting_file.exists():
            break
        time.sleep(0.05)
    assert until("Four", TableJobState.RUNNING, stage="sampling").place == 0
    assert jobs.status("Three").place == 1
    waits.touch()
    for name in ("Two", "Three", "Four"):
        until(name, TableJobState.DONE)


def test_full_queue_refuses_work(waits: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VALUE_PALETTE_BUILDS", "1")
    monkeypatch.setenv("VALUE_PALETTE_BUILDS_WAITING", "2")
    monkeypatch.setenv("VALUE_PALETTE_BUILDS_OF_VISIT", "2")
    command = ("build", ("{out}", "{progress}"), {})
    processes.start("A", *command, visitor="ann")
    processes.start("B", *command, visitor="ann")
    with pytest.raises(InputError, match="2 tables that you have asked for are not made yet"):
        processes.start("C", *command, visitor="ann")
    processes.start("C", *command, visitor="bob")
    with pytest.raises(InputError, match="2 tables wait to be made already"):
        processes.start("D", *command, visitor="cid")
    assert not jobs.job_folder("D").exists()
    waits.touch()
    for name in ("A", "B", "C"):
        until(name, TableJobState.DONE)
    processes.start("D", *command, visitor="ann")
    until("D", TableJobState.DONE)


def test_queued_work_starts_after_a_restart_of_the_app(waits: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "_advance_later", lambda: None)  # the thread of the killed app
    for name in ("One", "Two", "Three"):
        processes.start(name, "build", ("{out}", "{progress}"), {})
    waits.touch()
    until("One", TableJobState.DONE)
    assert jobs.status("Three").state is TableJobState.WAITING
    for _ in range(100):
        if {job.name: job for job in processes.list_jobs()}["Three"].state is not TableJobState.WAITING:
            break
        time.sleep(0.05)
    until("Three", TableJobState.DONE)


def test_concurrent_requests_for_one_name_admit_only_one(waits: Path, monkeypatch: pytest.MonkeyPatch):
    barrier = threading.Barrier(2)

    def meet(_: str) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(1)  # after both have checked that the name is free

    monkeypatch.setattr(processes, "_refuse_too_many", meet)
    refused = []

    def ask(who: str) -> None:
        try:
            processes.start("Same", "build", ("{out}", "{progress}"), {"of": who}, {"input": who.encode()})
        except InputError:
            refused.append(who)

    threads = [threading.Thread(target=ask, args=(who,)) for who in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (loser,) = refused
    (winner,) = {"ann", "ben"} - {loser}
    assert jobs.status("Same").about == {"of": winner}
    assert (jobs.job_folder("Same") / "input").read_bytes() == winner.encode()
    waits.touch()
    until("Same", TableJobState.DONE)


def test_work_waits_while_the_disk_is_full(waits: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(processes, "CHECK_SECONDS", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(processes, "start_detached", full)
        processes.start("Mine", "build", ("{out}", "{progress}"), {})
        assert [job.state for job in processes.list_jobs()] == [TableJobState.WAITING]
    waits.touch()
    until("Mine", TableJobState.DONE)


def test_folder_left_by_a_killed_app_does_not_reserve_its_name(waits: Path):
    jobs.job_folder("Mine").mkdir(parents=True)
    waits.touch()
    processes.start("Mine", "build", ("{out}", "{progress}"), {})
    until("Mine", TableJobState.DONE)


def test_work_that_ends_during_a_status_check_counts_as_done(monkeypatch: pytest.MonkeyPatch):
    home = jobs.job_folder("Quick")
    home.mkdir(parents=True)
    (home / "request.json").write_text(json.dumps({"kind": "import", "arguments": []}))
    (home / "progress.json").write_text(json.dumps({"stage": "writing"}))

    def ended(home: Path) -> bool:
        (home / "progress.json").write_text(json.dumps({"state": "done"}))
        return False

    monkeypatch.setattr(jobs, "is_running", ended)
    assert jobs.status("Quick").state is TableJobState.DONE
