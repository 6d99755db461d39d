"""Score a custom value by a reply's position between texts with more of it and texts with less.

The axis is the direction from "less" to "more" in the space of sentence embeddings, multiplied by the covariance of
replies to one prompt (:mod:`map_core.scoring.embedding_covariance`). Constraint: no model library at import time.

Measured on the labelled replies of the embedded table (``assets/labels.jsonl``), with three definitions per value, each
as somebody who does not program might write it, and four example replies per side, all written before any score was
seen; kindness and positivity had 63 and 68 labels then. AUC of the mean definition (the worst of the three):

==========================================  ===========  ===========  ===========  ==============  ===========
scorer                                      humor        kindness     positivity   plain language  helpfulness
==========================================  ===========  ===========  ===========  ==============  ===========
descriptions as they stand, plain axis      0.75 (0.72)  0.82 (0.78)  0.79 (0.73)  0.57 (0.45)     0.55 (0.49)
descriptions in three templates, S a        0.86 (0.83)  0.88 (0.84)  0.81 (0.73)  0.57 (0.34)     0.53 (0.50)
the same, S of the other half's prompts     0.88         0.89         0.78         0.59            0.53
four example replies a side, plain axis     0.84         0.79         0.87         0.67            0.66
four example replies a side, S a            0.90         0.87         0.85         0.72            0.65
two personas, log-likelihood, SmolLM2-135M  0.75         0.53         0.54         0.57            0.50
descriptions, plain axis, plus personas     0.80         0.73         0.80         0.59            0.54
==========================================  ===========  ===========  ===========  ==============  ===========

The last two rows are of at most 64 labelled replies per value; personas ("You are an assistant whose replies are like
this: ...") need two passes of the language model per reply: 2.6 hours for the embedded table at the 107 tokens a second
measured on two cores, while its embeddings take two minutes and serve every value. Examples written by the two personas
helped humor (0.93 together with the description) and spoilt kindness (0.40 alone), since a small model does not adopt
an unkind persona. So tone can be defined in words; reading ease and usefulness cannot, and examples help them little.
Judgements by the person who defines a value show to which kind it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.scoring import embedding_covariance
from map_core.scoring.base import Card, Cost
from map_core.scoring.definition import Definition, DefinitionKind
from map_core.scoring.embedding import EmbeddingScorer, project
from map_core.scoring.shared_models import ScoringModels
from map_core.scoring.specification import CONTRAST

#: Changes whenever the same definition would give another reward.
METHOD = "1"
#: The embedding of a description varies with the sentence around it; the mean of these varies less.
TEMPLATES = ("{}", "This text {}.", "The reply is like this: {}.")
_SCALE = 0.1  # about one standard deviation, for embedding models whose spread is not known


class Contrast(EmbeddingScorer):
    """A defined value: u . embed(reply) / sqrt(u' S u), with u = S a and a the axis between both sides' texts.

    So a reward of 1 is one standard deviation of replies to one prompt of the embedded table. With an embedding model
    other than the default one, for which S is not known, it is a . embed(reply) / 0.1.

    Args:
        definition: texts with more of the value and with less.
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
            misses="Whether it is true; and it hears what a reply is about as well as how it is said.",
            licence="Apache-2.0 (all-MiniLM-L6-v2); words of whoever defined it",
            source="Direction between texts, after Bolukbasi et al., NeurIPS 2016",
            version=f"{METHOD}-{definition.key}",
            partial=True,
            uses=("embedder",),
            costs=Cost.EMBEDDING,
        )
        self._direction: np.ndarray | None = None

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the position of each reply, in standard deviations of replies to one prompt; 0 for an empty one."""
        return project(self._models.embed([reply.text for reply in replies]), self._scaled())

    def settings(self) -> dict[str, Any]:
        """Return the definition, as plain JSON values."""
        return self.definition.as_dict()

    def _scaled(self) -> np.ndarray:
        if self._direction is None:
            axis = self._models.axis_between(*map(self._texts, (self.definition.more, self.definition.less)))
            known = embedding_covariance.for_embedder(self._models.embedder_name)
            if known is None or len(known) != len(axis):
                self._direction = axis / _SCALE
            else:
                turned = known @ axis
                size = float(np.sqrt(turned @ known @ turned))
                self._direction = turned / (size or 1.0)
        return self._direction

    def _texts(self, side: tuple[str, ...]) -> tuple[str, ...]:
        if self.definition.kind is DefinitionKind.EXAMPLES:
            return side
        return tuple(template.format(text.rstrip(" .")) for text in side for template in TEMPLATES)


def _shown(texts: Sequence[str], longest: int = 60) -> str:
    first = texts[0] if len(texts[0]) <= longest else texts[0][: longest - 1].rstrip() + "…"
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f'"{first}"{more}'
