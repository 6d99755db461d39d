"""What the judgements that are kept say of a value's scorer on a table, and in which words.

Constraint: judgements are kept by prompt and candidate and not by row, so they are looked up in the table anew.
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
    """Return both replies as judgements name them."""
    first, second = (_reply(table, row) for row in (question.first, question.second))
    return first, second


def _reply(table: RewardTable, row: int) -> ReplyId:
    prompt = table.prompt_of(row)
    return table.prompt_ids[prompt], table.candidate_of(row)


def judgement_rows(table: RewardTable, judgements: Sequence[KeptJudgement]) -> list[PairJudgement]:
    """Return judgements by row of the table; those on replies that it does not have are left out."""
    places = {name: number for number, name in enumerate(table.prompt_ids)}
    table_rows = []
    for judgement in judgements:
        rows = []
        for name, candidate in (judgement.first, judgement.second):
            prompt = places.get(name)
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
    """Return how well a version of a value agrees with whoever judged; None while nothing is known.

    A version that was trained on judgements rests on its cross-validated figure until it has enough of its own.
    """
    judged = scorer_agreement(table, rewards, judgements)
    evidence = None if definition.head is None else definition.head.evidence
    if evidence is None or evidence.judged != "pairs" or (judged is not None and judged.enough):
        return judged
    shown = evidence.overall
    return Agreement(shown.head * shown.pairs, shown.pairs, 0, shown.low, shown.high, cross_validated=True)


def training_pairs(database: Database, table: RewardTable, value: StoredValue) -> list[tuple[int, int]]:
    """Return the decided pairs of all versions of a value with the newest one's words, by row, the one with more first.

    A pair that was judged twice counts as it was judged last.
    """
    words = value.definition.words.key
    kept = [
        judgement
        for version in value.versions
        if version.definition.words.key == words
        for judgement in kept_judgements(database, table, value.id, version.number)
    ]
    decided: dict[frozenset[int], tuple[int, int]] = {}
    for judgement in judgement_rows(table, sorted(kept, key=lambda judgement: (judgement.when, judgement.id))):
        pair = frozenset((judgement.first, judgement.second))
        decided.pop(pair, None)
        if judgement.answer is not PairAnswer.NEITHER:
            more_first = judgement.answer is PairAnswer.FIRST
            decided[pair] = (judgement.first, judgement.second) if more_first else (judgement.second, judgement.first)
    return list(decided.values())


def basis_sentence(measured: Agreement | None, numbers: bool = True) -> str:
    """Return what the word rests on, in one sentence.

    Args:
        measured: on judged pairs; None while no pair was decided.
        numbers: as an AUC; else as times in 100.

    Example:
        >>> basis_sentence(Agreement(13, 15, 0, 0.62, 0.96))
        'Puts 13 of 15 judged pairs in the order in which people do, AUC 0.87 (0.62 to 0.96).'
    """
    if measured is None:
        return "Not judged yet: nobody knows whether it hears what its name says."
    pairs = f"Puts {amounts.significant(measured.agreed)} of {amounts.counted(measured.decided, 'judged pair')} "
    pairs += "in the order in which people do"
    few = "" if measured.enough else f" A verdict on it needs {MIN_PAIRS} of them."
    if measured.cross_validated:
        few += f" They are those that it was trained on, each put in order without its prompt; judge {MIN_PAIRS} new "
        few += "pairs to test it on others."
    scale, digits = (1, 2) if numbers else (100, 0)
    auc, low, high = (amounts.fixed(scale * end, digits) for end in (measured.auc, measured.low, measured.high))
    figure = f"AUC {auc}" if numbers else f"{auc} times in 100"
    return f"{pairs}, {figure} ({low} to {high}).{few}"


def trust_sentence(measured: Agreement | None, numbers: bool = True) -> str:
    """Return the word and what it rests on."""
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
