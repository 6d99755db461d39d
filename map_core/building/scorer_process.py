"""Score replies for a parent process: the process that :class:`map_core.building.scorer_host.ScorerSubprocess` starts.

The first message contains the pickled scorers, each further one a batch of replies to one prompt; the answer to a batch
is its rewards or the pickled error (:class:`map_core.core.child_process.ParentPipe`).
"""

from __future__ import annotations

import base64
import pickle
import signal

from map_core.building.scorer_host import call_scorer, reply_from_json
from map_core.core.child_process import ParentPipe
from map_core.errors import EngineError, InputError, PaletteError
from map_core.scoring.base import Scorer, ScorerError


def main() -> None:
    """Answer messages until the parent ends."""
    parent = ParentPipe()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    scorers: list[Scorer] = pickle.loads(base64.b64decode(parent.receive()["scorers"]))
    while True:
        batch = parent.receive()
        replies = [reply_from_json(fields) for fields in batch["replies"]]
        try:
            scorer = scorers[batch["scorer"]]
            rewards = call_scorer(scorer, batch["prompt"], replies)
            if batch["warm_up"]:
                scorer.forget_notes()
            parent.send({"rewards": rewards.tolist(), "notes": scorer.notes})
        except (PaletteError, MemoryError) as error:
            parent.send({"error": base64.b64encode(_pickled(error)).decode()})


def _pickled(error: Exception) -> bytes:
    """Pickle an error; one that cannot be pickled is replaced by an error of the project with the same message."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # noqa: BLE001  # an error of a scorer may raise anything while it is pickled and read back
        replacement = ScorerError if isinstance(error, ScorerError | InputError) else EngineError
        return pickle.dumps(replacement(str(error)))
    return content


if __name__ == "__main__":
    main()
