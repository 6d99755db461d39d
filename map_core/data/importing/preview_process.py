"""Look into a file that somebody has uploaded, in a process of its own whose memory and time are bounded.

A small file can hold a large amount: a Parquet file of 11 kB may expand to gigabytes, and its footer may say otherwise.
So the app never opens such a file itself. :func:`preview_apart` is the app's side; ``python -m`` of this module is the
other. Constraint: what comes back is plain JSON of bounded size; cells come as text that is cut.
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

#: Most columns of a file that is uploaded, and most characters of a column's name.
MOST_COLUMNS, LONGEST_NAME = 1000, 500
#: Characters of a cell, and of an error, that come back.
CELL_LENGTH, LONGEST_ERROR = 200, 2000
#: Seconds between two looks at the child's memory.
LOOK_SECONDS = 0.05
#: Files that are looked at side by side; each may take the whole memory of one.
AT_ONCE = 2
_room = threading.BoundedSemaphore(AT_ONCE)
#: Threads and arenas of libraries would each reserve memory.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}


def preview_apart(path: Path, megabytes: float | None = None, seconds: float | None = None) -> Preview:
    """Return what :func:`map_core.data.importing.preview` does, found by another process within limits.

    Args:
        path: the file.
        megabytes: of memory that the process may take; :data:`READING_MEMORY` by default.
        seconds: that it may take, its start included; :data:`READING_SECONDS` by default.

    Returns:
        The preview; cells are texts, numbers or None, texts cut after :data:`CELL_LENGTH` characters.

    Raises:
        InputError: the file cannot be read, has no rows, or takes more memory or time than it may.
    """
    megabytes = READING_MEMORY.value if megabytes is None else megabytes
    seconds = READING_SECONDS.value if seconds is None else seconds
    deadline = time.monotonic() + seconds
    if not _room.acquire(timeout=seconds):
        raise InputError(f"{path} cannot be looked at now: other files are. Try again in a moment.")
    try:
        return _looked_at(path, megabytes, seconds, deadline)
    finally:
        _room.release()


def _looked_at(path: Path, megabytes: float, seconds: float, deadline: float) -> Preview:
    """Run the process, and end it at a limit."""
    child = ChildProcess(
        __name__, [str(path), str(megabytes), str(seconds)], on_log=lambda line: None, variables=_ENVIRONMENT
    )
    try:
        while True:
            try:
                answer = child.receive(LOOK_SECONDS)
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
    """Return the sentence for a file that takes more memory than may be taken."""
    return (
        f"{path} takes more than {megabytes:g} MB of memory to read, more than this app gives one file. Make smaller "
        f"files of it, or ask whoever runs the app to raise the limit."
    )


def too_slow(path: Path, seconds: float) -> str:
    """Return the sentence for a file that takes longer than it may."""
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
        InputError: too many columns, or a name that is too long.
    """
    if len(preview.columns) > MOST_COLUMNS:
        raise InputError(
            f"The file has {len(preview.columns):,} columns; expected at most {MOST_COLUMNS:,}. Leave some out."
        )
    if long := [name for name in preview.columns if len(name) > LONGEST_NAME]:
        raise InputError(
            f"The name of a column has {len(long[0]):,} characters ({long[0][:40]!r}...); expected at most "
            f"{LONGEST_NAME}. Rename it."
        )
    short = replace(preview, rows=())
    rows = [[_cell(row[name]) for name in preview.columns] for row in preview.rows]
    return asdict(short) | {"rows": rows}


def _cell(cell: Any) -> Any:
    """Return a cell as JSON holds it."""
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    return str(cell)[: CELL_LENGTH + 1]


def main() -> None:
    """Look into the file that the command line names, and send what is there or why it cannot be read."""
    path, megabytes, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    parent = ParentPipe()
    limit_this_process(megabytes, seconds)
    answer: dict[str, Any]
    try:
        answer = _as_json(preview(path))
    except (InputError, MemoryError) as error:
        answer = {"error": too_large(path, megabytes) if ran_out_of_memory(error) else str(error)[:LONGEST_ERROR]}
    parent.send(answer)


if __name__ == "__main__":
    main()
