"""The process in which scorers run apart: ``python -m map_core.building.scorer_process PIPE PARENT``.

PIPE is the number of a connection that it was handed by its parent, whose process id is PARENT. What comes first is the
scorers, then a question at a time, each with an answer: rewards, or the error in their place. Constraint: it leaves
when its parent does, even in the middle of a reply.
"""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from map_core.building.scorer_host import asked
from map_core.core.parent_watch import exit_with_parent
from map_core.errors import EngineError, InputError, PaletteError
from map_core.scoring.base import Scorer, ScorerError


def main(arguments: Sequence[str]) -> None:
    """Answer until the parent is gone."""
    number, parent = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exit_with_parent(parent, code=1)
    with Connection(number) as pipe:
        try:
            _answer(pipe)
        except (EOFError, ConnectionError):
            return


def _answer(pipe: Connection) -> None:
    scorers: list[Scorer] = pickle.loads(pipe.recv_bytes())
    while True:
        scorer, prompt, replies = pipe.recv()
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


if __name__ == "__main__":
    main(sys.argv[1:])
