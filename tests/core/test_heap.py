"""Tests of the number of arenas of GNU's allocator, counted by its malloc_info(3) in a separate process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from map_core.core.heap import ARENAS

COUNT_ARENAS = """
import ctypes, sys, threading
from map_core.core import heap

print(heap.keep_few_arenas())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
together = threading.Barrier(12)

def take():
    together.wait()
    for size in (500, 5000, 50000):
        libc.malloc(size)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
out = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fclose(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is GNU's on Linux")
@pytest.mark.parametrize(("environment", "limited"), [({}, "True"), ({"MALLOC_ARENA_MAX": "4"}, "False")])
def test_threads_share_a_few_arenas(tmp_path: Path, environment: dict[str, str], limited: str):
    inherited = {name: text for name, text in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", COUNT_ARENAS, str(tmp_path / "info")]
    completed = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == limited
    arenas = len(re.findall(r"<heap nr=", (tmp_path / "info").read_text()))
    assert arenas <= int(environment.get("MALLOC_ARENA_MAX", ARENAS))
