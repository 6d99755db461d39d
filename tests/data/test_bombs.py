"""Tests of uploaded files that expand: a child process refuses them within seconds and limits, with a clear message."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.core.child_process import start_detached
from map_core.core.limits import LIMITS, READING_MEMORY, READING_SECONDS
from map_core.data.importing import preview, preview_process
from map_core.data.importing.preview_process import preview_apart
from map_core.errors import InputError
from tests.data import bombs
from tests.data.bombs import BOMBS, MEGABYTE

pytestmark = pytest.mark.process


@dataclass
class Watched:
    """Peaks during a block: memory of the children and growth of this process in bytes, longest pause in seconds."""

    outside: int = 0
    inside: int = 0
    pause: float = 0.0


#: Seconds between two samples of the memory, and between two searches for children, which read all processes.
_LOOK, _SEARCH = 0.01, 0.05


@contextmanager
def watching(process: psutil.Process | None = None) -> Iterator[Watched]:
    """Sample a process every 10 ms, by default this one; a late sample is a pause of this process."""
    process, watched, over = process or psutil.Process(), Watched(), threading.Event()
    before, others, itself = process.memory_info().rss, set(process.children()), process.cmdline()

    def look() -> None:
        children: list[psutil.Process] = []
        last = searched = time.monotonic()
        while not over.wait(_LOOK):
            if last - searched > _SEARCH:
                # Between fork and exec a child has the memory of this process.
                children = [child for child in process.children() if child not in others and is_another(child)]
                searched = last
            for child in children:
                with suppress(psutil.Error):
                    watched.outside = max(watched.outside, child.memory_info().rss)
            watched.inside = max(watched.inside, process.memory_info().rss - before)
            watched.pause, last = max(watched.pause, time.monotonic() - last), time.monotonic()

    def is_another(child: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return child.cmdline() != itself
        return False

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


def test_there_are_twenty_bombs():
    assert len({bomb.__name__ for bomb in BOMBS}) >= 20


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_bomb_is_refused_quickly_and_outside_the_app(bomb: Callable[[Path], Path], tmp_path: Path):
    path, before = bomb(tmp_path), psutil.Process().children()
    with watching() as watched:
        began = time.monotonic()
        with pytest.raises(InputError, match=r"\.( |$)"):
            preview_apart(path)
        assert time.monotonic() - began < 10.0
    assert watched.outside < 500 * MEGABYTE
    assert watched.inside < 50 * MEGABYTE
    assert watched.pause < 1.0
    assert set(psutil.Process().children()) <= set(before)


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        (bombs.many_columns, "The file has 20,000 columns"),
        (bombs.wide_csv, "The file has 5,000 columns"),
        (bombs.many_keys, "The rows up to row 11 name 1,100 columns"),
    ],
    ids=("parquet", "csv", "json"),
)
def test_too_many_columns_are_refused_before_rows_are_read(bomb: Callable[[Path], Path], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=f"{message}; expected at most 1,000. Leave some out."):
        preview(bomb(tmp_path), most_columns=1000)


def test_largest_allowed_number_of_columns_is_read(tmp_path: Path):
    path = tmp_path / "wide.jsonl"
    path.write_text("".join(json.dumps({f"c{row}_{key}": 1 for key in range(10)}) + "\n" for row in range(3)))
    assert len(preview(path, most_columns=30).columns) == 30
    with pytest.raises(InputError, match="The rows up to row 3 name 30 columns; expected at most 29"):
        preview(path, most_columns=29)


def test_preview_of_an_ordinary_file_equals_the_library_call(tmp_path: Path):
    path = tmp_path / "honest.csv"
    path.write_text("prompt,reply,humor,held_out\nhow?,so,1.5,true\nwhy?,thus,2,false\n")
    assert preview_apart(path).__dict__ == preview(path).__dict__


def test_preview_truncates_cells(tmp_path: Path):
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "p", "reply": "x" * 10_000, "humor": 1}))
    (row,) = preview_apart(path).rows
    assert row == {"prompt": "p", "reply": "x" * (preview_process.CELL_LENGTH + 1), "humor": 1}


def test_limits_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "honest.csv"
    path.write_text("prompt,reply,humor\nhow?,so,1.5\n")
    monkeypatch.setenv(READING_MEMORY.variable, "40")
    with pytest.raises(InputError, match="more than 40 MB of memory"):
        preview_apart(path)
    monkeypatch.delenv(READING_MEMORY.variable)
    with pytest.raises(InputError, match=r"longer than 0.01 s"):
        preview_apart(path, seconds=0.01)
    monkeypatch.setenv(READING_SECONDS.variable, "soon")
    with pytest.raises(InputError, match="'soon'; expected a whole number above 0, the limit in seconds"):
        preview_apart(path)


def test_concurrent_previews_queue(tmp_path: Path):
    path = tmp_path / "honest.csv"
    path.write_text("prompt,reply,humor\nhow?,so,1.5\n")
    with preview_process._slots, preview_process._slots, pytest.raises(InputError, match="other files are"):
        preview_apart(path, seconds=0.2)
    assert preview_apart(path).columns == ("prompt", "reply", "humor")


def test_bomb_after_ordinary_rows_ends_the_import(tmp_path: Path):
    path, out, progress = tmp_path / "behind.parquet", tmp_path / "table.parquet", tmp_path / "progress.json"
    schema = pa.schema({"prompt": pa.string(), "reply": pa.dictionary(pa.int32(), pa.string()), "humor": pa.float64()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for text, rows in (("short", 5000), ("x" * MEGABYTE, 4000)):
            reply = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
            numbers = [float(row % 7) for row in range(rows)]
            prompts = [f"p{row}" for row in range(rows)]
            writer.write_table(pa.table({"prompt": prompts, "reply": reply, "humor": numbers}, schema=schema))
    arguments = ["import", str(path), "--out", str(out), "--progress-file", str(progress)]
    identity = start_detached("map_core", [*arguments, "--most-memory=500", "--most-seconds=60"], tmp_path / "log")
    peak, deadline = 0, time.monotonic() + 60
    while identity.running and time.monotonic() < deadline:
        try:
            peak = max(peak, psutil.Process(identity.pid).memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.01)
    assert peak < 550 * MEGABYTE
    record = json.loads(progress.read_text())
    assert record["state"] == "failed"
    assert "more than 500 MB of memory" in record["error"]
    assert not out.exists()


def test_import_has_a_time_limit(tmp_path: Path):
    path, out, progress = tmp_path / "long.csv", tmp_path / "table.parquet", tmp_path / "progress.json"
    with path.open("w") as file:
        file.write("prompt,reply,humor\n")
        file.writelines(f"prompt {row},reply {row},{row % 7}.5\n" for row in range(1_000_000))
    arguments = ["import", str(path), "--out", str(out), "--progress-file", str(progress)]
    identity = start_detached("map_core", [*arguments, "--most-seconds=1"], tmp_path / "log")
    deadline = time.monotonic() + 30
    while identity.running and time.monotonic() < deadline:
        time.sleep(0.05)
    record = json.loads(progress.read_text())
    assert (record["state"], "longer than 1 s" in record["error"]) == ("failed", True)
    assert not out.exists()


def test_every_limit_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for limit in LIMITS:
        assert f"| `{limit.variable}` | {limit.meaning} | {limit.default:,} {limit.unit} |" in text
