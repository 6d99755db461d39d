"""Score a table's replies on one definition, or train a head: the process of :mod:`map_core.custom_values.jobs`.

``python -m map_core.custom_values TABLE OUT`` scores; the message that it receives is the definition. With TABLE alone
it trains; the message that it receives is {"definition": {...}, "pairs": [[3, 5], ...]}, in rows, and the last one that
it sends is {"head": {...}}. It also sends {"done": 8, "total": 128} and {"error": "..."}
(:class:`map_core.core.child_process.ParentPipe`). Constraint: the only part of this package that loads a model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from map_core.core.child_process import ParentPipe
from map_core.custom_values.embedding_cache import CachedEmbedder
from map_core.custom_values.score_table import score_table
from map_core.data import table_format
from map_core.errors import PaletteError
from map_core.scoring import DEFAULT_EMBEDDER, Definition, ScoringModels, Specification, make_scorer
from map_core.scoring.head_training import OUTER_FOLDS, pair_examples, train
from map_core.scoring.judged_replies import judged_replies
from map_core.scoring.shared_models import Embedder

#: Maximum number of replies whose embeddings are cached; those of a million replies take 3 GB.
_MAX_CACHED_REPLIES = 50_000


def _open_embedder() -> Embedder:
    from map_core.models.embedder import open_embedder

    return open_embedder(DEFAULT_EMBEDDER)


def _models(replies: int, folder: Path) -> ScoringModels:
    if replies > _MAX_CACHED_REPLIES:
        return ScoringModels()
    return ScoringModels(embedder=CachedEmbedder(DEFAULT_EMBEDDER, folder, _open_embedder))


def _score(parent: ParentPipe, table: str, out: Path) -> None:
    definition = Definition.from_dict(parent.receive())
    replies = table_format.load(table)
    models = _models(len(replies.replies), out.parent / "embeddings")
    scorer = make_scorer(Specification.of(definition), models)
    score_table(replies, scorer, out, lambda done, total: parent.send({"done": done, "total": total}))


def _train(parent: ParentPipe, table: str) -> None:
    message = parent.receive()
    definition = Definition.from_dict(message["definition"])
    rows, pairs = np.unique(np.array(message["pairs"], dtype=np.int64), return_inverse=True)
    models = ScoringModels()
    prior = make_scorer(Specification.of(definition), models)
    # Progress counts the prompts that are read, and then the folds of the cross-validation.
    features, prompts, scores = judged_replies(
        table_format.load(table),
        rows.tolist(),
        models,
        prior,
        lambda done, total: parent.send({"done": done, "total": total + OUTER_FOLDS}),
    )
    prompt_count = len(np.unique(prompts))
    trained = train(
        pair_examples(features, pairs.reshape(-1, 2), prompts, scores),
        models.embedder_name,
        report=lambda done, total: parent.send({"done": prompt_count + done, "total": prompt_count + total}),
    )
    parent.send({"head": trained.head.as_dict()})


def main(table: str, out: str | None = None) -> int:
    """Score TABLE on the definition that the parent sends and write OUT, or train; return 1 after an error, else 0."""
    parent = ParentPipe()
    try:
        if out is None:
            _train(parent, table)
        else:
            _score(parent, table, Path(out))
    except PaletteError as error:
        parent.send({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
