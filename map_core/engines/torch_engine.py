"""The engine on transformers and torch: any model, GPU or CPU, all candidates in one batch.

The prompt's KV cache is computed once and repeated for the candidates; then each step of a loop draws one token per
candidate. The cache of a finished call is kept for the next one, which may continue its replies (block by block). Each
candidate has its own stream of uniform numbers, drawn in advance, and takes the token at which the cumulative
probability exceeds the step's number. Constraint: imported only when this engine is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from map_core.core.types import SamplingSettings
from map_core.engines.base import EngineInfo, LocalEngine, SampledToken
from map_core.models.files import ModelFiles
from map_core.models.language_model import LanguageModel, repeated_cache

# Ended candidates are removed from the batch when they exceed this share of it: moving the cache costs about a step.
_DROP_SHARE = 0.125
_NUCLEUS = 1024  # number of words that are sorted first for top-p


class TorchEngine(LocalEngine):
    """A base model in transformers.

    Args:
        files: the model.
        dtype: "float32" or "bfloat16"; None for the default of the device, see :class:`LanguageModel`.
        device: "cpu", "cuda" or "auto"; None for the default of the machine, see :class:`LanguageModel`.

    Raises:
        InputError: an unknown dtype or device.
        EngineError: the files cannot be loaded.
    """

    def __init__(self, files: ModelFiles, dtype: str | None = None, device: str | None = None) -> None:
        self._model = LanguageModel(files, dtype, device)
        super().__init__(files, self._model.tokenizer, self._model.context_length)
        self._last_call: _LastCall | None = None
        self._info = EngineInfo(
            "torch", files.name, files.sha256, self._model.dtype, self._model.device, self.tokenizer.preamble()
        )

    @property
    def info(self) -> EngineInfo:
        """Which model and library draw the replies."""
        return self._info

    def _score(self, prompt: list[int], replies: list[list[int]]) -> list[np.ndarray]:
        return self._model.log_probs_after(prompt, replies)

    def _logits_of(self, prompt: list[int], replies: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
        return self._model.logits_after(prompt, replies)

    def _decode(
        self, prompt: list[int], beginnings: list[list[int]], settings: SamplingSettings, seeds: list[int]
    ) -> Iterator[list[SampledToken]]:
        uniform = np.stack([np.random.default_rng(seed).random(settings.max_new_tokens) for seed in seeds])
        stops = self.tokenizer.stop_tokens
        device = self._model.device
        alive = list(range(len(seeds)))  # the candidate in each row of the batch; -1 once it has ended
        written = [list(beginning) for beginning in beginnings]
        last_call, self._last_call = self._last_call, None
        cache: Any = None
        tokens = torch.zeros(0)
        for position in range(settings.max_new_tokens):
            # Inference mode is left before each yield, since it would otherwise apply to the caller's torch code.
            with torch.inference_mode():
                if cache is None:
                    cache, logits = self._begin(prompt, beginnings, last_call)
                    last_call = None
                else:
                    unfinished = [row for row, candidate in enumerate(alive) if candidate >= 0]
                    if len(alive) - len(unfinished) > _DROP_SHARE * len(alive):
                        # Indices in CPU memory work for layers on any GPU.
                        cache.batch_select_indices(torch.tensor(unfinished))
                        tokens = tokens[unfinished]
                        alive = [alive[row] for row in unfinished]
                    logits = self._logits(tokens[:, None], cache)
                step_uniform = torch.from_numpy(uniform[[max(candidate, 0) for candidate in alive], position]).to(
                    device
                )
                tokens, log_probs = draw(logits, settings, step_uniform)
            step = []
            last = position + 1 == settings.max_new_tokens
            for row, (token, log_prob) in enumerate(zip(tokens.tolist(), log_probs.tolist(), strict=True)):
                if (candidate := alive[row]) >= 0:
                    finished = token in stops
                    step.append(SampledToken(candidate, token, log_prob, last or finished, finished))
                    written[candidate].append(token)
                    if finished:
                        alive[row] = -1
            yield step
            if max(alive) < 0:
                return
        ends = {tuple(written[candidate]): row for row, candidate in enumerate(alive) if candidate >= 0}
        self._last_call = _LastCall(tuple(prompt), ends, cache)

    def _begin(
        self, prompt: list[int], beginnings: list[list[int]], last_call: _LastCall | None
    ) -> tuple[Any, torch.Tensor]:
        """Return a cache with one row per beginning, and the logits (row, word) of the token after each."""
        if not beginnings[0]:
            prefix, logits = self._model.prefill(prompt)
            return repeated_cache(prefix, len(beginnings)), logits.expand(len(beginnings), -1)
        ends = last_call.ends if last_call and last_call.prompt == tuple(prompt) else {}
        rows = [ends.get(tuple(beginning)) for beginning in beginnings]
        if last_call and None not in rows:
            last_call.cache.batch_select_indices(torch.tensor(rows))
            last = torch.tensor([[beginning[-1]] for beginning in beginnings], device=self._model.device)
            return last_call.cache, self._logits(last, last_call.cache)
        cache = repeated_cache(self._model.prefill(prompt)[0], len(beginnings))
        return cache, self._logits(torch.tensor(beginnings, device=self._model.device), cache)

    def _logits(self, tokens: torch.Tensor, cache: Any) -> torch.Tensor:
        """Return float32 logits (row, word) after tokens (row, position), and add these tokens to the cache."""
        output = self._model.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float()


@dataclass(frozen=True)
class _LastCall:
    """The cache of the last call, with the tokens and the row of each reply that has not ended.

    The cache contains all tokens of a reply except the last.
    """

    prompt: tuple[int, ...]
    ends: dict[tuple[int, ...], int]
    cache: Any


def draw(logits: torch.Tensor, settings: SamplingSettings, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token per row: temperature, then top-k, then top-p, then the inverse of the cumulative probabilities.

    Args:
        logits: (row, word) float32.
        settings: sampling settings.
        uniform: (row,) float64 numbers in [0, 1).

    Returns:
        Token ids (row,) and their float64 log-probabilities under the model itself (temperature 1, no truncation).

    Source: Holtzman et al., The Curious Case of Neural Text Degeneration, ICLR 2020 (top-p)
    """
    scaled = logits / settings.temperature
    size = scaled.shape[-1]
    words: torch.Tensor | None = None
    if 0 < settings.top_k < size:
        values, words = scaled.topk(settings.top_k, dim=-1)  # sorted, the likeliest first
        probabilities = torch.softmax(values, dim=-1, dtype=torch.float64)
    else:
        probabilities = torch.softmax(scaled, dim=-1, dtype=torch.float64)
        if settings.top_p < 1.0:
            # Sorting all words takes as long as the model itself; usually the likeliest thousand suffice.
            likeliest, words = probabilities.topk(min(_NUCLEUS, size), dim=-1)
            if likeliest.sum(dim=-1).min() < settings.top_p:
                likeliest, words = probabilities.sort(dim=-1, descending=True, stable=True)
            probabilities = likeliest
    if settings.top_p < 1.0:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= settings.top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    # Strictly above the target, so that a word of probability zero is never drawn, not even at u = 0.
    target = (uniform * cumulative[:, -1])[:, None].contiguous()
    index = torch.searchsorted(cumulative, target, right=True).clamp(max=cumulative.shape[-1] - 1)
    chosen = index if words is None else words.gather(-1, index)
    log_probs = logits.gather(-1, chosen)[:, 0].double() - torch.logsumexp(logits, dim=-1).double()
    return chosen[:, 0], log_probs
