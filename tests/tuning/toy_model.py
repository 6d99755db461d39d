"""The toy of :mod:`tests.tuning.toy_policy` as a model of transformers, which only this module imports."""

from __future__ import annotations

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from tests.tuning.toy_policy import END, LENGTH, PROMPT, WORDS


class ToyConfig(PreTrainedConfig):
    model_type = "value-palette-toy"

    def __init__(self, length: int = LENGTH, **options) -> None:
        self.length = length
        self.hidden_size = 2 ** (length + 1) - 1
        self.num_hidden_layers = 1
        self.vocab_size = WORDS
        super().__init__(
            **({"bos_token_id": None, "eos_token_id": END, "pad_token_id": END, "use_cache": False} | options)
        )


class ToyBody(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **options) -> BaseModelOutput:
        """Return the beginning written after the prompt as a node of a binary tree, one-hot: (row, position, node)."""
        state = torch.zeros(len(input_ids), dtype=torch.long)
        states = []
        for position in range(input_ids.shape[1]):
            token = input_ids[:, position]
            state = torch.where(token == PROMPT, 0, 2 * state + token.clamp(max=1) + 1)
            state = state.clamp(max=self.config.hidden_size - 1)
            states.append(state)
        one_hot = torch.nn.functional.one_hot(torch.stack(states, 1), self.config.hidden_size).float()
        return BaseModelOutput(last_hidden_state=one_hot)


class ToyPolicy(PreTrainedModel, GenerationMixin):
    config_class = ToyConfig
    base_model_prefix = "model"

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.model = ToyBody(config)
        self.lm_head = nn.Linear(config.hidden_size, WORDS, bias=False)
        self.post_init()

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids, attention_mask=None, logits_to_keep=0, **options) -> CausalLMOutput:
        hidden = self.model(input_ids, attention_mask).last_hidden_state
        return CausalLMOutput(logits=self.lm_head(hidden[:, -logits_to_keep:] if logits_to_keep else hidden))

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **options):
        return {"input_ids": input_ids, "attention_mask": attention_mask, "logits_to_keep": 1}


class TabularBody(nn.Module):
    """A body whose hidden state is the logits of the next token and the node of the beginning, one-hot."""

    def __init__(self, states_of: nn.Module, table: torch.Tensor) -> None:
        super().__init__()
        self.states_of, self.table = states_of, nn.Parameter(table)

    def forward(self, input_ids, attention_mask=None, **options):
        output = self.states_of(input_ids)
        one_hot = output.last_hidden_state
        output.last_hidden_state = torch.cat([one_hot @ self.table, one_hot], -1)
        return output


class TabularPolicy(ToyPolicy):
    """The toy with its distribution in its body, below an output layer that is not trained."""

    def get_decoder(self):
        return self.model


AutoConfig.register(ToyConfig.model_type, ToyConfig)
AutoModelForCausalLM.register(ToyConfig, ToyPolicy)
transformers.ToyPolicy = ToyPolicy  # TRL looks up the class of its reference model there
