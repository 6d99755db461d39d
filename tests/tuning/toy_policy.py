"""A softmax model over all replies of a toy vocabulary, as a model of transformers: every distribution is one of its.

Tokens 0 and 1 are letters, 2 ends a reply, 3 is the prompt. Its hidden state says what is written, one-hot, and its
last layer holds the logits of what follows each beginning, so that any distribution over replies can be put into it.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from map_core.tuning.examples import PromptExamples

if TYPE_CHECKING:
    from tests.tuning.toy_model import ToyPolicy

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


def toy_policy(distribution: np.ndarray, folder: Path | None = None) -> ToyPolicy:
    """The model whose replies have this distribution, by outcome; saved where a folder is given."""
    import torch

    from tests.tuning.toy_model import ToyConfig, ToyPolicy

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
