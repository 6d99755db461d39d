"""Tests of tables made in separate processes: start, progress, stop, kill, resume and discard."""

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
from tests.waiting import until

CSV = b"prompt,reply,humor\na,x,1\na,y,2\nb,z,0.5\n"
IMPORT_COMMAND = ("import", "{folder}/input.csv", "--out", "{out}", "--force", "--progress-file", "{progress}")
#: A command that runs until a marker file exists or it is stopped, in place of a long build.
WAITING_COMMAND = """
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
def finish_marker(tmp_path, monkeypatch) -> Path:
    """Replace ``python -m map_core`` by a command that waits for a marker file, and return the path of this file."""
    (tmp_path / "waits.py").write_text(WAITING_COMMAND)
    marker = tmp_path / "go"

    def command(module, arguments):
        assert module == "map_core"
        return [sys.executable, str(tmp_path / "waits.py"), *arguments, str(marker)]

    monkeypatch.setattr(child_process, "python_command", command)
    return marker


def wait_for_state(name: str, *states: TableJobState, stage: str = "") -> jobs.TableJob:
    """Poll until the job is in one of these states, and in this stage where one is given; return the job."""
    for _ in range(600):
        job = jobs.status(name)
        if job.state in states and (not stage or job.stage == stage):
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def test_an_import_makes_a_table_and_reports_it(tmp_path: Path):
    upload = tmp_path / "uploaded"
    upload.write_bytes(CSV)
    processes.start("Mine", "import", IMPORT_COMMAND, {"file": "mine.csv"}, {"input.csv": upload})
    assert not upload.exists()
    job = wait_for_state("Mine", TableJobState.DONE, TableJobState.FAILED)
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
        processes.start("Mine", "import", IMPORT_COMMAND, {})
    processes.discard("Mine")
    assert processes.list_jobs() == ()
    assert catalog.path_of("Mine").exists()
    with pytest.raises(InputError, match="no work on a table 'Mine' any more"):
        processes.resume("Mine")


def test_a_failed_import_reports_its_cause(tmp_path: Path):
    content = b"prompt,reply,humor\na,x,funny\na,y,1\n"
    processes.start("Bad", "import", IMPORT_COMMAND, {"file": "May.csv"}, {"input.csv": content})
    job = wait_for_state("Bad", TableJobState.DONE, TableJobState.FAILED)
    assert job.state is TableJobState.FAILED
    # The message has the name of the uploaded file, and numbers rows as a spreadsheet does.
    assert job.error.startswith("May.csv (row 1 is the header): row 2, column 'humor' is 'funny', not a number")
    assert "input.csv" not in job.error
    assert str(tmp_path) not in job.error
    assert catalog.list_tables() == ()
    processes.start("Worse", "import", ("import", "--nonsense"), {})
    assert "nonsense" in wait_for_state("Worse", TableJobState.DONE, TableJobState.FAILED).error
    with pytest.raises(InputError, match="is being made already"):
        processes.start("Worse", "import", IMPORT_COMMAND, {})


def test_a_killed_job_is_interrupted_and_can_be_resumed(finish_marker: Path):
    processes.start("Slow", "build", ("{out}", "{progress}"), {"prompts": 8})
    job = wait_for_state("Slow", TableJobState.RUNNING, stage="sampling")
    assert (job.done, job.total, job.rate) == (1, 8, 30.0)
    with pytest.raises(InputError, match="Stop that first"):
        processes.discard("Slow")
    pid = json.loads((jobs.job_folder("Slow") / "process.json").read_text())["pid"]
    processes.resume("Slow")
    assert json.loads((jobs.job_folder("Slow") / "process.json").read_text())["pid"] == pid
    os.kill(pid, signal.SIGKILL)
    assert wait_for_state("Slow", TableJobState.INTERRUPTED).done == 1
    processes.resume("Slow")
    wait_for_state("Slow", TableJobState.RUNNING, stage="sampling")
    processes.stop("Slow")
    wait_for_state("Slow", TableJobState.STOPPED)
    processes.stop("Slow")  # has no effect on a process that has ended
    finish_marker.touch()
    processes.resume("Slow")
    wait_for_state("Slow", TableJobState.DONE)
    assert catalog.path_of("Slow").read_bytes() == b"made"


def test_a_job_outlives_the_app_that_started_it(finish_marker: Path, tmp_path: Path, monkeypatch):
    """Simulate an app that is killed and started again: both share nothing but the disk."""
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    wait_for_state("Slow", TableJobState.RUNNING, stage="sampling")
    monkeypatch.setattr(child_process, "_detached", [])
    assert jobs.status("Slow").state is TableJobState.RUNNING
    finish_marker.touch()
    wait_for_state("Slow", TableJobState.DONE)


def test_another_process_with_the_same_id_is_not_mistaken_for_the_job(finish_marker: Path):
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    wait_for_state("Slow", TableJobState.RUNNING, stage="sampling")
    process_file = jobs.job_folder("Slow") / "process.json"
    record = json.loads(process_file.read_text())
    process_file.write_text(json.dumps({"pid": os.getpid(), "pid_started": record["pid_started"] - 1000}))
    assert jobs.status("Slow").state is TableJobState.INTERRUPTED
    processes.stop("Slow")  # would terminate this test process if the start time were not compared
    process_file.write_text(json.dumps(record))
    finish_marker.touch()
    wait_for_state("Slow", TableJobState.DONE)


def test_a_change_of_the_clock_interrupts_no_job(finish_marker: Path):
    """A build started by an older version, which recorded no ticks, does not look interrupted either."""
    processes.start("Slow", "build", ("{out}", "{progress}"), {})
    wait_for_state("Slow", TableJobState.RUNNING, stage="sampling")
    process_file = jobs.job_folder("Slow") / "process.json"
    identity = json.loads(process_file.read_text())
    assert identity["pid_ticks"]
    process_file.write_text(json.dumps(identity | {"pid_started": identity["pid_started"] - 3600.0}))
    assert jobs.status("Slow").state is TableJobState.RUNNING
    process_file.write_text(json.dumps({"pid": identity["pid"], "pid_started": identity["pid_started"]}))
    assert jobs.status("Slow").state is TableJobState.RUNNING
    finish_marker.touch()
    wait_for_state("Slow", TableJobState.DONE)


def test_a_free_name_belongs_to_no_table_and_no_job():
    assert processes.free_name("Mine") == "Mine"
    catalog.path_of("Mine").write_bytes(b"")
    assert processes.free_name("Mine") == "Mine 2"
    jobs.job_folder("Mine 2").mkdir(parents=True)
    assert processes.free_name("Mine") == "Mine 3"


def test_two_jobs_run_and_the_others_wait_in_order(finish_marker: Path):
    names = ["One", "Two", "Three", "Four", "Five"]
    for name in names:
        processes.start(name, "build", ("{out}", "{progress}"), {})
    for name in names[:2]:
        wait_for_state(name, TableJobState.RUNNING, stage="sampling")
    assert [(jobs.status(name).state, jobs.status(name).place) for name in names[2:]] == [
        (TableJobState.WAITING, place) for place in (1, 2, 3)
    ]
    with pytest.raises(InputError, match="is being made already"):
        processes.start("Five", "build", (), {})
    processes.resume("Five")  # it keeps its place
    assert jobs.status("Five").place == 3
    processes.stop("Three")
    assert wait_for_state("Three", TableJobState.STOPPED).place == 0
    assert [jobs.status(name).place for name in names[3:]] == [1, 2]
    processes.resume("Three")
    assert [jobs.status(name).place for name in ("Four", "Five", "Three")] == [1, 2, 3]
    processes.discard("Five")
    assert jobs.status("Three").place == 2
    processes.stop("One")
    wait_for_state("One", TableJobState.STOPPED)
    # Nobody polls the list: the app itself starts the first job of the queue.
    waiting_file = jobs.job_folder("Four") / "waiting.json"
    until(lambda: not waiting_file.exists())
    assert wait_for_state("Four", TableJobState.RUNNING, stage="sampling").place == 0
    assert jobs.status("Three").place == 1
    finish_marker.touch()
    for name in ("Two", "Three", "Four"):
        wait_for_state(name, TableJobState.DONE)


def test_jobs_beyond_the_limits_of_the_queue_are_refused(finish_marker: Path, monkeypatch: pytest.MonkeyPatch):
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
    finish_marker.touch()
    for name in ("A", "B", "C"):
        wait_for_state(name, TableJobState.DONE)
    processes.start("D", *command, visitor="ann")
    wait_for_state("D", TableJobState.DONE)


def test_waiting_jobs_start_after_a_restart_of_the_app(finish_marker: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "_advance_later", lambda: None)  # the thread that ends with the app
    for name in ("One", "Two", "Three"):
        processes.start(name, "build", ("{out}", "{progress}"), {})
    finish_marker.touch()
    wait_for_state("One", TableJobState.DONE)
    assert jobs.status("Three").state is TableJobState.WAITING
    until(lambda: {job.name: job for job in processes.list_jobs()}["Three"].state is not TableJobState.WAITING)
    wait_for_state("Three", TableJobState.DONE)


def test_of_two_concurrent_requests_for_a_name_one_is_refused(finish_marker: Path, monkeypatch: pytest.MonkeyPatch):
    barrier = threading.Barrier(2)

    def wait_for_other_thread(_: str) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(1)  # both threads have checked that the name is free

    monkeypatch.setattr(processes, "_refuse_too_many", wait_for_other_thread)
    refused_visitors = []

    def start_job(visitor: str) -> None:
        try:
            processes.start("Same", "build", ("{out}", "{progress}"), {"of": visitor}, {"input": visitor.encode()})
        except InputError:
            refused_visitors.append(visitor)

    threads = [threading.Thread(target=start_job, args=(visitor,)) for visitor in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (loser,) = refused_visitors
    (winner,) = {"ann", "ben"} - {loser}
    assert jobs.status("Same").about == {"of": winner}
    assert (jobs.job_folder("Same") / "input").read_bytes() == winner.encode()
    finish_marker.touch()
    wait_for_state("Same", TableJobState.DONE)


def test_on_a_full_disk_a_job_waits_for_space(finish_marker: Path, monkeypatch: pytest.MonkeyPatch):
    def raise_disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(processes, "CHECK_SECONDS", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(processes, "start_detached", raise_disk_full)
        processes.start("Mine", "build", ("{out}", "{progress}"), {})
        assert [job.state for job in processes.list_jobs()] == [TableJobState.WAITING]
    finish_marker.touch()
    wait_for_state("Mine", TableJobState.DONE)


def test_a_folder_left_by_a_killed_app_does_not_block_its_name(finish_marker: Path):
    jobs.job_folder("Mine").mkdir(parents=True)
    finish_marker.touch()
    processes.start("Mine", "build", ("{out}", "{progress}"), {})
    wait_for_state("Mine", TableJobState.DONE)


def test_a_job_that_ends_during_a_status_query_is_done(monkeypatch: pytest.MonkeyPatch):
    job_folder = jobs.job_folder("Quick")
    job_folder.mkdir(parents=True)
    (job_folder / "request.json").write_text(json.dumps({"kind": "import", "arguments": []}))
    (job_folder / "progress.json").write_text(json.dumps({"stage": "writing"}))

    def end_and_return_false(job_folder: Path) -> bool:
        (job_folder / "progress.json").write_text(json.dumps({"state": "done"}))
        return False

    monkeypatch.setattr(jobs, "is_running", end_and_return_false)
    assert jobs.status("Quick").state is TableJobState.DONE
