"""What the judgements that are kept say of a value's scorer on a table, and in which words.

Constraint: judgements are kept by prompt and candidate and not by row, so they are looked up in the table anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.custom_values.score_cache import replies_key
from map_core.data.reward_table import RewardTable
from map_core.scoring.pairwise import MIN_PAIRS, Agreement, PairJudgement, PairQuestion, TrustLevel, agreement
from map_core.store import Database, custom_values
from map_core.store.custom_values import KeptJudgement, ReplyId


def kept_judgements(database: Database, table: RewardTable, id: int, version: int) -> tuple[KeptJudgement, ...]:
    """Return the judgements of a version of a value on a table's replies."""
    return custom_values.judgements(database, id, version, replies_key(table))


def replies_of(table: RewardTable, question: PairQuestion) -> tuple[ReplyId, ReplyId]:
    """Return both replies as judgements name them."""
    first, second = (_reply(table, row) for row in (question.first, question.second))
    return first, second


def _reply(table: RewardTable, row: int) -> ReplyId:
    prompt = table.prompt_of(row)
    return table.prompt_ids[prompt], row - int(table.offsets[prompt])


def judgement_rows(table: RewardTable, judgements: Sequence[KeptJudgement]) -> list[PairJudgement]:
    """Return judgements by row of the table; those on replies that it does not have are left out."""
    places = {name: number for number, name in enumerate(table.prompt_ids)}
    table_rows = []
    for judgement in judgements:
        rows = []
        for name, candidate in (judgement.first, judgement.second):
            prompt = places.get(name)
            if prompt is not None and 0 <= candidate < table.candidates[prompt]:
                rows.append(int(table.offsets[prompt]) + candidate)
        if len(rows) == 2:
            table_rows.append(PairJudgement(rows[0], rows[1], judgement.answer))
    return table_rows


def scorer_agreement(table: RewardTable, rewards: np.ndarray, judgements: Sequence[KeptJudgement]) -> Agreement | None:
    """Return how well scores agree with judgements; None while no pair was decided."""
    return agreement(rewards, judgement_rows(table, judgements))


def basis_sentence(measured: Agreement | None) -> str:
    """Return what the word rests on, in one sentence.

    Example:
        >>> basis(Agreement(13, 15, 0, 0.62, 0.96))
        'Puts 13 of 15 judged pairs in the order in which people do, AUC 0.87 (0.62 to 0.96).'
    """
    if measured is None:
        return "Not judged yet: nobody knows whether it hears what its name says."
    pairs = f"Puts {amounts.significant(measured.agreed)} of {measured.decided} judged pairs "
    pairs += "in the order in which people do"
    few = "" if measured.enough else f" A word needs {MIN_PAIRS} of them."
    auc, low, high = (amounts.fixed(end, 2) for end in (measured.auc, measured.low, measured.high))
    return f"{pairs}, AUC {auc} ({low} to {high}).{few}"


def trust_sentence(measured: Agreement | None) -> str:
    """Return the word and what it rests on."""
    basis = basis_sentence(measured)
    if measured is None or measured.trust_level is None:
        return basis
    return f"{measured.trust_level.capitalize()}: {basis[0].lower()}{basis[1:]}"


def advice(measured: Agreement) -> str:
    """Return one sentence of advice on the value, given its agreement with people."""
    if measured.reversed:
        return "It has it the wrong way round: change the two sides of its definition."
    if measured.trust_level is None:
        return f"Judge {MIN_PAIRS - measured.decided} more pairs at the least."
    if measured.trust_level is TrustLevel.RELIABLE:
        return "Its order is that of people often enough to set targets on."
    if measured.trust_level is TrustLevel.ROUGH:
        return "It leans the right way. Averages over many replies can be steered by it, a single reply can be wrong."
    if measured.high >= 0.75:
        return "So few judgements do not rule out a coin. Judge more pairs, or change its definition."
    return "It says little of what its name says. Change its definition: several example replies a side often do best."
