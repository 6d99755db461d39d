"""Preview an uploaded file in a child process with bounded memory and time.

A small file can contain a large amount of data: a Parquet file of 11 kB may expand to gigabytes, and its footer may
claim otherwise. The app therefore never opens such a file itself. :func:`preview_apart` is the app's side; ``python
-m`` of this module is the child. Constraint: the result is plain JSON of bounded size; texts of cells are cut.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from map_core.core.child_process import ChildProcess, ParentPipe
from map_core.core.limits import READING_MEMORY, READING_SECONDS
from map_core.core.process_limits import MEGABYTE, OUT_OF_MEMORY, limit_this_process, ran_out_of_memory, resident_bytes
from map_core.data.importing.column_roles import ColumnChoice
from map_core.data.importing.import_table import Preview, preview
from map_core.errors import InputError

#: Maximum number of columns of an uploaded file, and of characters of a column's name.
MOST_COLUMNS, LONGEST_NAME = 1000, 500
#: Maximum number of characters of a cell, and of an error message, in the result.
CELL_LENGTH, LONGEST_ERROR = 200, 2000
#: Seconds between two measurements of the child's memory.
CHECK_SECONDS = 0.05
#: Maximum number of previews at a time; each may use the full memory limit.
AT_ONCE = 2
_slots = threading.BoundedSemaphore(AT_ONCE)
#: One thread per library and few arenas, since each would reserve memory.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}


def preview_apart(path: Path, megabytes: float | None = None, seconds: float | None = None) -> Preview:
    """Run :func:`map_core.data.importing.preview` in a child process with limits.

    Args:
        path: the file.
        megabytes: memory limit of the process; :data:`READING_MEMORY` by default.
        seconds: time limit, including the start of the process; :data:`READING_SECONDS` by default.

    Returns:
        The preview; cells are texts, numbers or None, texts cut after :data:`CELL_LENGTH` characters.

    Raises:
        InputError: the file cannot be read, has no rows, or exceeds a limit.
    """
    megabytes = READING_MEMORY.value if megabytes is None else megabytes
    seconds = READING_SECONDS.value if seconds is None else seconds
    deadline = time.monotonic() + seconds
    if not _slots.acquire(timeout=seconds):
        raise InputError(f"{path} cannot be read now, because other files are being read. Try again in a moment.")
    try:
        return _run_child(path, megabytes, seconds, deadline)
    finally:
        _slots.release()


def _run_child(path: Path, megabytes: float, seconds: float, deadline: float) -> Preview:
    """Run the child process, and kill it at a limit."""
    child = ChildProcess(
        __name__, [str(path), str(megabytes), str(seconds)], on_log=lambda line: None, variables=_ENVIRONMENT
    )
    try:
        while True:
            try:
                answer = child.receive(CHECK_SECONDS)
                break
            except TimeoutError:
                if resident_bytes(child.pid) > megabytes * MEGABYTE:
                    raise InputError(too_large(path, megabytes)) from None
                if time.monotonic() > deadline:
                    raise InputError(too_slow(path, seconds)) from None
            except EOFError as error:
                code = child.wait(1.0)
                if code == OUT_OF_MEMORY or code < 0:  # a library that cannot allocate aborts
                    raise InputError(too_large(path, megabytes)) from error
                raise InputError(f"{path} cannot be read (the process that looked into it stopped).") from error
    finally:
        child.end()
    if "error" in answer:
        raise InputError(str(answer["error"]))
    return _preview_of(answer)


def too_large(path: Path, megabytes: float) -> str:
    """Return the error message for a file that takes too much memory to read."""
    return (
        f"{path} takes more than {megabytes:g} MB of memory to read, more than this app gives one file. Make smaller "
        f"files of it, or ask whoever runs the app to raise the limit."
    )


def too_slow(path: Path, seconds: float) -> str:
    """Return the error message for a file that takes too long to read."""
    return (
        f"{path} takes longer than {seconds:g} s to read, longer than this app gives one file. Make smaller files of "
        "it, or ask whoever runs the app to raise the limit."
    )


def _preview_of(answer: dict[str, Any]) -> Preview:
    guess = dict(answer["guess"])
    if guess["values"] is not None:
        guess["values"] = tuple(guess["values"])
    return Preview(
        kind=answer["kind"],
        columns=tuple(answer["columns"]),
        rows=tuple(dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]),
        guess=ColumnChoice(**guess),
        numeric=tuple(answer["numeric"]),
        ours=answer["ours"],
        mapping=answer["mapping"],
    )


def _as_json(preview: Preview) -> dict[str, Any]:
    """Return a preview as plain values of bounded size.

    Raises:
        InputError: a name of a column is too long.
    """
    for name in preview.columns:
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"The name of a column has {len(name):,} characters ({name[:40]!r}...); expected at most "
                f"{LONGEST_NAME}. Rename it."
            )
    rows = [[_cell(row[name]) for name in preview.columns] for row in preview.rows]
    return asdict(replace(preview, rows=())) | {"rows": rows}


def _cell(cell: Any) -> Any:
    """Return a cell as a plain JSON value."""
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    return str(cell)[: CELL_LENGTH + 1]


def main() -> None:
    """Preview the file that the command line names, and send the preview or the error message to the parent."""
    path, megabytes, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    parent = ParentPipe()
    limit_this_process(megabytes, seconds)
    answer: dict[str, Any]
    try:
        answer = _as_json(preview(path, most_columns=MOST_COLUMNS))
    except (InputError, MemoryError) as error:
        answer = {"error": too_large(path, megabytes) if ran_out_of_memory(error) else str(error)[:LONGEST_ERROR]}
    parent.send(answer)


if __name__ == "__main__":
    main()
