"""Reward functions for a trainer: one per value, so that the trainer weights them by lambda and logs each of them.

Constraint: no trainer's library is imported; the functions have TRL's signature, which others can call too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from map_core.core.types import Reply
from map_core.errors import InputError

if TYPE_CHECKING:
    from map_core.interface.table import Table
    from map_core.models.language_model import LanguageModel
    from map_core.scoring.base import Scorer

Prompt = str | Sequence[Mapping[str, Any]]
"""A text that the model continues, or a chat up to the reply."""


class RewardFunction:
    """The reward of one value, as a trainer calls it; ``__name__`` is the value's name.

    Made by :func:`reward_functions`.
    """

    def __init__(self, scorer: Scorer, completions: Completions, reads_likelihood: bool) -> None:
        self.__name__ = scorer.name
        self._scorer = scorer
        self._completions = completions
        self._reads_likelihood = reads_likelihood

    def __call__(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[Prompt],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float]:
        """Return the reward of each completion, in reward units.

        Args:
            prompts: (row,) texts, or chats whose last message is the user's.
            completions: (row,) texts, or chats that hold the reply alone.
            completion_ids: (row,) token ids of the completions; needed by values that read log-probabilities.
            columns: further arguments of the trainer, ignored.

        Returns:
            (row,) finite rewards, never None, for which a trainer would leave the value out of that reply's sum.

        Raises:
            InputError: a message without text, or no token ids where they are needed.
            ScorerError: a reply cannot be scored.
        """
        from map_core.scoring import score_checked

        ids = completion_ids if self._reads_likelihood else None
        if self._reads_likelihood and ids is None:
            raise InputError(
                f"{self.__name__} reads log-probabilities and needs completion_ids, the token ids of the "
                "completions, which this trainer does not pass. Leave the value out."
            )
        rewards = [0.0] * len(prompts)
        for prompt, rows, replies in self._completions.by_prompt(prompts, completions, ids):
            for row, reward in zip(rows, score_checked(self._scorer, prompt, replies), strict=True):
                rewards[row] = float(reward)
        return rewards


class Completions:
    """Conversion of a trainer's completions to replies; log-probabilities of the last batch are shared by all values.

    Args:
        model: the base model, by name or folder; it opens when log-probabilities are first needed.
        dtype: "float32" or "bfloat16"; None for the faster one on this machine.
    """

    def __init__(self, model: str, dtype: str | None = None) -> None:
        self._model, self._dtype = model, dtype
        self._last: tuple[str, list[tuple[float, ...]]] | None = None

    def by_prompt(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[Prompt],
        ids: Sequence[Sequence[int]] | None,
    ) -> list[tuple[str, list[int], list[Reply]]]:
        """Group completions by prompt: (text, row indices, replies) for each distinct prompt.

        Args:
            prompts: (row,) texts or chats.
            completions: (row,) texts or chats.
            ids: (row,) token ids if log-probabilities are needed, else None.

        Raises:
            InputError: a message without text.
        """
        chats = [_messages(prompt) for prompt in prompts]
        texts = [_messages(completion)[-1]["content"] for completion in completions]
        groups: dict[str, list[int]] = {}
        for row, chat in enumerate(chats):
            groups.setdefault(json.dumps(chat), []).append(row)
        replies = [Reply(text) for text in texts]
        if ids is not None:
            tokens = [self._without_end(row) for row in ids]
            log_probs = self._log_probs(prompts, list(groups.values()), tokens)
            replies = [
                Reply(text, reply_tokens, row) for text, reply_tokens, row in zip(texts, tokens, log_probs, strict=True)
            ]
        return [(chats[rows[0]][-1]["content"], rows, [replies[row] for row in rows]) for rows in groups.values()]

    @cached_property
    def _base(self) -> LanguageModel:
        from map_core.models.language_model import open_language_model

        return open_language_model(self._model, self._dtype)

    def _without_end(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the tokens of a reply without the end-of-turn token, which tables leave out too."""
        tokens = tuple(map(int, ids))
        return tokens[:-1] if tokens and tokens[-1] in self._base.tokenizer.stop_tokens else tokens

    def _log_probs(
        self, prompts: Sequence[Prompt], groups: list[list[int]], tokens: list[tuple[int, ...]]
    ) -> list[tuple[float, ...]]:
        """Return the log-probabilities of each row's tokens under the base model, given rows grouped by prompt."""
        key = json.dumps([list(prompts), tokens], default=str)
        if self._last is None or self._last[0] != key:
            log_probs: list[tuple[float, ...]] = [()] * len(prompts)
            for rows in groups:
                prompt = prompts[rows[0]]
                if isinstance(prompt, str) and self._base.tokenizer.template:
                    raise InputError(
                        f"The prompt {prompt[:60]!r} is text, and {self._model} has a chat template. Give chats, as in "
                        '{"prompt": [{"role": "user", "content": ...}]}; the table\'s prompts are chats too.'
                    )
                answers = self._base.reply_log_probs(_messages(prompt), [tokens[row] for row in rows])
                for row, answer in zip(rows, answers, strict=True):
                    log_probs[row] = tuple(answer.tolist())
            self._last = key, log_probs
        return self._last[1]


