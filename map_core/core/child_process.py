"""Start, exchange messages with, recognise and end child processes that run a module of this project.

A plain ``python -m MODULE`` with pipes, rather than ``multiprocessing``:

* ``multiprocessing`` imports the parent's ``__main__`` again in the child; under Streamlit that is the page's script,
  which would then run once more without a browser.
* It pickles classes by name, which fails once Streamlit has reloaded an edited module; plain JSON has no classes.
* There is no port, file or key that another program could use.
* On every system the child's standard input closes when the parent ends, for whatever reason; the child then exits.

:class:`ChildProcess` is the parent's end of a pipe, :class:`ParentPipe` the child's. :func:`start_detached` starts a
process that outlives its parent; :class:`ProcessIdentity` is stored to find that process again.

Constraint: standard library only, and psutil where a process is looked up by its id.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from map_core.core.assets import CODE_FOLDER

_log = logging.getLogger(__name__)

#: Environment variable with the process id of a child's parent.
PARENT = "VALUE_PALETTE_PARENT_PID"
#: Wall-clock start times that differ by fewer seconds are considered equal.
_CLOCK_TOLERANCE = 2.0
#: Seconds between two checks that the parent is running.
_PARENT_INTERVAL = 1.0
#: Seconds that the reader threads get to drain the pipes of a child that has ended.
_DRAIN_SECONDS = 2.0


def python_command(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a module with this interpreter.

    ``-P`` keeps the working directory out of the module search path: a file there may have the name of a library.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment(paths: Sequence[str] = (), **variables: str) -> dict[str, str]:
    """Return this process's environment, changed so that a child finds ``map_core`` from any working directory.

    Args:
        paths: further folders in which the child finds modules.
        variables: environment variables to add or to replace.
    """
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An installed package is found anyway; on PYTHONPATH site-packages would come before the standard library.
    code = [] if str(CODE_FOLDER) == sysconfig.get_path("purelib") else [str(CODE_FOLDER)]
    folders = dict.fromkeys(filter(None, [*code, *paths, *inherited]))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), **variables}


class ChildProcess:
    """A running module that exchanges JSON objects with this process, one per line.

    Numbers that are not finite are written as Python's ``json`` does (``NaN``, ``Infinity``).

    Args:
        module: the module for ``python -m``; it uses :class:`ParentPipe`.
        arguments: its command line.
        paths: see :func:`python_environment`.
        on_log: called in a thread with each line that the child writes to standard error; with None the child inherits
            this process's stream.
        variables: environment variables in addition to this process's own.
        niceness: see :func:`start_detached`.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        paths: Sequence[str] = (),
        on_log: Callable[[str], None] | None = None,
        variables: Mapping[str, str] | None = None,
        niceness: int = 0,
    ) -> None:
        self._process = subprocess.Popen(
            python_command(module, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if on_log is None else subprocess.PIPE,
            env=python_environment(paths, **{PARENT: str(os.getpid())}, **(variables or {})),
        )
        _lower_priority(self._process.pid, niceness)
        self._input = cast(IO[bytes], self._process.stdin)
        self._write_lock = threading.Lock()
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._threads = [self._start_thread(self._read_messages, self._process.stdout)]
        if on_log is not None:
            self._threads.append(self._start_thread(self._read_log, self._process.stderr, on_log))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; return False when the process has ended."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._write_lock:
                self._input.write(line)
                self._input.flush()
        except (OSError, ValueError):  # broken or closed pipe
            return False
        return True

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Return the next message.

        Args:
            timeout: seconds to wait; None waits until there is one.

        Raises:
            TimeoutError: none arrived within ``timeout``.
            EOFError: the process has closed its output and all messages were received.
        """
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty as error:
            raise TimeoutError(f"No message of process {self.pid} within {timeout} seconds.") from error
        if message is None:
            self._messages.put(None)  # for the next call
            raise EOFError(f"Process {self.pid} has closed its output.")
        return message

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended by itself and its pipes are drained; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended within ``timeout`` seconds.
        """
        code = self._process.wait(timeout)
        self._close()
        return code

    def end(self, grace: float = 0.0) -> None:
        """End the process: terminate it, and kill it when it still runs after ``grace`` seconds.

        Args:
            grace: seconds; 0 kills at once.
        """
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if grace > 0:
                self._process.terminate()
                self._process.wait(grace)
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._input.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=_DRAIN_SECONDS)

    def _start_thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name=f"child {self.pid}", daemon=True)
        thread.start()
        return thread

    def _read_messages(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                try:
                    message = json.loads(line)
                except ValueError:
                    message = None
                if isinstance(message, dict):
                    self._messages.put(message)
                else:  # a library wrote to standard output before the child redirected it
                    _log.debug("process %d: %s", self.pid, line.decode(errors="replace").rstrip())
        self._messages.put(None)

    def _read_log(self, errors: IO[bytes], on_log: Callable[[str], None]) -> None:
        with errors:
            for line in errors:
                if text := line.decode(errors="replace").rstrip():
                    on_log(text)


class ParentPipe:
    """The child's end of a pipe: receives and sends JSON objects, and ends this process with its parent.

    From its creation on, whatever Python or C++ libraries print goes to standard error, standard input is empty, and
    SIGINT is ignored, since the parent handles Ctrl-C. Constraint: create it once, in the main thread, before models
    load.
    """

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        commands = os.dup(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._write_lock = threading.Lock()
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(commands,), daemon=True).start()
        if sys.platform != "win32":  # another process may hold the other end of standard input open
            parent = int(os.environ.pop(PARENT, 0)) or os.getppid()
            threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()

    def receive(self) -> dict[str, Any]:
        """Wait for the next message; this process ends meanwhile if the parent does."""
        return self._messages.get()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; end this process if the parent has ended."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._write_lock:
                self._output.write(line)
                self._output.flush()
        except BrokenPipeError:
            os._exit(0)

    def _read(self, commands: int) -> None:
        for line in _lines(commands):
            self._messages.put(json.loads(line))
        os._exit(0)


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines of a pipe without a buffered reader, whose lock a fork in the middle of a read would keep."""
    rest = b""
    while content := os.read(descriptor, 65536):
        *lines, rest = (rest + content).split(b"\n")
        yield from lines


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_INTERVAL)
    os._exit(0)


@dataclass(frozen=True)
class ProcessIdentity:
    """A process id and the start time that distinguishes the process from a later one with the same id.

    Args:
        pid: process id.
        started: start time in seconds since 1970, by the wall clock.
        ticks: start time by a clock that nobody sets: the id of this boot of the machine and the clock ticks since
            then, "BOOT:TICKS"; "" where the system does not report it. Where it is known, ``started`` is ignored, as
            a change of the wall clock would falsify it.
    """

    pid: int
    started: float
    ticks: str = ""

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a running process, or of a child that was not waited for."""
        import psutil

        try:
            started = psutil.Process(pid).create_time()
        except psutil.Error:
            started = time.time()
        return cls(pid, started, _ticks_and_state(pid)[0])

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; :meth:`from_dict` reads them."""
        return {"pid": self.pid, "pid_started": self.started, "pid_ticks": self.ticks}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ProcessIdentity | None:
        """Return the identity that :meth:`as_dict` wrote, or an older version without ticks; None for anything else."""
        try:
            identity = cls(int(fields["pid"]), float(fields["pid_started"]), str(fields.get("pid_ticks", "")))
        except (KeyError, TypeError, ValueError):
            return None
        # A signal to 0 or to a negative id would go to many processes, or to all of them.
        return identity if identity.pid > 0 else None

    @property
    def running(self) -> bool:
        """Whether this process, and not a later one with the same id, is running."""
        import psutil

        _reap()
        ticks, state = _ticks_and_state(self.pid)
        if ticks and self.ticks:
            return ticks == self.ticks and state not in "ZX"
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_TOLERANCE
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def terminate(self) -> None:
        """Send SIGTERM to the process if it is running."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def start_detached(module: str, arguments: Sequence[str], log: Path, niceness: int = 0) -> ProcessIdentity:
    """Start a module as a process that outlives this one.

    Args:
        module: the module for ``python -m``.
        arguments: its command line.
        log: file that receives its standard output and standard error.
        niceness: added to the process's nice value, 0 to 19.

    Raises:
        OSError: the log cannot be written or the process cannot be started.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            python_command(module, arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=python_environment(),
        )
    _detached.append(process)
    _lower_priority(process.pid, niceness)
    return ProcessIdentity.of(process.pid)


def _lower_priority(pid: int, niceness: int) -> None:
    """Add to the nice value of a process that was just started; systems without nice values are left as they are."""
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):  # it has ended
            os.setpriority(os.PRIO_PROCESS, pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness))


#: Detached processes that this one has started; reaped once they have ended, so that no zombie remains.
_detached: list[subprocess.Popen[bytes]] = []


def _reap() -> None:
    for process in list(_detached):
        if process.poll() is not None:
            with contextlib.suppress(ValueError):  # another thread has removed it
                _detached.remove(process)


def _ticks_and_state(pid: int) -> tuple[str, str]:
    """Return a process's start as "BOOT:TICKS" and its state as one letter; ("", "") where there is no Linux /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The program's name, in parentheses, may contain any character. Source: proc_pid_stat(5), fields 3 and 22.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{boot}:{fields[19]}", fields[0]
    except (OSError, IndexError):
        return "", ""
