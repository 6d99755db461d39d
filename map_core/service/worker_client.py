"""Start the model process, exchange messages with it, and notice its end.

Constraint: standard library only, see :mod:`map_core.core.child_process`.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from map_core.core.child_process import ChildProcess

_log = logging.getLogger(__name__)

#: Below the priority of the app, which must answer a moved slider while a reply is written, and above that of builds.
NICENESS = 10


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
        self._on_message, self._on_end = on_message, on_end
        self._closed = False
        self._last_lines: deque[str] = deque(maxlen=20)
        self._process = ChildProcess(
            "map_core.service.worker",
            arguments,
            on_log=self._take_log,
            variables={"TOKENIZERS_PARALLELISM": "false"},
            niceness=NICENESS,
        )
        self._listener = threading.Thread(target=self._listen, name="model replies", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs and accepts messages."""
        return not self._closed and self._process.running

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message to the process, and return whether it still runs."""
        return self._process.send(message)

    def close(self, wait: bool = True) -> None:
        """End the process at once; it keeps no state that would be lost.

        Args:
            wait: for the thread that reads its messages, which a caller with a lock that the thread takes must not do.
        """
        self._closed = True
        self._process.end()
        if wait and threading.current_thread() is not self._listener:
            self._listener.join(timeout=2.0)

    def _listen(self) -> None:
        while True:
            try:
                message = self._process.receive()
            except EOFError:
                break
            try:
                self._on_message(self, message)
            except Exception:  # noqa: BLE001 (a reader that ends would leave every generation hanging)
                _log.exception("A message of the model process could not be handled.")
        code = self._process.wait()
        if not self._closed:
            self._on_end(self, self._end_sentence(code))

    def _take_log(self, line: str) -> None:
        self._last_lines.append(line)
        _log.debug("model process: %s", line)

    def _end_sentence(self, code: int) -> str:
        """Describe the end of the process by its exit code and the last line of its log."""
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            reason = f"ended by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")
        else:
            last = self._last_lines[-1] if self._last_lines else ""
            reason = f"exit code {code}" + (f": {last}" if last else "")
        return f"The model process stopped ({reason})."
