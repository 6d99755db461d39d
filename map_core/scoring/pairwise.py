"""Compare a scorer with judgements of pairs of replies.

A judge who does not see the scores says which of two replies to one prompt has more of a value. The share of these
pairs that the scorer orders alike is its AUC: the probability that, of two replies between which a person sees a
difference, the one with more of the value scores higher. Constraint: numbers in and out; nothing is stored here.

The estimand: a prompt is drawn at random and two different replies to it, since generation chooses between these; pairs
that the judge cannot tell apart are left out, equal scores count half. If people's impression and the score are jointly
normal and people leave out the three pairs in ten that differ least, it is within 0.02 of the AUC of replies labelled
above and below the median (a test checks that), so that the same thresholds serve for both. A judge who decides every
pair makes it lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from map_core.core.types import Form
from map_core.core.wilson import wilson_interval
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError

#: Numbers of judgements: planned at first, needed for a result, and at most.
FIRST_PAIRS, MIN_PAIRS, MAX_PAIRS = 15, 10, 200
#: Strata of pairs by their difference of scores.
PARTS = 5
#: Most replies of a prompt that are considered for a pair.
_CONSIDERED = 64
#: Thresholds of the trust levels: (AUC, lower end of its 95% interval).
RELIABLE_FROM, ROUGH_FROM = (0.75, 0.65), (0.65, 0.5)


class PairAnswer(StrEnum):
    """The judgement of two replies."""

    FIRST = "first"
    NEITHER = "neither"
    SECOND = "second"


class TrustLevel(StrEnum):
    """How far a scorer can be trusted."""

    RELIABLE = "reliable"
    ROUGH = "rough"
    UNUSABLE = "not to be used"


@dataclass(frozen=True)
class PairQuestion:
    """Two replies to be judged, in the order in which they are shown.

    Args:
        first: row of the table.
        second: row of the table.
        part: stratum of their difference of scores among the pairs of their prompt, from 0 to :data:`PARTS` - 1.
    """

    first: int
    second: int
    part: int


@dataclass(frozen=True)
class PairJudgement:
    """A judged pair: rows of the table, and the answer."""

    first: int
    second: int
    answer: PairAnswer


@dataclass(frozen=True)
class Agreement:
    """The agreement of a scorer with a judge.

    Args:
        agreed: pairs that the scorer orders as judged; equal scores count half.
        decided: pairs in which the judge saw a difference, at least one.
        undecided: the other pairs.
        low: lower end of the 95% interval of the AUC.
        high: its upper end.
        cross_validated: the scorer was trained on these pairs, and each was ordered by one that was trained without its
            prompt.
    """

    agreed: float
    decided: int
    undecided: int
    low: float
    high: float
    cross_validated: bool = False

    @property
    def auc(self) -> float:
        """The share agreed / decided."""
        return self.agreed / self.decided

    @property
    def enough(self) -> bool:
        """Whether there are enough judgements for a trust level."""
        return self.decided >= MIN_PAIRS

    @property
    def trust_level(self) -> TrustLevel | None:
        """The trust level; None while there are too few judgements."""
        return trust_level(self.auc, self.low) if self.enough else None

    @property
    def reversed(self) -> bool:
        """Whether the scorer orders pairs the wrong way round: the whole interval is below 0.5."""
        return self.enough and self.high < 0.5


def choose_pairs(
    table: RewardTable, scores: np.ndarray, wanted: int = MAX_PAIRS, seed: int = 0
) -> tuple[PairQuestion, ...]:
    """Sample pairs to ask about, stratified by their difference of scores.

    Each pair is of another prompt until all prompts are used. Of every five pairs in a row, one is from each fifth of
    its prompt's pairs by difference of scores, in random order: so the plain share of agreement estimates that of pairs
    drawn at random, with a smaller variance, also after stopping at a multiple of five. Asking for more close pairs
    would narrow the interval little, and these are the pairs that nobody can tell apart. The order within a pair is
    random.

    Args:
        table: with its replies; where most prompts have one reply, pairs are of different prompts. Held-out prompts
            are left out.
        scores: (reply,) of the value.
        wanted: number of pairs.
        seed: the same seed gives the same pairs.

    Returns:
        The pairs; fewer than wanted where the table has no more different ones.

    Raises:
        InputError: the table has no texts of replies, or the number of scores differs from that of replies.
    """
    if len(table.replies) != len(scores):
        raise InputError(f"There are {len(scores)} scores for {len(table.replies)} replies; expected one each.")
    rng = np.random.default_rng(seed)
    pooled = table.form is Form.POOLED
    chosen: list[PairQuestion] = []
    seen: set[frozenset[int]] = set()
    counted = np.flatnonzero(table.counted)
    parts, prompts = _Deck(PARTS, rng), _Deck(1 if pooled else len(counted), rng)
    for _ in range(4 * wanted + len(table.prompts)):  # bounded, as there may be fewer pairs than wanted
        if len(chosen) == wanted:
            break
        rows = np.arange(len(scores))
        rows = rows[np.repeat(table.counted, table.candidates)] if pooled else rows[table.rows(counted[prompts.draw()])]
        pairs = _pairs(rows, table.replies, np.asarray(scores, dtype=float), rng)
        if not len(pairs):
            continue
        part = parts.draw()
        index = min(int(len(pairs) * (part + rng.random()) / PARTS), len(pairs) - 1)
        first, second = (int(row) for row in rng.permutation(pairs[index]))
        if frozenset((first, second)) in seen:
            continue
        seen.add(frozenset((first, second)))
        chosen.append(PairQuestion(first, second, part))
    return tuple(chosen)


def _pairs(rows: np.ndarray, replies: Sequence[str], scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (pair, 2) rows with different texts, the smallest difference of scores first; ties in random order."""
    if len(rows) > _CONSIDERED:
        rows = rng.choice(rows, _CONSIDERED, replace=False)
    texts = np.array([" ".join(replies[row].split()) for row in rows], dtype=object)
    first, second = np.triu_indices(len(rows), 1)
    pairs = rng.permutation(np.column_stack([rows[first], rows[second]])[texts[first] != texts[second]])
    gaps = np.abs(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    return pairs[np.argsort(gaps, kind="stable")]


class _Deck:
    """Draws of the numbers from 0 without replacement, shuffled again once all were drawn."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self._left: list[int] = []

    def draw(self) -> int:
        if not self._left:
            self._left = [int(card) for card in self._rng.permutation(self._size)]
        return self._left.pop()


def judgement_agreement(scores: np.ndarray, judged: Sequence[PairJudgement]) -> Agreement | None:
    """Measure the agreement of scores with judgements, with Wilson's interval.

    See :func:`map_core.core.wilson.wilson_interval`. It assumes independent pairs; because of the stratification it is
    slightly too wide.

    Args:
        scores: (reply,) of the value.
        judged: pairs with an answer.

    Returns:
        The agreement; None if no pair was decided.
    """
    decided = [judgement for judgement in judged if judgement.answer is not PairAnswer.NEITHER]
    if not decided:
        return None
    agreed = 0.0
    for judgement in decided:
        more, less = (
            (judgement.first, judgement.second)
            if judgement.answer is PairAnswer.FIRST
            else (judgement.second, judgement.first)
        )
        agreed += 0.5 * (1.0 + float(np.sign(scores[more] - scores[less])))
    low, high = wilson_interval(agreed, len(decided))
    return Agreement(agreed, len(decided), len(judged) - len(decided), low, high)


def trust_level(auc: float, low: float) -> TrustLevel:
    """Return the trust level for an AUC and the lower end of its 95% interval.

    Reliable from 0.75 with a lower end above 0.65; rough from 0.65 with a lower end above 0.5, which rules out chance;
    else not to be used.

    Example:
        >>> [trust_level(*figures).value for figures in ((0.8, 0.7), (0.8, 0.55), (0.7, 0.48))]
        ['reliable', 'rough', 'not to be used']
    """
    for level, (least, bound) in ((TrustLevel.RELIABLE, RELIABLE_FROM), (TrustLevel.ROUGH, ROUGH_FROM)):
        if auc >= least and low > bound:
            return level
    return TrustLevel.UNUSABLE
