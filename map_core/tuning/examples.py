"""A table and weights as what a trainer reads: each prompt's tokens, its replies and their lambda . r.

Constraint: numpy only; the tokenizer is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from map_core.core import remedies
from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError
from map_core.palettes.column_names import reply_columns

if TYPE_CHECKING:
    from map_core.models.chat_template import ChatTokenizer


@dataclass(frozen=True, eq=False)
class PromptExamples:
    """One prompt and the base model's replies to it.

    Args:
        name: the prompt's id, for messages.
        prompt: what the person asks.
        tokens: what the model reads before the reply.
        replies: (reply,) token ids, without the end of the turn.
        finished: (reply,) bool, ended by itself and not at the length limit.
        gains: (reply,) lambda . r in nats, less its mean over the prompt's replies.
        rewards: (reply, value) in reward units.
    """

    name: str
    prompt: str
    tokens: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]
    finished: np.ndarray
    gains: np.ndarray
    rewards: np.ndarray


def check_table(table: RewardTable) -> None:
    """Refuse a table that no model can be tuned on offline.

    Raises:
        InputError: no token ids, no recorded length limit, or one reply a prompt.
    """
    if not table.tokens or not any(table.tokens):
        raise InputError(
            "The table has no token ids, so its replies cannot be held against the model's probabilities. "
            f"{remedies.BUILD_AGAIN}, or {remedies.PRACTISE}."
        )
    sampling = table.metadata.get("sampling")
    longest = sampling.get("max_new_tokens") if isinstance(sampling, Mapping) else None
    if not isinstance(longest, int):
        raise InputError(
            "The table does not record how long its replies could be (sampling.max_new_tokens), so nobody can tell "
            "which of them ended by themselves. Build it again."
        )
    if (most := max(map(len, table.tokens))) > longest:
        raise InputError(
            f"The table records replies of at most {longest} tokens and holds one of {most}; its settings are of other "
            "replies. Build it again."
        )
    if np.all(table.candidates[table.counted] < 2):  # held-out prompts are not tuned on
        raise InputError(
            "Every prompt of the table has one reply; to tune, replies to the same prompt are compared. Build a table "
            f"with at least 2 candidates a prompt{remedies.MORE_CANDIDATES}."
        )


def with_weighted_columns(table: RewardTable, names: Iterable[str]) -> RewardTable:
    """Return the table with the shares and tails that weights name, such as ``kindness>=0.25``, as further values.

    Raises:
        InputError: a threshold that is no number in reward units, or a cohort.
    """
    columns = reply_columns((name for name in names if name not in table.values), table.values)
    return table.with_columns(tuple(columns.values())) if columns else table


def lambda_by_value(table: RewardTable, weights: Mapping[str, float]) -> np.ndarray:
    """Return lambda as (value,) in the table's order, 1 / reward.

    Raises:
        InputError: an unknown value, no weight above 0, or one that is not finite.
    """
    lam = np.zeros(len(table.values))
    for name, weight in weights.items():
        lam[table.index(name)] = weight
    if not np.isfinite(lam).all():
        raise InputError(f"A weight is not finite: {dict(weights)}.")
    if not lam.any():
        raise InputError("Every weight is 0: the base model meets the palette as it is, and there is nothing to tune.")
    return lam


def prompt_counts(table: RewardTable, examples: Sequence[PromptExamples]) -> np.ndarray | None:
    """Return how often each prompt counts, (prompt,); None where all count alike.

    Args:
        table: whose prompts may have weights.
        examples: of some of its prompts.
    """
    if table.prompt_weights is None:
        return None
    by_name = dict(zip(table.prompt_ids, table.prompt_weights.tolist(), strict=True))
    counts = np.array([by_name[example.name] for example in examples])
    return counts if np.ptp(counts) else None


def make_examples(
    table: RewardTable, lam: np.ndarray, tokenizer: ChatTokenizer, prompts: Sequence[int] | None = None
) -> list[PromptExamples]:
    """Return the examples of some prompts of a table; prompts with one reply are left out.

    Args:
        table: one that :func:`check_table` lets through.
        lam: (value,) lambda.
        tokenizer: of the model that wrote the replies.
        prompts: numbers of prompts; None for all.

    Raises:
        InputError: a token id that the model does not have.
    """
    longest = SamplingSettings.from_metadata(table.metadata).max_new_tokens
    size = tokenizer.vocabulary_size
    system = table.metadata.get("system")
    examples = []
    for number in range(len(table.prompts)) if prompts is None else prompts:
        rows = table.rows(number)
        replies = table.tokens[rows]
        if len(replies) < 2:
            continue
        if any(not 0 <= token < size for reply in replies for token in reply):
            raise InputError(
                f"A reply to {table.prompt_ids[number]!r} holds a token id outside 0 to {size - 1}; it is of another "
                "model. Name the one that wrote the table's replies."
            )
        rewards = table.rewards[rows]
        # Centred first, so that rewards of 1e6 are as exact as rewards of 1.
        gains = (rewards - rewards.mean(axis=0)) @ lam
        request = DrawRequest(table.prompts[number], system=None if system is None else str(system))
        examples.append(
            PromptExamples(
                name=table.prompt_ids[number],
                prompt=table.prompts[number],
                tokens=tuple(tokenizer.render(request.messages)),
                replies=replies,
                finished=np.array([len(reply) < longest for reply in replies]),
                gains=gains - gains.mean(),
                rewards=rewards,
            )
        )
    return examples
