"""Judgements of pairs: is a scorer right about which of two replies is more so?

Somebody who does not see the scores is shown two replies to one prompt and says which of them has more of a value. The
share of these pairs that the scorer puts in the same order is its AUC: the chance that, of two replies between which a
person sees a difference, the one that has more scores higher. Constraint: numbers in and out; nothing is kept here.

What is estimated, exactly: a prompt is drawn at random and two different replies to it, as generation must choose
between them; pairs that the judge cannot tell apart are left out, equal scores count half. Where what people hear and
what the scorer gives are jointly normal and people leave out the three pairs in ten that differ least, it lies within
0.02 of the AUC of replies labelled above and below the middle (a test holds that), so the words begin at like places.
A judge who decides every pair makes it lower.
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

#: Judgements that are asked for at first, at the least before anything is said, and at the most.
FIRST_PAIRS, MIN_PAIRS, MAX_PAIRS = 15, 10, 200
#: Pairs are spread over so many parts of the way from "scores alike" to "scores far apart".
PARTS = 5
#: Replies of a prompt that are looked at for a pair.
_LOOKED_AT = 64
#: Where the words begin: (AUC, lower end of its 95% interval).
RELIABLE_FROM, ROUGH_FROM = (0.75, 0.65), (0.65, 0.5)


class PairAnswer(StrEnum):
    """What somebody says of two replies."""

    FIRST = "first"
    NEITHER = "neither"
    SECOND = "second"


class TrustLevel(StrEnum):
    """How far a scorer is to be trusted, in plain words."""

    RELIABLE = "reliable"
    ROUGH = "rough"
    UNUSABLE = "not to be used"


@dataclass(frozen=True)
class PairQuestion:
    """Two replies to be judged, in the order in which they are shown.

    Args:
        first, second: rows of the table.
        part: how far apart the scorer puts them among the pairs of their prompt, from 0 to :data:`PARTS` - 1.
    """

    first: int
    second: int
    part: int


@dataclass(frozen=True)
class PairJudgement:
    """A pair that was judged: rows of the table, and the answer."""

    first: int
    second: int
    answer: PairAnswer


@dataclass(frozen=True)
class Agreement:
    """How well a scorer agrees with whoever judged.

    Args:
        agreed: pairs that it puts in the judged order, equal scores counting half.
        decided: pairs in which the judge saw a difference, at least one.
        undecided: the other pairs.
        low, high: 95% interval of the AUC.
        cross_validated: the scorer was trained on these very pairs, and each was ordered by one whose training had not
            seen its prompt.
    """

    agreed: float
    decided: int
    undecided: int
    low: float
    high: float
    cross_validated: bool = False

    @property
    def auc(self) -> float:
        """The quotient agreed / decided."""
        return self.agreed / self.decided

    @property
    def enough(self) -> bool:
        """Whether there are enough judgements for a word."""
        return self.decided >= MIN_PAIRS

    @property
    def trust_level(self) -> TrustLevel | None:
        """The plain word; None while there are too few judgements."""
        return trust_level(self.auc, self.low) if self.enough else None

    @property
    def reversed(self) -> bool:
        """Whether the scorer has it the wrong way round: even the upper end of the interval is below a coin's."""
        return self.enough and self.high < 0.5


def choose_pairs(
    table: RewardTable, scores: np.ndarray, wanted: int = MAX_PAIRS, seed: int = 0
) -> tuple[PairQuestion, ...]:
    """Choose pairs to ask about, in this order; stopping after any five leaves them spread evenly.

    Each pair is of another prompt while there are prompts. Of five in a row one is of the fifth of its prompt's pairs
    with the smallest difference of scores, one of the next fifth, and so on, in a random order: so the plain share of
    agreement estimates that of pairs drawn at random and varies less from one set of pairs to the next. Asking more of
    the close pairs would narrow it by little and ask most where nobody can tell. Which reply comes first is drawn.

    Args:
        table: with its replies; where most prompts have one reply, pairs are of different prompts. Held-out prompts
            are not asked about.
        scores: (reply,) of the value in question.
        wanted: pairs.
        seed: the same seed gives the same pairs.

    Returns:
        As many as wanted, fewer where the table has no more different pairs.

    Raises:
        InputError: the table has no texts of replies, or not one score a reply.
    """
    if len(table.replies) != len(scores):
        raise InputError(f"There are {len(scores)} scores for {len(table.replies)} replies; expected one each.")
    rng = np.random.default_rng(seed)
    pooled = table.form is Form.POOLED
    chosen: list[PairQuestion] = []
    seen: set[frozenset[int]] = set()
    counted = np.flatnonzero(table.counted)
    parts, prompts = _Deck(PARTS, rng), _Deck(1 if pooled else len(counted), rng)
    for _ in range(4 * wanted + len(table.prompts)):  # gives up where there are hardly any pairs
        if len(chosen) == wanted:
            break
        rows = np.arange(len(scores))
        rows = rows[np.repeat(table.counted, table.candidates)] if pooled else rows[table.rows(counted[prompts.draw()])]
        pairs = _pairs(rows, table.replies, np.asarray(scores, dtype=float), rng)
        if not len(pairs):
            continue
        part = parts.draw()
        place = int(len(pairs) * (part + rng.random()) / PARTS)
        first, second = (int(row) for row in rng.permutation(pairs[min(place, len(pairs) - 1)]))
        if frozenset((first, second)) in seen:
            continue
        seen.add(frozenset((first, second)))
        chosen.append(PairQuestion(first, second, part))
    return tuple(chosen)


def _pairs(rows: np.ndarray, replies: Sequence[str], scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (pair, 2) rows with different texts, the closest scores first; equal gaps in a random order."""
    if len(rows) > _LOOKED_AT:
        rows = rng.choice(rows, _LOOKED_AT, replace=False)
    texts = np.array([" ".join(replies[row].split()) for row in rows], dtype=object)  # those that read alike: no pair
    first, other = np.triu_indices(len(rows), 1)
    pairs = rng.permutation(np.column_stack([rows[first], rows[other]])[texts[first] != texts[other]])
    gaps = np.abs(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    return pairs[np.argsort(gaps, kind="stable")]


class _Deck:
    """Numbers from 0 in a random order, shuffled anew when all were drawn."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self._left: list[int] = []

    def draw(self) -> int:
        if not self._left:
            self._left = [int(card) for card in self._rng.permutation(self._size)]
        return self._left.pop()


def judgement_agreement(scores: np.ndarray, judged: Sequence[PairJudgement]) -> Agreement | None:
    """Measure how well scores agree with judgements, with Wilson's interval.

    See :func:`map_core.core.wilson.wilson_interval`. It takes pairs for independent draws; the spread over
    differences makes it a little wide.

    Args:
        scores: (reply,) of the value.
        judged: pairs with an answer.

    Returns:
        None while no pair was decided.
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
    """Return the plain word for an AUC and the lower end of its 95% interval.

    Reliable from 0.75 with at least 0.65 at the lower end; rough from 0.65 where the interval lies above 0.5, so that a
    coin is ruled out; else not to be used.

    Example:
        >>> trust_level(0.8, 0.7), trust_level(0.8, 0.55), trust_level(0.7, 0.48)
        (<Word.RELIABLE: 'reliable'>, <Word.ROUGH: 'rough'>, <Word.UNUSABLE: 'not to be used'>)
    """
    for level, (least, bound) in ((TrustLevel.RELIABLE, RELIABLE_FROM), (TrustLevel.ROUGH, ROUGH_FROM)):
        if auc >= least and low > bound:
            return level
    return TrustLevel.UNUSABLE
