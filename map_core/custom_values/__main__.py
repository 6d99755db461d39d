"""Score a table's replies on one definition: the process that :mod:`map_core.custom_values.jobs` starts.

``python -m map_core.custom_values TABLE OUT``; the first message in is the definition, messages out are
{"done": 8, "total": 128} in prompts, and {"error": "..."} (:class:`map_core.core.child_process.ParentPipe`).
Constraint: the only part of this package that loads a model.
"""

from __future__ import annotations

import sys
from pathlib import Path

from map_core.core.child_process import ParentPipe
from map_core.custom_values.embedding_cache import CachedEmbedder
from map_core.custom_values.score_table import score_table
from map_core.data import table_format
from map_core.errors import PaletteError
from map_core.scoring import DEFAULT_EMBEDDER, Definition, ScoringModels, Specification, make_scorer
from map_core.scoring.shared_models import Embedder

#: Beyond so many replies their embeddings are not kept: a million of them take 3 GB.
_MOST_REMEMBERED = 50_000


def _opened() -> Embedder:
    from map_core.models.embedder import open_embedder

    return open_embedder(DEFAULT_EMBEDDER)


def _models(replies: int, folder: Path) -> ScoringModels:
    if replies > _MOST_REMEMBERED:
        return ScoringModels()
    return ScoringModels(embedder=CachedEmbedder(DEFAULT_EMBEDDER, folder, _opened))


def main(table: str, out: str) -> int:
    """Score TABLE on the definition that the parent sends and write OUT; return the exit code, 1 after an error."""
    parent = ParentPipe()
    try:
        definition = Definition.from_dict(parent.receive())
        replies = table_format.load(table)
        models = _models(len(replies.replies), Path(out).parent / "embeddings")
        scorer = make_scorer(Specification.of(definition), models)
        score_table(replies, scorer, Path(out), lambda done, total: parent.send({"done": done, "total": total}))
    except PaletteError as error:
        parent.send({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
