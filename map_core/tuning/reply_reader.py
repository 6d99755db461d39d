"""Reading replies with the base model: hidden states, what the drawn words say of the output layer, and scores.

Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from map_core.scoring import Scorer
from map_core.tuning.beginnings import ScoredBeginnings, score_beginnings
from map_core.tuning.examples import PromptExamples
from map_core.tuning.policy import END, PADDING, Policy, ReplyBatch

REPLIES_PER_PASS = 8
#: Tokens whose logits are held at once.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class ReadPrompt:
    """What is known of the replies to a prompt; actions of all replies one after the other.

    Args:
        shifts: (action, hidden) u.
        states: (action, hidden) h before each.
        scored: the replies with the scores of their beginnings.
    """

    shifts: np.ndarray
    states: np.ndarray
    scored: list[ScoredBeginnings]


class ReplyReader:
    """Reads replies with the base model.

    Args:
        policy: whose base model reads.
        scorers: (value,) of beginnings; None for a value that is not scored before the end.
        decode: returns the text of tokens.
        every: tokens from one scored beginning to the next.
        replies: of a prompt, at most.
        bfloat16: multiply in bfloat16.
    """

    def __init__(
        self,
        policy: Policy,
        scorers: Sequence[Scorer | None],
        decode: Callable[[Sequence[int]], str],
        every: int,
        replies: int,
        bfloat16: bool,
    ) -> None:
        self._policy, self._scorers, self._decode = policy, scorers, decode
        self._every, self._replies, self._bfloat16 = every, replies, bfloat16
        weight = policy.output_weight().detach()
        self._weight = weight.to(torch.bfloat16) if bfloat16 else weight

    def read(self, example: PromptExamples, most: int | None = None) -> ReadPrompt:
        """Read the replies to a prompt, of similar length together, which limits padding.

        Args:
            example: the prompt.
            most: replies at most, where fewer than all are enough.
        """
        count = min(self._replies, len(example.replies), most or self._replies)
        rows = sorted(range(count), key=lambda row: len(example.replies[row]))
        shifts, states, log_probs = [], [], []
        for first in range(0, len(rows), REPLIES_PER_PASS):
            batch = ReplyBatch.of(example, rows[first : first + REPLIES_PER_PASS])
            with torch.autocast(self._policy.device.type, torch.bfloat16, enabled=self._bfloat16):
                hidden = self._policy.base_hidden(batch)
            for state, targets in zip(hidden, batch.targets.to(hidden.device), strict=True):
                is_token = targets != PADDING
                shift, known = word_shifts(
                    state[is_token], self._weight, targets[is_token], self._policy.stops, self._policy.temperature
                )
                shifts.append(shift.cpu().numpy())
                states.append(state[is_token].cpu().numpy())
                log_probs.append(known[targets[is_token] != END].cpu().numpy())
        scored = score_beginnings(
            self._scorers,
            example.prompt,
            [example.replies[row] for row in rows],
            log_probs,
            example.rewards[rows],
            example.finished[rows],
            self._decode,
            self._every,
        )
        return ReadPrompt(np.concatenate(shifts), np.concatenate(states), scored)


@torch.no_grad()
def word_shifts(
    states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, stops: Sequence[int], temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return u = (W_a - E_p0 W) / T of what was drawn, (token, hidden), and its log-probability at temperature 1.

    Args:
        states: (token, hidden) last hidden states before each token.
        weight: (word, hidden) W.
        targets: (token,) what was drawn, or :data:`map_core.tuning.policy.END`, any token that ends a turn.
        stops: tokens that end a turn.
        temperature: T of the table.
    """
    shifts, known = [], []
    ends = list(stops)
    for first in range(0, len(states), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        logits = (states[chunk].to(weight.dtype) @ weight.T).float()
        probabilities = (logits / temperature).softmax(-1)
        drawn = weight[targets[chunk].clamp(min=0)].float()
        ended = targets[chunk] == END
        drawn[ended] = (logits[ended][:, ends] / temperature).softmax(-1) @ weight[ends].float()
        shifts.append((drawn - (probabilities.to(weight.dtype) @ weight).float()) / temperature)
        known.append(logits.log_softmax(-1).gather(-1, targets[chunk].clamp(min=0)[:, None])[:, 0])
    return torch.cat(shifts), torch.cat(known)