def reward_functions(
    names: Iterable[str],
    *,
    table: Table | None = None,
    values_file: str | Path | None = None,
    model: str | None = None,
    dtype: str | None = None,
) -> list[RewardFunction]:
    """Return one reward function per value for TRL's trainers; lambda goes into ``reward_weights``.

    Each is called as ``function(prompts=, completions=, completion_ids=, ...)`` and returns one reward per completion.
    Its ``__name__`` is the value's name, so that the trainer logs every value separately.

    Args:
        names: the values, in the order of the weights; a mapping of weights is accepted.
        table: its metadata records how values that are not built in are scored, and which model is the base model.
        values_file: defines values of your own, as TOML or JSON; judges, served values and functions must be defined in
            it.
        model: the base model, for values that read log-probabilities: a name from ``value-palette models list`` or a
            folder; None for the table's, or the default one.
        dtype: of that model: "float32" or "bfloat16"; None for the one in which the table's rewards were computed and,
            where that is not recorded, the faster one on this machine.

    Raises:
        InputError: an unknown value, one that is named twice, or a values file that cannot be read.

    Example:
        >>> import map_core as vp
        >>> (diversity,) = vp.reward_functions(["diversity"])
        >>> diversity(prompts=["Why?"] * 2, completions=["Because it rains.", "no no no no"])
        [1.0, 0.16666666666666666]
    """
    from map_core.models.files import recorded_model
    from map_core.models.language_model import DTYPES
    from map_core.models.packaged import DEFAULT_MODEL
    from map_core.scoring import READ_LIKELIHOOD, from_metadata, read_values_file, resolve

    metadata = {} if table is None else table.rewards.metadata
    own = from_metadata(metadata) | ({} if values_file is None else read_values_file(Path(values_file)))
    if model is None:
        recorded = metadata.get("model")
        model = recorded_model({"model": recorded}) if isinstance(recorded, Mapping) else recorded or DEFAULT_MODEL
    if dtype is None:
        recorded_dtype = (metadata.get("engine") or {}).get("dtype")
        dtype = recorded_dtype if recorded_dtype in DTYPES else None
    completions = Completions(str(model), dtype)
    scorers = resolve(list(names), own)
    return [RewardFunction(scorer, completions, scorer.name in READ_LIKELIHOOD) for scorer in scorers]


def _messages(given: Prompt) -> list[dict[str, str]]:
    """Return a prompt or a completion as messages with text.

    Raises:
        InputError: it has no message, or the last one has no text.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages = [{"role": str(message.get("role")), "content": message.get("content")} for message in given]
    for message in messages or [{"content": None}]:
        if not isinstance(message["content"], str):
            raise InputError(f"A message is {message!r}; expected a role and a content that is text.")
    return messages  # type: ignore[return-value]
