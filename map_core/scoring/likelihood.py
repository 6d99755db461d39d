"""Score values from the log-probabilities of replies under the base model: familiarity, helpfulness.

The log-probabilities are computed in sampling, so that these values need no pass of the language model. The model that
writes the replies judges its own words. Constraint: no model library at import time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from map_core.core.types import Reply
from map_core.scoring.base import Card, Cost, Scorer, ScorerError, log_prob
from map_core.scoring.embedding import EmbeddingScorer, project
from map_core.scoring.lexicon import Diversity, words

#: Reward of a reply without tokens, below that of any reply with words.
EMPTY_FAMILIARITY = -6.0
_WORD = re.compile(r"\w+")
_OF_ITSELF = re.compile(r"\b(?:I|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself)\b")
_DIGIT = re.compile(r"\d")


class Familiarity(Scorer):
    """Mean log-probability per token under the base model, in nats."""

    card = Card(
        name="familiarity",
        title="Familiar wording",
        measures="How expected the base model finds the wording of the reply, word by word.",
        misses="Good English as people judge it: worn phrases and repetition score high. The model judges itself.",
        licence="that of the base model (Apache-2.0 for SmolLM2)",
        source="Mean log-probability per token, in Wang et al., MAP, ICLR 2025 (arXiv 2410.19198), called perplexity",
        version="1",
        partial=True,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the mean log-probability of each reply's tokens; :data:`EMPTY_FAMILIARITY` for a reply without any.

        Raises:
            ScorerError: a reply has text and no log-probabilities.
        """
        return np.array([mean_log_prob(reply, self.name, number) for number, reply in enumerate(replies)])


class Helpfulness(EmbeddingScorer):
    """Relevance, likely wording and diversity, less words about itself, figures and echoes of the prompt.

    0.65 (c - 0.49) / 0.2 + 1.35 (l + 1.68) / 0.5 + 0.7 (d - 0.9) / 0.17 - 0.7 s / 0.046 - 0.4 f / 1.2
    - 8 max(0, e - 0.25), with c the cosine of prompt and reply embeddings, l the mean log-probability per token, d the
    reply's diversity, s the share of its words that are "I", "me" or "my", f its digits, five at most, and e the share
    of its three-word sequences that are the prompt's. Hackneyed and repeated words, and figures, are likely: d and f
    compensate for what l gives them. The weights are those of a logistic regression on labelled replies of an earlier
    table, rounded.
    """

    card = Card(
        name="helpfulness",
        title="Helpfulness",
        measures="Whether the reply takes up the request, in confident words, without repeating or talking of itself.",
        misses="Whether the answer is right. The model judges its own words; repeating the prompt is penalised.",
        licence="Apache-2.0 (all-MiniLM-L6-v2, SmolLM2)",
        source="This project: relevance, likelihood and diversity, weighted on labelled replies of an earlier table",
        version="2",
        partial=True,
        uses=("embedder",),
        costs=Cost.EMBEDDING,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the helpfulness of each reply: log-odds, up to a constant, that a reader calls it helpful.

        Raises:
            ScorerError: a reply has text and no log-probabilities.
        """
        texts = [reply.text for reply in replies]
        relevance = project(self._models.embed(texts), self._models.embed([prompt])[0])
        likelihood = np.array([mean_log_prob(reply, self.name, number) for number, reply in enumerate(replies)])
        diversity = np.array([Diversity.of(text) for text in texts])
        itself = np.array([_share_of_itself(text) for text in texts])
        digits = np.array([min(len(_DIGIT.findall(text)), 5) for text in texts], dtype=np.float64)
        echo = np.array([echo_share(prompt, text) for text in texts])
        return (
            0.65 * (relevance - 0.49) / 0.2
            + 1.35 * (likelihood + 1.68) / 0.5
            + 0.7 * (diversity - 0.9) / 0.17
            - 0.7 * itself / 0.046
            - 0.4 * digits / 1.2
            - 8.0 * np.maximum(0.0, echo - 0.25)
        )


def mean_log_prob(reply: Reply, value: str, candidate: int) -> float:
    """Return the mean log-probability per token, in nats.

    Raises:
        ScorerError: the reply has text and no log-probabilities.
    """
    if reply.log_probs:
        return log_prob(reply) / len(reply.log_probs)
    if reply.text.strip():
        raise ScorerError(
            f"{value} needs the log-probabilities of each reply's tokens; candidate {candidate} has none. "
            "Leave this value out, or draw the replies with a model on this machine or on a server that tells them."
        )
    return EMPTY_FAMILIARITY


def echo_share(prompt: str, reply: str) -> float:
    """Return the share of the reply's three-word sequences that are in the prompt, 0 to 1.

    It is 0 for fewer than three words.
    """
    prompt_words, reply_words = (_WORD.findall(text.lower()) for text in (prompt, reply))
    known = set(zip(prompt_words, prompt_words[1:], prompt_words[2:], strict=False))
    grams = list(zip(reply_words, reply_words[1:], reply_words[2:], strict=False))
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def _share_of_itself(text: str) -> float:
    return len(_OF_ITSELF.findall(text)) / max(1, len(words(text)))
