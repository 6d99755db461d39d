"""Tests of killed builds: after a SIGKILL at any file, the same command yields the table of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from map_core.building.checkpoints import checkpoint_path
from map_core.core.child_process import ProcessIdentity
from tests.building.test_build import contents

SCRIPT = """
import sys
from pathlib import Path
from map_core.building import checkpoints as parts
from map_core.building import build, extend, ProgressFile
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.scoring import scorers
from tests.toy_engine import ToyEngine

out, stop = Path(sys.argv[1]), int(sys.argv[2])
writes = 0
rename = Path.replace

def killed_at(path, target):
    # A build renames each of its files into place, so a kill before every rename covers all states on disk.
    global writes
    if target.suffix == ".json" and "plan" not in target.name:
        return rename(path, target)
    writes += 1
    if writes == stop:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

Path.replace = killed_at
settings = SamplingSettings(max_new_tokens=6)
prompts = [Prompt(f"p{n}", "All prompts", f"prompt {n}") for n in range(3)]
progress = ProgressFile(out.with_suffix(".json"), out)
build(prompts, out, ToyEngine(), scorers(["diversity", "plain_language"]), candidates=3, settings=settings, seed=3,
      report=progress)
print(writes)
"""


def run(out: Path, stop: int) -> subprocess.CompletedProcess[str]:
    """Run the build in a process that is killed before its ``stop``-th file is renamed into place; 0 for never."""
    command = [sys.executable, "-c", SCRIPT, str(out), str(stop)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return the table of an undisturbed build and the number of files that the build renamed into place."""
    out = tmp_path_factory.mktemp("undisturbed") / "t.parquet"
    process = run(out, 0)
    assert process.returncode == 0, process.stderr
    return out, int(process.stdout)


def test_repeatedly_killed_build_gives_the_same_table(undisturbed: tuple[Path, int], tmp_path: Path) -> None:
    """The build is killed several times at different files and then runs to its end."""
    expected, writes = undisturbed
    assert writes == 1 + 3 + 3 + 1  # the plan, replies and rewards of three prompts, the table
    out = tmp_path / "t.parquet"
    for stop in (1, 2, 2, 3, 2, writes):
        assert run(out, stop).returncode in (-signal.SIGKILL, 0)
        if out.exists():
            break
        record = json.loads(out.with_suffix(".json").read_text())
        assert record["state"] == "running"
        assert not ProcessIdentity.from_dict(record).running, "a build that was killed is not taken for one that runs"
    assert run(out, 0).returncode == 0
    assert contents(out) == contents(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "t.parquet"]


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_build_killed_once_gives_the_same_table(undisturbed: tuple[Path, int], tmp_path: Path, stop: int) -> None:
    out = tmp_path / "t.parquet"
    assert run(out, stop).returncode == -signal.SIGKILL
    assert not out.exists()
    assert checkpoint_path(out).is_dir()
    assert run(out, 0).returncode == 0
    assert contents(out) == contents(undisturbed[0])
    assert json.loads(out.with_suffix(".json").read_text())["done"] == 3


def test_sigterm_stops_the_build_cleanly(tmp_path: Path) -> None:
    """The command and its progress file report the stop, and the replies drawn so far are kept."""
    from tests.tiny_model import make_tiny_model

    model, out, progress = make_tiny_model(tmp_path / "tiny"), tmp_path / "t.parquet", tmp_path / "progress.json"
    prompts = tmp_path / "p.txt"
    prompts.write_text("".join(f"Tell me of day {n}.\n" for n in range(200)))
    command = [sys.executable, "-m", "map_core", "build", "--prompts", str(prompts), "--out", str(out)]
    command += f"--model {model} --engine openvino --dtype float32 --values diversity --candidates 2".split()
    command += ["--max-new-tokens", "8", "--progress-file", str(progress)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        deadline = time.monotonic() + 100
        while not (record := _read_record(progress)) or record["stage"] != "sampling" or record["done"] < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.02)
        assert ProcessIdentity.from_dict(record).running
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, errors
    assert "Stopped. What is made is kept; the same command resumes where it stopped." in errors
    record = _read_record(progress)
    assert (record["state"], record["error"], record["pid"]) == ("stopped", None, process.pid)
    assert record["ended"] >= record["began"]
    assert 2 <= len(list(checkpoint_path(out).glob("*.replies.parquet"))) < 200
    assert not out.with_name("t.parquet.lock").exists()


def _read_record(path: Path) -> dict[str, object]:
    return json.loads(path.read_text()) if path.is_file() else {}
