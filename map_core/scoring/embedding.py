"""Score values from sentence embeddings: coherence, humor, kindness, positivity.

A tone is a direction in the space of embeddings: from plain sentences to playful ones on the same subjects, from unkind
and reckless ones to kind and careful ones (:mod:`map_core.scoring.embedding_examples`). With this project's small base
model that separates replies at least as well as comparing their likelihood under two opposed personas, in a tenth of
the time. Constraint: no model library at import time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from map_core.core.types import Reply
from map_core.scoring import embedding_examples
from map_core.scoring.base import Card, Cost, Scorer
from map_core.scoring.lexicon import negativity, sentiment
from map_core.scoring.shared_models import ScoringModels

# Fixed scales, so that a reward means the same in every table: about the standard deviation of each part over replies
# of the default model. The weights of the parts of humor and kindness were chosen on replies to other prompts than the
# table's; the two parts of positivity have equal weights.
_TONE_SCALE = 0.1
_NEGATIVITY_SCALE = 0.06
_SENTIMENT_SCALE = 0.25
_JOKE_WORDS = re.compile(
    r"\b(?:jok(?:e|es|ing)|ha(?:ha)+|hee hee|silly|funny|funniest|laugh(?:s|ing)?|giggl(?:e|es|ed|ing)|humor|humorous"
    r"|puns?|kidding|ahem|oh no|oops(?:ie)?|psst|tickl(?:e|ed|es))\b"
)


class EmbeddingScorer(Scorer):
    """A scorer that needs the sentence-embedding model.

    Args:
        models: shared with the other scorers, so that a reply is embedded once.
    """

    def __init__(self, models: ScoringModels) -> None:
        self._models = models

    def tone(self, replies: Sequence[Reply], pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the position of each reply on the axis of example pairs, (reply,), in about standard deviations."""
        vectors = self._models.embed([reply.text for reply in replies])
        return project(vectors, self._models.axis(pairs)) / _TONE_SCALE

    @property
    def version(self) -> str:
        """The scorer's version and the name of its embedding model."""
        return f"{self.card.version}/{self._models.embedder_name}"


class Coherence(EmbeddingScorer):
    """Cosine between the embeddings of prompt and reply, -1 to 1."""

    card = Card(
        name="coherence",
        title="Coherence",
        measures="How closely the reply keeps to what the prompt is about.",
        misses="Whether what it says is true or of use; a reply that repeats the prompt scores high.",
        licence="Apache-2.0 (all-MiniLM-L6-v2)",
        source="Reimers and Gurevych, Sentence-BERT, EMNLP 2019",
        version="1",
        partial=True,
        uses=("embedder",),
        costs=Cost.EMBEDDING,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the cosine of prompt and each reply; 0 for an empty reply."""
        vectors = self._models.embed([reply.text for reply in replies])
        return project(vectors, self._models.embed([prompt])[0])


class Humor(EmbeddingScorer):
    """Position on the axis from plain to playful examples, plus 0.3 for each word of joking, at most three."""

    card = Card(
        name="humor",
        title="Humor",
        measures="How playful the reply sounds: jokes, puns, silliness, whimsy.",
        misses="Whether the joke lands or suits the moment; it hears the tone of joking and not the wit.",
        licence="Apache-2.0 (all-MiniLM-L6-v2); example sentences written for this project",
        source="Direction between example sentences, after Bolukbasi et al., NeurIPS 2016",
        version="1",
        partial=True,
        uses=("embedder",),
        costs=Cost.EMBEDDING,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the playfulness of each reply in units of about one standard deviation."""
        tone = self.tone(replies, embedding_examples.HUMOR)
        words = [min(len(_JOKE_WORDS.findall(reply.text.lower())), 3) for reply in replies]
        return tone + 0.3 * np.array(words, dtype=np.float64)


class Kindness(EmbeddingScorer):
    """Position on the axis from unkind to kind examples, less a little for negative words.

    axis . embed(reply) / 0.1 - 0.3 x (VADER's share of negative words) / 0.06.
    """

    card = Card(
        name="kindness",
        title="Kindness",
        measures="How kind and careful the reply sounds, against insulting, threatening, hostile or reckless.",
        misses="Friendly-sounding bad advice: it hears the tone and not whether the content does harm.",
        licence="Apache-2.0 (all-MiniLM-L6-v2), MIT (vaderSentiment); example sentences written for this project",
        source="Direction between example sentences, after Bolukbasi et al., NeurIPS 2016",
        version="2",
        partial=True,
        uses=("embedder",),
        costs=Cost.EMBEDDING,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the kindness and care of each reply in units of about one standard deviation."""
        tone = self.tone(replies, embedding_examples.KINDNESS)
        negative = np.array([negativity(reply.text) for reply in replies], dtype=np.float64)
        return tone - 0.3 * negative / _NEGATIVITY_SCALE


class Positivity(EmbeddingScorer):
    """Position on the axis from gloomy to warm examples, and as much for the sentiment of its words.

    axis . embed(reply) / 0.1 + mean over sentences of VADER's compound sentiment / 0.25.
    """

    card = Card(
        name="positivity",
        title="Positivity",
        measures="How warm and upbeat the reply sounds: its tone as a whole and its words, sentence by sentence.",
        misses="Irony, and whether good cheer fits the moment.",
        licence="Apache-2.0 (all-MiniLM-L6-v2), MIT (vaderSentiment); example sentences written for this project",
        source="Hutto and Gilbert, VADER, ICWSM 2014; direction between examples, after Bolukbasi et al., NeurIPS 2016",
        version="2",
        partial=True,
        uses=("embedder",),
        costs=Cost.EMBEDDING,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the warmth of each reply; 0 for an empty reply.

        It is in units of about one standard deviation of each part.
        """
        tone = self.tone(replies, embedding_examples.POSITIVITY)
        words = np.array([sentiment(reply.text) for reply in replies], dtype=np.float64)
        return tone + words / _SENTIMENT_SCALE


def project(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return positions on an axis, (text,); 0 for empty texts, whose embeddings may be narrower."""
    return vectors @ axis if vectors.shape[1] == len(axis) else np.zeros(len(vectors))
