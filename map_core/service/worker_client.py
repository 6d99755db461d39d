"""The parent's end of the model process: start it, talk to it, notice when it ends.

A plain child process with a pipe in and a pipe out, a JSON object a line, rather than ``multiprocessing``:

* ``multiprocessing`` imports the parent's ``__main__`` again in the child, and under Streamlit that is the page's
  script, which would then run once more without a browser.
* It pickles classes by name, which fails once Streamlit has reloaded an edited module; plain JSON has no classes.
* There is no port, no file and no key that another program could get at.
* The child's standard input ends when the parent does, however it ended, on every system; the child leaves then.

Constraint: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[2]


class WorkerClient:
    """One running model process.

    Args:
        arguments: for ``python -m map_core.service.worker``.
        on_message: called with each message of the process, in a thread of its own.
        on_end: called once with a sentence about how the process ended; not called after :meth:`close`.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        on_message: Callable[[WorkerClient, dict[str, Any]], None],
        on_end: Callable[[WorkerClient, str], None],
    ) -> None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._on_message, self._on_end = on_message, on_end
        self._writing = threading.Lock()
        self._closed = False
        self._last_words: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "map_core.service.worker", "--parent", str(os.getpid()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"},
        )
        self._input = cast(IO[bytes], self._process.stdin)
        self._threads = [
            threading.Thread(target=target, args=(pipe,), name=name, daemon=True)
            for target, pipe, name in (
                (self._listen, self._process.stdout, "model replies"),
                (self._overhear, self._process.stderr, "model log"),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """The process runs and may be talked to."""
        return not self._closed and self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> bool:
        """Hand a message to the process; False when it is no longer there."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._writing:
                self._input.write(line)
                self._input.flush()
        except (OSError, ValueError):  # broken or closed pipe
            return False
        return True

    def close(self) -> None:
        """End the process at once; it has nothing to lose."""
        self._closed = True
        with contextlib.suppress(OSError, ValueError):
            self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError, ValueError):
            self._input.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2.0)

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                try:
                    message = json.loads(line)
                except ValueError:
                    message = None
                if not isinstance(message, dict):  # a library wrote to standard output before we closed it
                    _log.debug("model process: %s", line.decode(errors="replace").rstrip())
                    continue
                try:
                    self._on_message(self, message)
                except Exception:
                    _log.exception("A message of the model process could not be taken in.")
        code = self._process.wait()
        with contextlib.suppress(OSError, ValueError):
            self._input.close()
        if not self._closed:
            self._on_end(self, self._how_it_ended(code))

    def _overhear(self, errors: IO[bytes]) -> None:
        with errors:
            for line in errors:
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._last_words.append(text)
                    _log.debug("model process: %s", text)

    def _how_it_ended(self, code: int) -> str:
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            why = f"ended by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")
        else:
            self._threads[1].join(timeout=1.0)
            last = self._last_words[-1] if self._last_words else ""
            why = f"exit code {code}" + (f": {last}" if last else "")
        return f"The model process stopped ({why})."
