"""Run scorers in this process, or in a child process that can be killed.

A scorer that hangs cannot be stopped from inside its own process, and one that exhausts the memory ends its process.
Scorers therefore run in a child process (:mod:`map_core.building.scorer_process`), which is killed when a batch takes
longer than its limit, and started again. It is a plain process and not one of ``multiprocessing``, which would run the
caller's own script again. Constraint: the child has no state that cannot be restored from its first message.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import pickle
import pickletools
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from map_core.core.child_process import ChildProcess
from map_core.core.types import Reply
from map_core.errors import InputError, PaletteError
from map_core.scoring.base import Scorer, ScorerError

#: Seconds that a scorer may take to load its models and to score one short reply.
FIRST_REPLY_SECONDS = 900.0
#: Minimum share of the time limit for a batch, however few of the prompt's replies are in it.
MIN_LIMIT_SHARE = 0.125
_WARM_UP = Reply("Hello there.", finished=True)


class ScorerHost(Protocol):
    """An environment in which scorers run."""

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """Return the rewards of replies to one prompt, (reply,), which may contain NaN.

        Args:
            scorer: its index among the scorers.
            prompt: the prompt.
            replies: some of the prompt's replies.
            share: their share of the prompt's replies, above 0 and at most 1; the time limit is proportional to it.

        Raises:
            ScorerError: it raised, took too long or ended its process.
            MemoryError: there was not enough memory.
            PaletteError: an error that is unrelated to these replies, such as a missing model.
        """
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for readers of the rewards so far, see :attr:`Scorer.notes`."""
        ...

    def close(self) -> None:
        """End the scorers' process, if any."""
        ...


class InProcessScorers:
    """Scorers in this process, without a time limit.

    Args:
        scorers: the values.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers = list(scorers)

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """See :meth:`ScorerHost.score`."""
        return call_scorer(self._scorers[scorer], prompt, replies)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :attr:`ScorerHost.notes`."""
        return tuple(note for scorer in self._scorers for note in scorer.notes)

    def close(self) -> None:
        """Do nothing, as no process runs."""


class ScorerSubprocess:
    """Scorers in a child process, which is killed and started again when one takes too much time or memory.

    Args:
        scorers: the values; they must be picklable.
        limit: seconds for all of a prompt's replies; fewer replies get less, down to :data:`MIN_LIMIT_SHARE` of it.
        start: seconds for a scorer's first, short reply, during which it loads its models.

    Raises:
        InputError: the limit is not above 0, or a scorer cannot be sent to another process: it cannot be pickled, or
            is defined in the running script.
    """

    def __init__(self, scorers: Sequence[Scorer], limit: float, start: float = FIRST_REPLY_SECONDS) -> None:
        if not limit > 0:
            raise InputError(f"The time limit of scorers is {limit}; expected seconds above 0.")
        try:
            self._sent = pickle.dumps(list(scorers))
        except Exception as error:
            raise InputError(
                f"These scorers cannot run in a process of their own ({type(error).__name__}: {error}). Define them "
                "at the top of a module, or build without a time limit: --score-limit 0."
            ) from error
        if any(module == "__main__" for _, module, _ in pickletools.genops(self._sent)):
            raise InputError(
                "These scorers are defined in the script that is run, which no other process may run again. Define "
                "them in a module that it imports, or build without a time limit: --score-limit 0."
            )
        self._limit, self._start = limit, start
        self._process: ChildProcess | None = None
        self._warm: set[int] = set()
        self._notes: dict[int, tuple[str, ...]] = {}

    def score(self, scorer: int, prompt: str, replies: Sequence[Reply], share: float = 1.0) -> np.ndarray:
        """See :meth:`ScorerHost.score`."""
        if self._process is None:
            self._begin()
        if scorer not in self._warm:
            # The outcome does not matter: this keeps the loading time of models out of the limit of real replies.
            with contextlib.suppress(ScorerError, MemoryError, InputError):
                self._ask(scorer, prompt, [_WARM_UP], self._start, warm_up=True)
            if self._process is None:
                raise ScorerError(
                    f"it did not score a short reply within {self._start:g} seconds, or ended its process"
                )
            self._warm.add(scorer)
        return self._ask(scorer, prompt, replies, self._limit * max(share, MIN_LIMIT_SHARE))

    @property
    def notes(self) -> tuple[str, ...]:
        """See :attr:`ScorerHost.notes`; a restarted process starts from none."""
        return tuple(note for _, notes in sorted(self._notes.items()) for note in notes)

    @property
    def pid(self) -> int | None:
        """The id of the child process; None while there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Kill the child process."""
        process, self._process = self._process, None
        self._warm.clear()
        if process is not None:
            process.end()

    def _begin(self) -> None:
        # The child has this process's module search path.
        paths = [path or str(Path.cwd()) for path in sys.path]
        self._process = ChildProcess("map_core.building.scorer_process", paths=paths)
        self._process.send({"scorers": base64.b64encode(self._sent).decode()})

    def _ask(
        self, scorer: int, prompt: str, replies: Sequence[Reply], seconds: float, warm_up: bool = False
    ) -> np.ndarray:
        assert self._process is not None
        question = {"scorer": scorer, "prompt": prompt, "replies": [reply_as_json(reply) for reply in replies]}
        question["warm_up"] = warm_up
        try:
            self._process.send(question)
            answer = self._process.receive(seconds)
        except TimeoutError as error:
            self.close()
            raise ScorerError(f"it took longer than {seconds:.3g} seconds") from error
        except EOFError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            code = self._process.exit_code
            self.close()
            if code == -signal.SIGKILL:
                raise ScorerError("its process was killed, most likely as memory ran out") from error
            raise ScorerError(f"its process ended by itself (exit code {code})") from error
        if "error" in answer:
            raise pickle.loads(base64.b64decode(answer["error"]))
        self._notes[scorer] = tuple(answer["notes"])
        return np.asarray(answer["rewards"], dtype=np.float64)


def reply_as_json(reply: Reply) -> list[Any]:
    """Return a reply as plain JSON values; :func:`reply_from_json` reads them."""
    return [reply.text, list(map(int, reply.tokens)), list(map(float, reply.log_probs)), reply.finished]


def reply_from_json(fields: Sequence[Any]) -> Reply:
    """Return the reply that :func:`reply_as_json` has converted."""
    text, tokens, log_probs, finished = fields
    return Reply(text, tuple(tokens), tuple(log_probs), finished)


def call_scorer(scorer: Scorer, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
    """Return a scorer's rewards before they are checked against its contract.

    Raises the errors of :meth:`ScorerHost.score`.
    """
    try:
        return np.asarray(scorer.score(prompt, replies), dtype=np.float64)
    except (PaletteError, MemoryError):
        raise
    except Exception as error:
        if "out of memory" in str(error).lower():
            _free_memory()
            raise MemoryError(f"there was not enough memory ({str(error)[:200]})") from error
        raise ScorerError(f"it raised {type(error).__name__}: {str(error)[:300]}") from error


def _free_memory() -> None:
    """Release the memory that a failed batch still holds."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
