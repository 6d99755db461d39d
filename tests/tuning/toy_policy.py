"""A softmax model over all replies of a toy vocabulary, as a model of transformers: every distribution is one of its.

Tokens 0 and 1 are letters, 2 ends a reply, 3 is the prompt. Its hidden state says what is written, one-hot, and its
last layer holds the logits of what follows each beginning, so that any distribution over replies can be put into it.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from map_core.tuning.examples import PromptExamples

END, PROMPT, WORDS = 2, 3, 4
LENGTH = 2
#: (tokens, ended by itself) and how many of 64 base replies say so.
COUNTS = {
    ((), True): 6,
    ((0,), True): 12,
    ((1,), True): 5,
    ((0, 0), False): 8,
    ((0, 1), False): 13,
    ((1, 0), False): 17,
    ((1, 1), False): 3,
}
OUTCOMES = tuple(COUNTS)
BASE = np.array([COUNTS[outcome] for outcome in OUTCOMES]) / sum(COUNTS.values())
#: Rewards of two values, by outcome.
REWARDS = np.array([[0.0, 1.0], [1.0, 0.3], [-0.5, 0.8], [2.0, -0.4], [0.5, 0.1], [1.2, 1.5], [-1.0, 0.0]])
WEIGHTS = np.array([0.8, 0.6])


class ToyConfig(PreTrainedConfig):
    model_type = "value-palette-toy"

    def __init__(self, length: int = LENGTH, **more) -> None:
        self.length = length
        self.hidden_size = 2 ** (length + 1) - 1
        self.num_hidden_layers = 1
        self.vocab_size = WORDS
        super().__init__(
            **({"bos_token_id": None, "eos_token_id": END, "pad_token_id": END, "use_cache": False} | more)
        )


class ToyBody(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **more) -> BaseModelOutput:
        """What is written after the prompt, as a place in a binary tree: (row, position, place), one-hot."""
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

    def forward(self, input_ids, attention_mask=None, logits_to_keep=0, **more) -> CausalLMOutput:
        hidden = self.model(input_ids, attention_mask).last_hidden_state
        return CausalLMOutput(logits=self.lm_head(hidden[:, -logits_to_keep:] if logits_to_keep else hidden))

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **more):
        return {"input_ids": input_ids, "attention_mask": attention_mask, "logits_to_keep": 1}


AutoConfig.register(ToyConfig.model_type, ToyConfig)
AutoModelForCausalLM.register(ToyConfig, ToyPolicy)
transformers.ToyPolicy = ToyPolicy  # where TRL looks for the class of its reference model


def toy_policy(distribution: np.ndarray, folder: Path | None = None) -> ToyPolicy:
    """The model whose replies have this distribution, by outcome; saved where a folder is given."""
    mass = dict(zip(OUTCOMES, distribution, strict=True))
    model = ToyPolicy(ToyConfig())
    with torch.no_grad():
        model.lm_head.weight.fill_(0.0)
        model.lm_head.weight[PROMPT] = -1e4
        for size in range(LENGTH):
            for written in itertools.product(range(2), repeat=size):
                place = 0
                for token in written:
                    place = 2 * place + token + 1
                for token in range(3):
                    new = written if token == END else (*written, token)
                    p = sum(
                        m
                        for (tokens, ended), m in mass.items()
                        if (tokens == new and ended if token == END else tokens[: len(new)] == new)
                    )
                    model.lm_head.weight[token, place] = math.log(p)
    if folder is not None:
        model.save_pretrained(folder)
        model.config._name_or_path = str(folder)
    return model.eval()


def distribution_of(model: ToyPolicy) -> np.ndarray:
    """The distribution over outcomes of a model."""
    log_probs = model.lm_head.weight.detach().double().log_softmax(0).numpy()
    masses = []
    for tokens, ended in OUTCOMES:
        place, total = 0, 0.0
        for token in tokens:
            total += log_probs[token, place]
            place = 2 * place + token + 1
        masses.append(total + (log_probs[END, place] if ended else 0.0))
    return np.exp(masses)


def tilted(gains: np.ndarray) -> np.ndarray:
    """p0 exp(gains) / Z by outcome."""
    mass = BASE * np.exp(gains)
    return mass / mass.sum()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q) in nats."""
    return float((p * np.log(p / q)).sum())


def examples(gains: np.ndarray) -> PromptExamples:
    """The 64 base replies with their gains, by outcome."""
    rows = [row for row, outcome in enumerate(OUTCOMES) for _ in range(COUNTS[outcome])]
    return PromptExamples(
        name="hi",
        prompt="hi",
        tokens=(PROMPT,),
        replies=tuple(OUTCOMES[row][0] for row in rows),
        finished=np.array([OUTCOMES[row][1] for row in rows]),
        gains=gains[rows] - gains[rows].mean(),
        rewards=REWARDS[rows],
    )
