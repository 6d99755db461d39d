"""A scorer for a value of one's own: where a reply lies between what has more of it and what has less.

The direction from "less" to "more" in the space of sentence embeddings, as with the built-in tones. Constraint: no
model library at import time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from map_core.glossary import Reply
from map_core.values.definition import Definition
from map_core.values.embedding import EmbeddingScorer, along
from map_core.values.models import ScoringModels
from map_core.values.scorer import Card
from map_core.values.specification import CONTRAST

#: Changes whenever the same definition would give another reward.
METHOD = "1"
_SCALE = 0.1


class Contrast(EmbeddingScorer):
    """A defined value: axis . embed(reply) / 0.1.

    Args:
        definition: what has more of it and what has less.
        models: shared with the other scorers.
    """

    family = CONTRAST

    def __init__(self, definition: Definition, models: ScoringModels) -> None:
        super().__init__(models)
        self.definition = definition
        self.card = Card(
            name=definition.name,
            title=definition.title,
            measures=f"Whether the reply is more like {_shown(definition.more)} than like {_shown(definition.less)}.",
            misses="Whether it is true, and whatever the words of its definition leave open: judge pairs to see.",
            licence="Apache-2.0 (all-MiniLM-L6-v2); words of whoever defined it",
            source="Direction between texts, after Bolukbasi et al., NeurIPS 2016",
            version=f"{METHOD}-{definition.key}",
            partial=True,
            uses=("embedder",),
        )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Position of each reply on the axis, in units of about one standard deviation; 0 for an empty one."""
        axis = self._models.axis_between(self.definition.more, self.definition.less)
        return along(self._models.embed([reply.text for reply in replies]), axis) / _SCALE

    def settings(self) -> dict[str, Any]:
        """The definition, as plain JSON values."""
        return self.definition.as_dict()


def _shown(texts: Sequence[str], longest: int = 60) -> str:
    first = texts[0] if len(texts[0]) <= longest else texts[0][: longest - 1].rstrip() + "…"
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f'"{first}"{more}'
