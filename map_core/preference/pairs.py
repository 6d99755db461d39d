"""Collect pairs of a table's replies that can be compared, and select the next one to ask about.

The next pair is D-optimal: of all pairs considered, it raises the determinant of the posterior's precision the most,

    det(H + p (1 - p) d d') = det(H) (1 + p (1 - p) d' H^-1 d)

Constraint: held-out prompts and those whose replies are hidden are left out; a prompt is repeated only after all others
have had a turn.

Source: Chaloner and Verdinelli, "Bayesian experimental design: a review", 1995; docs/judgement.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.analysis.examples import example_prompts
from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import is_cut
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.preference.choices import PRIOR, PairChoice, PreferenceFit, fit_choices

#: Numbers of choices: planned at first, needed before a palette is shown, and at most.
FIRST_CHOICES, MIN_CHOICES, MAX_CHOICES = 15, 8, 40
#: Most pairs considered for the next one, and most pairs of each prompt.
CONSIDERED, PER_PROMPT = 4000, 120
#: Largest ratio of the lengths of the two replies, in characters.
_RATIO = 1.5
#: Largest distance of a reply from the base level, in standard deviations: the most informative pairs would be of
#: degenerate replies, such as a line of one letter, neither of which anybody would send.
_TYPICAL = 2.5
#: Criteria for readable replies, the first that gives enough prompts counts: most characters, and whether cut replies
#: are excluded.
_READABLE = ((400, True), (900, True), (900, False), (100_000, False))
_SHORTEST, _ENOUGH_PROMPTS = 60, FIRST_CHOICES + 1


@dataclass(frozen=True, eq=False)
class PairPool:
    """Pairs that can be asked about.

    Args:
        rows: (pair, 2) rows of the table.
        prompts: (pair,) index of the prompt of both replies.
        differences: (pair, value) z of the first reply less that of the second, in standard deviations.
    """

    rows: np.ndarray
    prompts: np.ndarray
    differences: np.ndarray


def pair_pool(table: RewardTable, oracle: Oracle, seed: int = 0) -> PairPool:
    """Collect the pairs of replies that can be asked about.

    The two replies of a pair answer one prompt whose replies may be shown, differ in text and rewards, have similar
    lengths, and are no outliers in any value; short and complete replies are preferred.

    Args:
        table: with the texts of its replies.
        oracle: its base level and scale.
        seed: of the sample of pairs of a prompt with many of them.

    Raises:
        InputError: the table has no texts of replies, or no such pair.
    """
    if not table.replies:
        raise InputError("This table has rewards and no replies, so there is nothing to choose between.")
    rng = np.random.default_rng(seed)
    standardised = oracle.standardise(table.rewards)
    best: list[tuple[np.ndarray, int]] = []
    for longest, whole in _READABLE:
        readable = []
        for prompt in example_prompts(table):
            pairs = _prompt_pairs(table, standardised, prompt, longest, whole, rng)
            if len(pairs):
                readable.append((pairs, prompt))
        best = max(best, readable, key=len)
        if len(best) >= _ENOUGH_PROMPTS:
            break
    if not best:
        raise InputError(
            "No prompt of this table has two different replies of similar length that may be shown. Choose a table "
            "with several replies per prompt."
        )
    rows = np.concatenate([pairs for pairs, _ in best])
    prompts = np.concatenate([np.full(len(pairs), prompt) for pairs, prompt in best])
    return PairPool(rows, prompts, standardised[rows[:, 0]] - standardised[rows[:, 1]])


def _prompt_pairs(
    table: RewardTable, standardised: np.ndarray, prompt: int, longest: int, whole: bool, rng: np.random.Generator
) -> np.ndarray:
    """Return the (pair, 2) rows of one prompt's readable pairs, in random order within each pair."""
    span = table.rows(prompt)
    texts: dict[str, int] = {}
    for row in range(span.start, span.stop):
        text = " ".join(table.replies[row].split())
        readable = _SHORTEST <= len(text) <= longest and not (whole and is_cut(table, row))
        if readable and np.abs(standardised[row]).max() <= _TYPICAL:
            texts.setdefault(text, row)
    rows, lengths = np.array([*texts.values()], dtype=np.int64), np.array([len(text) for text in texts])
    first, second = np.triu_indices(len(rows), 1)
    if not len(first):
        return np.empty((0, 2), dtype=np.int64)
    alike = np.maximum(lengths[first], lengths[second]) <= _RATIO * np.minimum(lengths[first], lengths[second])
    differ = np.any(standardised[rows[first]] != standardised[rows[second]], axis=1)
    pairs = np.column_stack([rows[first], rows[second]])[alike & differ]
    if len(pairs) > PER_PROMPT:
        pairs = pairs[rng.choice(len(pairs), PER_PROMPT, replace=False)]
    return rng.permuted(pairs, axis=1)


