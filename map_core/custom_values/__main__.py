"""The process that scores: ``python -m map_core.custom_values TABLE OUT``, a definition as the first line in.

Lines out are JSON: {"done": 8, "total": 128}, {"error": "..."}. It leaves when its standard input ends, which is when
whoever started it is gone. Constraint: the only part of this package that loads a model.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from map_core.custom_values.embedding_cache import RememberedEmbedder
from map_core.custom_values.score_table import score
from map_core.data import reward_table
from map_core.errors import PaletteError
from map_core.scoring import DEFAULT_EMBEDDER, Definition, ScoringModels, Specification, make
from map_core.scoring.shared_models import Embedder

#: Beyond so many replies their embeddings are not kept: a million of them take 3 GB.
_MOST_REMEMBERED = 50_000


def _say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def _leave_with_the_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin: whoever forks while it is being read could never close it
        pass
    os._exit(3)


def _opened() -> Embedder:
    from map_core.models.embedder import open_embedder

    return open_embedder(DEFAULT_EMBEDDER)


def _models(replies: int, folder: Path) -> ScoringModels:
    if replies > _MOST_REMEMBERED:
        return ScoringModels()
    return ScoringModels(embedder=RememberedEmbedder(DEFAULT_EMBEDDER, folder, _opened))


def main(table: str, out: str) -> int:
    """Score TABLE on the definition that comes in and write OUT; 1 where that failed, in words."""
    definition = Definition.from_json(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    try:
        replies = reward_table.load(table)
        models = _models(len(replies.replies), Path(out).parent / "embeddings")
        scorer = make(Specification.of(definition), models)
        score(replies, scorer, Path(out), lambda done, total: _say(done=done, total=total))
    except PaletteError as error:
        _say(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
