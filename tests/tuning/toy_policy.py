"""A softmax policy over all replies of a toy vocabulary, as a model of transformers that can have any distribution.

Tokens 0 and 1 are letters, 2 ends a reply, 3 is the prompt. The hidden state is a one-hot code of the beginning written
so far, and the last layer holds the logits of the next token for each beginning.
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
#: Number of the 64 base replies with each outcome: (tokens, ended by itself).
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
    """Return the model whose replies have this distribution, by outcome; save it where a folder is given."""
    import torch

    from tests.tuning.toy_model import ToyConfig, ToyPolicy

    mass = dict(zip(OUTCOMES, distribution, strict=True))
    model = ToyPolicy(ToyConfig())
    with torch.no_grad():
        model.lm_head.weight.fill_(0.0)
        model.lm_head.weight[PROMPT] = -1e4
        for size in range(LENGTH):
            for beginning in itertools.product(range(2), repeat=size):
                state = 0
                for token in beginning:
                    state = 2 * state + token + 1
                for token in range(3):
                    extended = beginning if token == END else (*beginning, token)
                    p = sum(
                        m
                        for (tokens, ended), m in mass.items()
                        if (tokens == extended and ended if token == END else tokens[: len(extended)] == extended)
                    )
                    model.lm_head.weight[token, state] = math.log(p)
    if folder is not None:
        model.save_pretrained(folder)
        model.config._name_or_path = str(folder)
    return model.eval()


def distribution_of(model: ToyPolicy) -> np.ndarray:
    """Return the distribution over outcomes of a model."""
    log_probs = model.lm_head.weight.detach().double().log_softmax(0).numpy()
    masses = []
    for tokens, ended in OUTCOMES:
        state, total = 0, 0.0
        for token in tokens:
            total += log_probs[token, state]
            state = 2 * state + token + 1
        masses.append(total + (log_probs[END, state] if ended else 0.0))
    return np.exp(masses)


def tilted(gains: np.ndarray) -> np.ndarray:
    """Return p0 exp(gains) / Z by outcome."""
    mass = BASE * np.exp(gains)
    return mass / mass.sum()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Return KL(p || q) in nats."""
    return float((p * np.log(p / q)).sum())


def examples(gains: np.ndarray) -> PromptExamples:
    """Return the 64 base replies with their gains, by outcome."""
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
