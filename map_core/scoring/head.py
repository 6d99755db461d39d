"""Score values with a trained head: a logistic regression on sentence embeddings, fitted to people's judgements.

reward = w . phi(prompt, reply) + b + slope x (score of a prior), in log-odds. The prior is a definition in words or a
built-in value, so that with few judgements the head stays close to it and learns a correction.
:mod:`map_core.scoring.head_training` trains one. Constraint: numpy only at scoring, and no model library at import
time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring.base import Card, Cost, Scorer
from map_core.scoring.definition import title_from
from map_core.scoring.embedding import EmbeddingScorer
from map_core.scoring.head_weights import PARTS, HeadComparison, HeadEvidence, HeadWeights
from map_core.scoring.lexicon import sentences
from map_core.scoring.settings import Setting, check_settings
from map_core.scoring.shared_models import ScoringModels
from map_core.scoring.specification import HEAD

#: Changes whenever the same weights would give another reward.
METHOD = "1"
_WEIGHTS = {
    "weights": Setting((str, list, tuple), "base64 of 32-bit numbers, or a list of numbers"),
    "intercept": Setting((int, float), "a number"),
    "slope": Setting((int, float), "a number"),
    "embedder": Setting(str, "the name of the embedding model that it was trained with"),
    "evidence": Setting(Mapping, "what its training wrote"),
}
_SETTINGS = _WEIGHTS | {
    "prior": Setting((str, Mapping), "a built-in value's name, or a definition with more and less"),
    "title": Setting(str, "the name that people read"),
    "colour": Setting(str, "#rrggbb"),
    "measures": Setting(str, "what a higher reward means, in a sentence"),
    "misses": Setting(str, "what it does not see, in a sentence"),
    "licence": Setting(str, "of the judgements"),
}


def head_features(models: ScoringModels, prompt: str, replies: Sequence[str]) -> np.ndarray:
    """Return the features of replies to one prompt, (reply, 3 x dimension) float64.

    phi = [v, sqrt(d) u * v, s]: the embedding v of the reply, the elementwise product of the prompt's and the reply's
    embeddings times sqrt(dimension), which has about length 1 like the others, and the embedding s of the reply's
    first sentence, which tells a refusal from a yes. Zeros for a reply without text.
    """
    openings = [next(iter(sentences(reply)), "") for reply in replies]
    prompts, whole, first = models.embed([prompt]), models.embed(replies), models.embed(openings)
    dimension = max(vectors.shape[1] for vectors in (prompts, whole, first))
    # Embeddings of a list without any text have width 1, as the model's dimension is not known then.
    u, v, s = (
        vectors if vectors.shape[1] == dimension else np.zeros((len(vectors), dimension))
        for vectors in (prompts, whole, first)
    )
    return np.hstack([v, np.sqrt(dimension) * u * v, s])


class Head(EmbeddingScorer):
    """The log-odds that the reader on whose judgements it was trained says "this has it".

    Args:
        name: the value's name.
        settings: at least ``weights``, ``intercept``, ``slope`` and ``embedder``; see :class:`HeadWeights`.
        models: shared with the other scorers.
        prior: the scorer that the head corrects; None for none.

    Raises:
        InputError: an unknown or invalid setting, weights of another embedding model, or a slope without a prior.
    """

    family = HEAD

    def __init__(
        self, name: str, settings: Mapping[str, Any], models: ScoringModels, prior: Scorer | None = None
    ) -> None:
        super().__init__(models)
        given = {key: setting for key, setting in settings.items() if setting is not None}
        self._given = check_settings(f"the value {name!r}", given, _SETTINGS)
        self.head = HeadWeights.from_dict({key: given[key] for key in given if key in _WEIGHTS})
        self._weights, self._prior = np.array(self.head.weights), prior
        if self.head.embedder != models.embedder_name:
            raise InputError(
                f"The value {name!r} was trained on embeddings of {self.head.embedder}, and this program embeds with "
                f"{models.embedder_name}. Train it again, or use that model."
            )
        if prior is None and self.head.slope:
            raise InputError(f"The value {name!r} has the slope {self.head.slope} and no prior; expected both.")
        title, evidence = str(given.get("title", title_from(name))), self.head.evidence
        judged = f" in {evidence.judgements:,} judged {evidence.judged}" if evidence else ""
        self.card = Card(
            name=name,
            title=title,
            measures=str(given.get("measures", f"Whether a reader says that the reply has it{judged}.")),
            misses=str(
                given.get("misses", "What was not judged; it hears what a reply means and not whether it is true.")
            ),
            licence=str(given.get("licence", "Apache-2.0 (all-MiniLM-L6-v2); judgements of whoever trained it")),
            source="Log-odds of a logistic regression on sentence embeddings"
            + (f", from the prior {prior.card.title!r}" if prior else ""),
            version=f"{METHOD}-{self.head.key}" + (f"/{prior.version}" if prior else ""),
            partial=prior.partial if prior else True,
            uses=tuple(dict.fromkeys(("embedder", *(prior.card.uses if prior else ())))),
            costs=Cost.EMBEDDING,
        )

    @property
    def reading(self) -> str:
        """A sentence with the results of its cross-validation."""
        return "Not cross-validated." if self.head.evidence is None else evidence_sentence(self.head.evidence)

    def check(self) -> None:
        """Check that the embedding model is on this machine and has the dimension of the weights.

        Raises:
            InputError: its dimension differs.
            MissingModelError: it is not on this machine.
        """
        self._fits(head_features(self._models, "A prompt", ["A reply."]))
        if self._prior is not None:
            self._prior.check()

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the log-odds of each reply; for an empty one intercept and prior only."""
        rewards = np.full(len(replies), self.head.intercept, dtype=np.float64)
        texts = [reply.text for reply in replies]
        if any(text.strip() for text in texts):
            rewards += self._fits(head_features(self._models, prompt, texts)) @ self._weights
        if self._prior is not None:
            rewards += self.head.slope * self._prior.score(prompt, replies)
        return rewards

    def settings(self) -> dict[str, Any]:
        """Return the settings as they were given."""
        return dict(self._given)

    def _fits(self, features: np.ndarray) -> np.ndarray:
        if features.shape[1] != len(self._weights):
            raise InputError(
                f"The value {self.name!r} has {len(self._weights):,} weights and its embedding model "
                f"{self.head.embedder} gives {features.shape[1]:,} features ({PARTS} times its dimension). Train it "
                "again."
            )
        return features


def evidence_sentence(evidence: HeadEvidence) -> str:
    """Summarise the cross-validation of a head in one sentence."""
    within = evidence.within is not None or evidence.judged == "pairs"
    text = (
        f"Cross-validated by prompt: {_figure(evidence.decisive)}{' between replies to one prompt' if within else ''}"
    )
    text += f", {evidence.decisive.pairs:,} pairs of {evidence.decisive.prompts:,} prompts"
    if evidence.within is not None:
        text += f"; {_figure(evidence.overall)} over all"
    before = evidence.decisive.before
    if before is not None:
        ends = (evidence.decisive.difference_low, evidence.decisive.difference_high)
        low, high = (amounts.fixed(end, 2, signed=True) for end in ends)
        text += f"; without training {amounts.fixed(before, 2)}, difference {low} to {high}"
    return f"{text}."


def _figure(comparison: HeadComparison) -> str:
    ends = (amounts.fixed(end, 2) for end in (comparison.low, comparison.high))
    return f"AUC {amounts.fixed(comparison.head, 2)} ({' to '.join(ends)})"
