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


def judgement_rows(table: RewardTable, kept: Sequence[KeptJudgement]) -> list[PairJudgement]:
    """Return judgements by row of the table; those on replies that it does not have are left out."""
    places = {name: number for number, name in enumerate(table.prompt_ids)}
    found = []
    for one in kept:
        rows = []
        for name, candidate in (one.first, one.second):
            prompt = places.get(name)
            if prompt is not None and 0 <= candidate < table.candidates[prompt]:
                rows.append(int(table.offsets[prompt]) + candidate)
        if len(rows) == 2:
            found.append(PairJudgement(rows[0], rows[1], one.answer))
    return found


def scorer_agreement(table: RewardTable, rewards: np.ndarray, kept: Sequence[KeptJudgement]) -> Agreement | None:
    """Return how well scores agree with judgements; None while no pair was decided."""
    return agreement(rewards, judgement_rows(table, kept))


def basis_sentence(found: Agreement | None) -> str:
    """Return what the word rests on, in one sentence.

    Example:
        >>> basis(Agreement(13, 15, 0, 0.62, 0.96))
        'Puts 13 of 15 judged pairs in the order in which people do, AUC 0.87 (0.62 to 0.96).'
    """
    if found is None:
        return "Not judged yet: nobody knows whether it hears what its name says."
    pairs = f"Puts {amounts.significant(found.agreed)} of {found.decided} judged pairs in the order in which people do"
    few = "" if found.enough else f" A word needs {MIN_PAIRS} of them."
    auc, low, high = (amounts.fixed(end, 2) for end in (found.auc, found.low, found.high))
    return f"{pairs}, AUC {auc} ({low} to {high}).{few}"


def trust_sentence(found: Agreement | None) -> str:
    """Return the word and what it rests on."""
    said = basis_sentence(found)
    if found is None or found.trust_level is None:
        return said
    return f"{found.trust_level.capitalize()}: {said[0].lower()}{said[1:]}"


def advice(found: Agreement) -> str:
    """Return one sentence of advice on the value, given its agreement with people."""
    if found.reversed:
        return "It has it the wrong way round: change the two sides of its definition."
    if found.trust_level is None:
        return f"Judge {MIN_PAIRS - found.decided} more pairs at the least."
    if found.trust_level is TrustLevel.RELIABLE:
        return "Its order is that of people often enough to set targets on."
    if found.trust_level is TrustLevel.ROUGH:
        return "It leans the right way. Averages over many replies can be steered by it, a single reply can be wrong."
    if found.high >= 0.75:
        return "So few judgements do not rule out a coin. Judge more pairs, or change its definition."
    return "It says little of what its name says. Change its definition: several example replies a side often do best."
