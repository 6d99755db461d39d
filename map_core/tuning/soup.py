"""Log-ratios of the base model's replies under tuned adapters, and under soups of them.

A soup's weights are W + sum_i share_i (alpha_i / r_i) B_i A_i, exactly: the adapters side by side, as one of the sum of
their ranks. Constraint: imported only when ratios are computed; torch, transformers and peft load then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.models.files import locate, recorded_model
from map_core.models.language_model import LanguageModel
from map_core.models.quiet import quiet
from map_core.tuning.examples import PromptExamples, check_table, make_examples
from map_core.tuning.policy import Policy


class TunedAdapters:
    """A base model with several adapters, one of them active at a time.

    Args:
        model: the base model.
        folders: of the adapters, by name.
        stops: tokens that end a turn.
        temperature: of the table.
    """

    def __init__(self, model: Any, folders: Mapping[str, Path], stops: Sequence[int], temperature: float) -> None:
        from peft import PeftModel

        #: Names in peft, which may not contain a point.
        self._peft_names = {name: f"adapter {place}" for place, name in enumerate(folders)}
        (first, folder), *others = folders.items()
        adapted = PeftModel.from_pretrained(model, str(folder), adapter_name=self._peft_names[first])
        for name, folder in others:
            adapted.load_adapter(str(folder), adapter_name=self._peft_names[name])
        self._policy = Policy(adapted.eval(), None, tuple(sorted(stops)), temperature)

    def add_soup(self, name: str, shares: Mapping[str, float]) -> None:
        """Add the soup with these shares by the name of the adapter, each above 0."""
        self._peft_names[name] = f"adapter {len(self._peft_names)}"
        adapters = [self._peft_names[adapter] for adapter in shares]
        with quiet():  # peft warns that merging a tied output layer would change the embeddings; nothing is merged
            self._policy.model.add_weighted_adapter(
                adapters, list(shares.values()), self._peft_names[name], combination_type="cat"
            )

    def log_ratios(
        self, name: str, examples: Sequence[PromptExamples], replies: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the id of each prompt and (reply,) log q - log p0 of its first replies."""
        self._policy.model.set_adapter(self._peft_names[name])
        for example in examples:
            yield example.name, self._policy.log_ratios(example, range(min(replies, len(example.replies))))


def open_adapters(
    table: RewardTable, folders: Mapping[str, Path], prompts: Sequence[str]
) -> tuple[TunedAdapters, list[PromptExamples]]:
    """Open adapters on the model that wrote a table's replies, and read its replies to some prompts.

    Args:
        table: with token ids.
        folders: of the adapters, by name.
        prompts: ids of prompts.

    Raises:
        InputError: the table has no token ids.
        MissingModelError: the model is not on this machine.
    """
    check_table(table)
    opened = LanguageModel(locate(recorded_model(table.metadata)), dtype="float32")
    numbers = [table.prompt_ids.index(prompt_id) for prompt_id in prompts]
    examples = make_examples(table, np.zeros(len(table.values)), opened.tokenizer, numbers)
    temperature = SamplingSettings.from_metadata(table.metadata).temperature
    with quiet():
        adapters = TunedAdapters(opened.model, folders, sorted(opened.tokenizer.stop_tokens), temperature)
    return adapters, examples
