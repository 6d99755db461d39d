"""Where scorers run: in this process, or in one of their own that can be ended.

A scorer that hangs cannot be stopped from inside its own process, and one that eats all memory takes its process along.
So scorers run in a child process, which is killed when a batch takes longer than its limit, and started again.
Constraint: the child holds nothing that is not made again from what it was started with.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from map_core.errors import EngineError, InputError, PaletteError
from map_core.glossary import Reply
from map_core.values.scorer import Scorer, ScorerError

#: Seconds that a scorer may take to load its models and to score one short reply.
START = 900.0
#: The share of the limit that a batch has at least, however few of the prompt's replies are in it.
LEAST_SHARE = 0.125
_WARM_UP = Reply("Hello there.", finished=True)


class Host(Protocol):
    """Somewhere scorers run."""

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """Rewards of replies to one prompt, one a reply, which may hold NaN.

        Args:
            scorer: its place among the scorers.
            prompt: what the person asked.
            replies: some of the prompt's replies.
            share: which part of the prompt's replies these are, above 0 and at most 1; their time goes by it.

        Raises:
            ScorerError: it raised, took too long or took its process along.
            MemoryError: there was not enough memory.
            PaletteError: what has nothing to do with these replies, such as a model that is not there.
        """
        ...

    def close(self) -> None:
        """End what runs."""
        ...


class Here:
    """Scorers in this process, without a time limit.

    Args:
        scorers: the values.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers = list(scorers)

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """See :meth:`Host.score`."""
        return asked(self._scorers[scorer], prompt, replies)

    def close(self) -> None:
        """Nothing runs on."""


class Apart:
    """Scorers in a process of their own, killed and started again when one takes too long or too much.

    Args:
        scorers: the values; they must be picklable.
        limit: seconds for all of a prompt's replies; fewer replies have less, down to :data:`LEAST_SHARE` of it.
        start: seconds for a scorer's first, short reply, in which it loads its models.

    Raises:
        InputError: the limit is not above 0, or a scorer cannot be sent to another process.
    """

    def __init__(self, scorers: Sequence[Scorer], limit: float, start: float = START) -> None:
        if not limit > 0:
            raise InputError(f"The time limit of scorers is {limit}; expected seconds above 0.")
        try:
            self._sent = pickle.dumps(list(scorers))
        except Exception as error:
            raise InputError(
                f"These scorers cannot run in a process of their own ({type(error).__name__}: {error}). Define them "
                "at the top of a module, or build without a time limit: --score-limit 0."
            ) from error
        self._limit, self._start = limit, start
        self._process: multiprocessing.process.BaseProcess | None = None
        self._warm: set[int] = set()

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """See :meth:`Host.score`."""
        if self._process is None:
            self._begin()
        if scorer not in self._warm:
            # What comes of it does not matter: the time that models take to load is no reply's fault.
            with contextlib.suppress(ScorerError, MemoryError, InputError):
                self._ask((scorer, prompt, [_WARM_UP]), self._start)
            if self._process is None:
                raise ScorerError(
                    f"it did not score a short reply within {self._start:g} seconds, or ended its process"
                )
            self._warm.add(scorer)
        return self._ask((scorer, prompt, list(replies)), self._limit * max(share, LEAST_SHARE))

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        self._warm.clear()
        if process is not None:
            process.kill()
            process.join()
            self._pipe.close()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._sent, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def _ask(self, question: tuple[int, str, list[Reply]], seconds: float) -> np.ndarray:
        assert self._process is not None
        try:
            self._pipe.send(question)
            until = time.monotonic() + seconds
            while not self._pipe.poll(min(1.0, max(0.0, until - time.monotonic()))):
                if time.monotonic() >= until:
                    self.close()
                    raise ScorerError(f"it took longer than {seconds:.3g} seconds")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(5.0)
            code = self._process.exitcode
            self.close()
            if code == -signal.SIGKILL:
                raise ScorerError("its process was killed, most likely as memory ran out") from error
            raise ScorerError(f"its process ended by itself (exit code {code})") from error
        if isinstance(answer, BaseException):
            raise answer
        return np.asarray(answer)


def asked(scorer: Scorer, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
    """What a scorer gives, not yet held to its contract; what it raises, as :meth:`Host.score` says."""
    try:
        return np.asarray(scorer.score(prompt, replies), dtype=np.float64)
    except (PaletteError, MemoryError):
        raise
    except Exception as error:
        if "out of memory" in str(error).lower():
            _free()
            raise MemoryError(f"there was not enough memory ({str(error)[:200]})") from error
        raise ScorerError(f"it raised {type(error).__name__}: {str(error)[:300]}") from error


def _free() -> None:
    """Give back what a batch that was too large still holds."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _serve(pipe: Connection, sent: bytes, parent: int) -> None:
    """The child: answers until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    scorers: list[Scorer] = pickle.loads(sent)
    while True:
        try:
            scorer, prompt, replies = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(asked(scorers[scorer], prompt, replies))
        except (PaletteError, MemoryError) as error:
            pipe.send(_told(error))


def _told(error: Exception) -> Exception:
    """An error that another process can read, whatever it holds."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return (ScorerError if isinstance(error, ScorerError | InputError) else EngineError)(str(error))
    return error


def _watch(parent: int) -> None:
    """Leave when the parent has gone, even in the middle of a reply."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
