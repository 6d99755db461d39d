"""Measure the agreement of a value's scorer with stored judgements on a table, and word it.

Constraint: judgements are stored by prompt and candidate, not by row, so their rows are looked up in the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.custom_values.score_cache import replies_key
from map_core.data.reward_table import RewardTable
from map_core.scoring import Definition
from map_core.scoring.pairwise import (
    MIN_PAIRS,
    Agreement,
    PairAnswer,
    PairJudgement,
    PairQuestion,
    TrustLevel,
    judgement_agreement,
)
from map_core.store import Database, custom_values
from map_core.store.custom_values import KeptJudgement, ReplyId, StoredValue


def kept_judgements(database: Database, table: RewardTable, id: int, version: int) -> tuple[KeptJudgement, ...]:
    """Return the judgements of a version of a value on a table's replies."""
    return custom_values.judgements(database, id, version, replies_key(table))


def replies_of(table: RewardTable, question: PairQuestion) -> tuple[ReplyId, ReplyId]:
    """Return the ids of both replies of a question, as judgements store them."""
    first, second = (_reply(table, row) for row in (question.first, question.second))
    return first, second


def _reply(table: RewardTable, row: int) -> ReplyId:
    prompt = table.prompt_of(row)
    return table.prompt_ids[prompt], table.candidate_of(row)


def judgement_rows(table: RewardTable, judgements: Sequence[KeptJudgement]) -> list[PairJudgement]:
    """Return judgements with rows of the table; those on replies that the table lacks are left out."""
    prompt_indices = {name: index for index, name in enumerate(table.prompt_ids)}
    table_rows = []
    for judgement in judgements:
        rows = []
        for name, candidate in (judgement.first, judgement.second):
            prompt = prompt_indices.get(name)
            if prompt is not None and (row := table.row_of(prompt, candidate)) is not None:
                rows.append(row)
        if len(rows) == 2:
            table_rows.append(PairJudgement(rows[0], rows[1], judgement.answer))
    return table_rows


def scorer_agreement(table: RewardTable, rewards: np.ndarray, judgements: Sequence[KeptJudgement]) -> Agreement | None:
    """Return how well scores agree with judgements; None while no pair was decided."""
    return judgement_agreement(rewards, judgement_rows(table, judgements))


def value_agreement(
    table: RewardTable, rewards: np.ndarray, judgements: Sequence[KeptJudgement], definition: Definition
) -> Agreement | None:
    """Return how well a version of a value agrees with the judgements; None while there are none.

    For a version that was trained on judgements it is the cross-validated agreement, until there are enough judgements
    of the version itself.
    """
    judged = scorer_agreement(table, rewards, judgements)
    evidence = None if definition.head is None else definition.head.evidence
    if evidence is None or evidence.judged != "pairs" or (judged is not None and judged.enough):
        return judged
    overall = evidence.overall
    return Agreement(overall.head * overall.pairs, overall.pairs, 0, overall.low, overall.high, cross_validated=True)


def training_pairs(database: Database, table: RewardTable, value: StoredValue) -> list[tuple[int, int]]:
    """Return the decided pairs, by row and the reply with more first, of all versions with the newest version's words.

    If a pair was judged twice, the last judgement counts.
    """
    words = value.definition.words.key
    judgements = [
        judgement
        for version in value.versions
        if version.definition.words.key == words
        for judgement in kept_judgements(database, table, value.id, version.number)
    ]
    decided: dict[frozenset[int], tuple[int, int]] = {}
    for judgement in judgement_rows(table, sorted(judgements, key=lambda judgement: (judgement.when, judgement.id))):
        pair = frozenset((judgement.first, judgement.second))
        decided.pop(pair, None)
        if judgement.answer is not PairAnswer.NEITHER:
            more_first = judgement.answer is PairAnswer.FIRST
            decided[pair] = (judgement.first, judgement.second) if more_first else (judgement.second, judgement.first)
    return list(decided.values())


def basis_sentence(measured: Agreement | None, numbers: bool = True) -> str:
    """Return a sentence about the evidence for a scorer's trust level.

    Args:
        measured: the agreement on judged pairs; None while no pair was decided.
        numbers: whether to give it as an AUC; else as times in 100.

    Example:
        >>> basis_sentence(Agreement(13, 15, 0, 0.62, 0.96))
        'Puts 13 of 15 judged pairs in the order in which people do, AUC 0.87 (0.62 to 0.96).'
    """
    if measured is None:
        return "Not judged yet: nobody knows whether it hears what its name says."
    pairs = f"Puts {amounts.significant(measured.agreed)} of {amounts.counted(measured.decided, 'judged pair')} "
    pairs += "in the order in which people do"
    caveats = "" if measured.enough else f" A verdict on it needs {MIN_PAIRS} of them."
    if measured.cross_validated:
        caveats += (
            f" They are those that it was trained on, each put in order without its prompt; judge {MIN_PAIRS} new "
        )
        caveats += "pairs to test it on others."
    scale, digits = (1, 2) if numbers else (100, 0)
    auc, low, high = (amounts.fixed(scale * end, digits) for end in (measured.auc, measured.low, measured.high))
    figure = f"AUC {auc}" if numbers else f"{auc} times in 100"
    return f"{pairs}, {figure} ({low} to {high}).{caveats}"


def trust_sentence(measured: Agreement | None, numbers: bool = True) -> str:
    """Return the trust level and its evidence in one sentence."""
    basis = basis_sentence(measured, numbers)
    if measured is None or measured.trust_level is None:
        return basis
    return f"{measured.trust_level.capitalize()}: {basis[0].lower()}{basis[1:]}"


def advice(measured: Agreement) -> str:
    """Return one sentence of advice on the value, given its agreement with people."""
    if measured.reversed:
        return "It has it the wrong way round: swap the two sides of its definition."
    if measured.trust_level is None:
        return f"Judge at least {amounts.counted(MIN_PAIRS - measured.decided, 'more pair')}."
    if measured.trust_level is TrustLevel.RELIABLE:
        return "It agrees with people often enough to set targets on it."
    if measured.trust_level is TrustLevel.ROUGH:
        return "It leans the right way. Averages over many replies can be steered by it, a single reply can be wrong."
    if measured.high >= 0.75:
        return "So few judgements do not rule out a coin. Judge more pairs, or change its definition."
    return "It says little of what its name says. Change its definition: several examples on each side often work best."