def differences_of(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice]) -> np.ndarray:
    """Return (choice, value) differences z of the first reply less that of the second."""
    rows = np.array([(choice.first, choice.second) for choice in choices], dtype=np.int64).reshape(-1, 2)
    standardised: np.ndarray = oracle.standardise(table.rewards[rows])
    return standardised[:, 0] - standardised[:, 1]


def fit(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], prior: float = PRIOR) -> PreferenceFit:
    """Fit weights to choices between replies of a table."""
    return fit_choices(differences_of(table, oracle, choices), [choice.answer for choice in choices], prior)


def next_pair(
    pool: PairPool, fitted: PreferenceFit, choices: Sequence[PairChoice], seed: int = 0
) -> tuple[int, int] | None:
    """Return the rows of the pair to ask about next, in the order to show them; None where every pair was asked.

    Args:
        pool: pairs that can be asked about.
        fitted: the fit to the choices so far.
        choices: in the order in which they were made.
        seed: of the sample of pairs considered; the same seed and choices give the same pair.
    """
    considered = _open_pairs(pool, choices)
    if not len(considered):
        return None
    rng = np.random.default_rng((seed, len(choices)))
    if len(considered) > CONSIDERED:
        considered = rng.choice(considered, CONSIDERED, replace=False)
    d = pool.differences[considered]
    probability = fitted.probability(d)
    gain = probability * (1 - probability) * np.einsum("ij,ij->i", d @ fitted.covariance, d)
    first, second = pool.rows[considered[int(np.argmax(gain))]]
    return int(first), int(second)


def _open_pairs(pool: PairPool, choices: Sequence[PairChoice]) -> np.ndarray:
    """Return indices of the pairs that were not asked about, of the prompts that were asked about least.

    The prompt of the last choice is left out where others remain.
    """
    asked = {frozenset((choice.first, choice.second)) for choice in choices}
    prompt_of = dict(zip(pool.rows.ravel().tolist(), np.repeat(pool.prompts, 2).tolist(), strict=True))
    counts = np.zeros(int(pool.prompts.max()) + 1, dtype=np.int64)
    asked_prompts = [prompt_of.get(choice.first) for choice in choices]
    for prompt in asked_prompts:
        if prompt is not None:
            counts[prompt] += 1
    used = {row for pair in asked for row in pair}
    open_pairs = np.ones(len(pool.rows), dtype=bool)
    for index in np.flatnonzero(np.isin(pool.rows, [*used]).all(axis=1)):
        open_pairs[index] = frozenset(pool.rows[index].tolist()) not in asked
    if asked_prompts and asked_prompts[-1] is not None:
        others = open_pairs & (pool.prompts != asked_prompts[-1])
        open_pairs = others if others.any() else open_pairs
    if not open_pairs.any():
        return np.flatnonzero(open_pairs)
    of_prompt = counts[pool.prompts]
    return np.flatnonzero(open_pairs & (of_prompt == of_prompt[open_pairs].min()))
