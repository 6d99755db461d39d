"""Log-probabilities of whole replies under a model at the table's temperature, with gradients.

A reply is its tokens and how it ended: where it ended by itself, the probability of the end is that of all tokens that
end a turn together, which is what the engines draw. Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from map_core.core import remedies
from map_core.errors import InputError
from map_core.tuning.examples import PromptExamples

#: Entries of :attr:`ReplyBatch.targets` that are no tokens.
END, PADDING = -1, -2
#: Tokens of replies in a pass without gradients: their logits over 50,000 words take 400 MB.
_TOKENS_PER_PASS = 2048


@dataclass(frozen=True, eq=False)
class ReplyBatch:
    """Replies to one prompt as tensors.

    Args:
        input_ids: (reply, position) the prompt and the reply, padded at the end, where causal attention keeps the
            padding from what comes before.
        targets: (reply, step) the token drawn at each step, :data:`END` for the end of the turn, then :data:`PADDING`.
    """

    input_ids: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, examples: PromptExamples, rows: Sequence[int]) -> ReplyBatch:
        """Return the batch of some replies, by number."""
        longest = max(len(examples.replies[row]) for row in rows)
        start = len(examples.tokens)
        input_ids = torch.zeros(len(rows), start + longest, dtype=torch.long)
        targets = torch.full((len(rows), longest + 1), PADDING, dtype=torch.long)
        input_ids[:, :start] = torch.tensor(examples.tokens)
        for place, row in enumerate(rows):
            reply = torch.tensor(examples.replies[row], dtype=torch.long)
            input_ids[place, start : start + len(reply)] = reply
            targets[place, : len(reply)] = reply
            if examples.finished[row]:
                targets[place, len(reply)] = END
        return cls(input_ids, targets)


@dataclass(frozen=True, eq=False)
class Policy:
    """A model that is tuned, and the base model that it started from.

    Args:
        model: a causal language model, with a LoRA adapter or without.
        reference: the base model where all weights are tuned; None where switching the adapter off gives it.
        stops: tokens that end a turn.
        temperature: of the table.
        output: the output layer alone is tuned.
    """

    model: Any
    reference: Any
    stops: tuple[int, ...]
    temperature: float
    output: bool = False

    @classmethod
    def of(
        cls,
        model: Any,
        stops: Sequence[int],
        temperature: float,
        rank: int,
        seed: int = 0,
        blocks: int = 0,
        output: bool = False,
    ) -> Policy:
        """Make a policy of a base model: with LoRA matrices of a rank, or for rank 0 with all weights free.

        Args:
            model: the base model.
            stops: tokens that end a turn.
            temperature: of the table.
            rank: of the matrices.
            seed: of the matrices.
            blocks: last blocks of the model that get matrices; 0 for all.
            output: the output layer gets the matrices and nothing else does.
        """
        from trl.trainer.utils import disable_dropout_in_model

        disable_dropout_in_model(model)  # p0 has none
        if rank == 0:
            reference = copy.deepcopy(model).eval().requires_grad_(False)
            return cls(model, reference, tuple(sorted(stops)), temperature)
        from peft import LoraConfig, get_peft_model

        layers: str | list[str] = "all-linear"
        if output:
            layers = _output_layer(model)
        elif blocks:
            layers = _linear_layers(model, blocks)
        config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=layers,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted = get_peft_model(model, config)
        return cls(adapted, None, tuple(sorted(stops)), temperature, output)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(next(self.model.parameters()).device)

    def log_probs(self, model: Any, batch: ReplyBatch) -> torch.Tensor:
        """Return (reply,) log p(reply | prompt) at the temperature over the whole vocabulary, float32."""
        device = next(model.parameters()).device
        input_ids, targets = batch.input_ids.to(device), batch.targets.to(device)
        steps = targets.shape[1]
        logits = model(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            logits_to_keep=steps,
            use_cache=False,
        ).logits[:, -steps:]
        return self._log_probs_of(logits, targets)

    def _log_probs_of(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = logits.float() / self.temperature
        ends = logits[..., list(self.stops)].logsumexp(-1)
        drawn = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        scores = torch.where(targets == END, ends, drawn) - logits.logsumexp(-1)
        return scores.masked_fill(targets == PADDING, 0.0).sum(-1)

    def hidden(self, model: Any, batch: ReplyBatch) -> torch.Tensor:
        """Return (reply, step, hidden), the last hidden states before each token and after the last, float32."""
        device = next(model.parameters()).device
        input_ids = batch.input_ids.to(device)
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        states = inner.get_decoder()(
            input_ids=input_ids, attention_mask=torch.ones_like(input_ids), use_cache=False
        ).last_hidden_state
        return states[:, -batch.targets.shape[1] :].float()

    def base_hidden(self, batch: ReplyBatch) -> torch.Tensor:
        """Return (reply, step, hidden) the same of the base model, without a gradient."""
        with torch.no_grad():
            if self.reference is not None:
                return self.hidden(self.reference, batch)
            with self.model.disable_adapter():
                return self.hidden(self.model, batch)

    def output_weight(self) -> torch.Tensor:
        """Return the output layer (word, hidden), which no adapter changes.

        Raises:
            InputError: all weights are tuned, or the layer adds something to the product.
        """
        model = self.model if self.reference is not None else self.model.get_base_model()
        layer = model.get_output_embeddings()
        weight = layer.weight
        if weight.requires_grad or getattr(layer, "bias", None) is not None:
            raise InputError(
                f"This method needs an output layer that stays as it is, without a bias. {remedies.LEAVE_FULL_OUT}"
            )
        return weight

    def base_log_probs(self, batch: ReplyBatch) -> torch.Tensor:
        """Return (reply,) the same under the base model, without a gradient."""
        with torch.no_grad():
            if self.reference is not None:
                return self.log_probs(self.reference, batch)
            with self.model.disable_adapter():
                return self.log_probs(self.model, batch)

    def log_ratios(self, examples: PromptExamples, rows: Sequence[int] | None = None) -> np.ndarray:
        """Return (reply,) log p - log p0 of a prompt's replies, float64, without a gradient."""
        chosen = list(range(len(examples.replies))) if rows is None else list(rows)
        size = max(1, _TOKENS_PER_PASS // (1 + max(len(examples.replies[row]) for row in chosen)))
        parts = []
        with torch.no_grad(), _evaluating(self.model):
            for first in range(0, len(chosen), size):
                batch = ReplyBatch.of(examples, chosen[first : first + size])
                parts.append(self._log_ratios_of(batch).double().cpu().numpy())
        return np.concatenate(parts)

    def _log_ratios_of(self, batch: ReplyBatch) -> torch.Tensor:
        if not self.output:
            return self.log_probs(self.model, batch) - self.base_log_probs(batch)
        # All that comes before the output layer is that of the base model, and read once.
        hidden, targets = self.base_hidden(batch), batch.targets.to(self.device)
        layer = self.model.get_base_model().get_output_embeddings()
        base = self._log_probs_of(layer.get_base_layer()(hidden), targets)
        return self._log_probs_of(layer(hidden), targets) - base


def _output_layer(model: Any) -> list[str]:
    """Return the name of the output layer."""
    layer = model.get_output_embeddings()
    return [name for name, part in model.named_modules() if part is layer]


def _linear_layers(model: Any, blocks: int) -> list[str]:
    """Return the names of the linear layers of a model's last blocks.

    Raises:
        InputError: it does not have as many blocks, or none can be found.
    """
    count = int(model.config.num_hidden_layers)
    lists = {
        name for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList) and len(part) == count
    }
    first = count - blocks
    names = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear)
        and any(name.startswith(f"{at}.") and int(name[len(at) + 1 :].split(".")[0]) >= first for at in lists)
    ]
    if first < 0 or not names:
        raise InputError(f"The model has {count} blocks; {blocks} cannot be tuned. Leave --blocks out to tune all.")
    return names


@contextlib.contextmanager
def _evaluating(model: Any) -> Any:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
