"""Training on the table's replies by token-level advantages: distillation with less noise.

With V(s) = E_p0[exp(lambda . r) | s] for a beginning s of a reply, the tilt's next word is p0(a|s) V(sa) / V(s). For a
prompt, with y drawn from p0, the loss is

    E sum_t [ KL(p0(.|s_t) || q(.|s_t)) - A_t log q(a_t|s_t) / p0(a_t|s_t) ],   A_t = V(s_t a_t) / V(s_t) - 1.

Since E[log q/p0 | s] = -KL(p0 || q), the bracket is the cross-entropy of q to the tilt's next word, up to a constant:
its optimum is the tilt, and at q = p0 its gradient has only the noise of A_t, where that of -sum_k w_k log q(y_k) has
the noise of every token's gradient as well. The divergence is summed over the whole vocabulary. V is fitted
(:mod:`map_core.tuning.token_values`); by a trace, A_t may look further ahead than one token. With trace 1,
exp(lambda . r) stands in for V(s_t a_t), and the optimum is the tilt for any V > 0: the bracket is then the
cross-entropy times V(s_t) over its estimate. Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from map_core.core import remedies
from map_core.errors import InputError
from map_core.tuning.examples import PromptExamples
from map_core.tuning.offline import OfflineTrainer, Schedule, prompt_arguments
from map_core.tuning.policy import END, PADDING, Policy, ReplyBatch
from map_core.tuning.settings import TuningSettings
from map_core.tuning.token_values import TokenValueFit, TokenValues, Trajectory, advantages
from map_core.tuning.vocabulary import LogNormalizer

#: Replies in a pass without gradients.
_REPLIES_PER_PASS = 8


def token_terms(
    change: torch.Tensor,
    base: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    stops: Sequence[int],
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log q - log p0 of what was drawn and KL(p0 || q) over all words, each (token,).

    Args:
        change: (token, hidden) the tuned model's last hidden states less the base model's.
        base: (token, hidden) the base model's.
        weight: (word, hidden) output layer of both.
        targets: (token,) what was drawn, or :data:`map_core.tuning.policy.END`.
        stops: tokens that end a turn.
        temperature: of the table.
    """
    constants, base_mean = LogNormalizer.apply(change, base, weight, temperature)
    divergences = constants - (base_mean * change).sum(-1) / temperature
    shifts = (weight[targets.clamp(min=0)].float() * change).sum(-1) / temperature
    (ends,) = torch.nonzero(targets == END, as_tuple=True)
    if len(ends):
        words = weight[list(stops)].float()
        before = base[ends].float() @ words.T / temperature
        after = before + change[ends] @ words.T / temperature
        shifts = shifts.index_put((ends,), after.logsumexp(-1) - before.logsumexp(-1))
    return shifts - constants, divergences


def trajectories(examples: PromptExamples, rows: Sequence[int], hidden: torch.Tensor) -> list[Trajectory]:
    """Return replies with the base model's hidden states (reply, step, hidden)."""
    states = hidden.float().cpu().numpy()
    return [
        Trajectory(
            examples.name,
            states[place, : len(examples.replies[row]) + 1],
            bool(examples.finished[row]),
            float(examples.gains[row]),
        )
        for place, row in enumerate(rows)
    ]


def fit_values(
    policy: Policy,
    examples: Sequence[PromptExamples],
    settings: TuningSettings,
    limit: int,
    report: Callable[[int], None] = lambda done: None,
    **more: Any,
) -> TokenValues:
    """Fit the values of beginnings of replies to the table's replies.

    Args:
        policy: whose base model reads them.
        examples: the prompts to tune on.
        settings: of the tuning.
        limit: most tokens of a reply.
        report: called with the number of prompts that are done.
        more: further arguments of :class:`map_core.tuning.token_values.TokenValueFit`.
    """
    fit = TokenValueFit([example.name for example in examples], limit, settings.seed, **more)
    for number, example in enumerate(examples):
        # Replies of similar length share a pass, which limits padding.
        rows = sorted(range(min(settings.value_replies, len(example.replies))), key=lambda k: len(example.replies[k]))
        of_prompt = []
        for first in range(0, len(rows), _REPLIES_PER_PASS):
            chosen = rows[first : first + _REPLIES_PER_PASS]
            with torch.autocast(policy.device.type, torch.bfloat16, enabled=settings.bfloat16):
                hidden = policy.base_hidden(ReplyBatch.of(example, chosen))
            of_prompt += trajectories(example, chosen, hidden)
        fit.add(of_prompt)
        report(number + 1)
    return fit.solve()


class AdvantageTrainer(OfflineTrainer):
    """transformers' trainer with the loss of this module."""

    def __init__(
        self, policy: Policy, settings: TuningSettings, schedule: Schedule, values: TokenValues, **more: Any
    ) -> None:
        super().__init__(policy, settings, schedule, **more)
        self._values, self._trace = values, settings.trace
        weight = policy.output_weight().detach()
        self._weight = weight.to(torch.bfloat16) if settings.bfloat16 else weight

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Compute the loss of one prompt.

        Raises:
            InputError: it is not finite; the message names the prompt.
        """
        examples, rows = inputs["examples"], inputs["rows"]
        batch = ReplyBatch.of(examples, rows)
        with self.compute_loss_context_manager():
            base = self._policy.base_hidden(batch)
            change = self._policy.hidden(model, batch) - base
        targets = batch.targets.to(base.device)
        gained = torch.zeros(targets.shape)
        for place, trajectory in enumerate(trajectories(examples, rows, base)):
            log_values = self._values.log_values(trajectory)
            gained[place, : len(log_values) - 1] = torch.from_numpy(
                advantages(log_values, trajectory.gain, self._trace)
            )
        mask = targets != PADDING
        ratios, divergences = token_terms(
            change[mask], base[mask], self._weight, targets[mask], self._policy.stops, self._policy.temperature
        )
        loss = (divergences - gained.to(base.device)[mask] * ratios).sum() / len(rows)
        return self.checked(loss, examples)


def advantage_trainer(
    policy: Policy,
    examples: Sequence[PromptExamples],
    settings: TuningSettings,
    values: TokenValues,
    folder: Path,
    weights: np.ndarray | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **more: Any,
) -> AdvantageTrainer:
    """Return a trainer that is ready to run.

    Args:
        policy: what is tuned.
        examples: the prompts to tune on.
        settings: with this method.
        values: of :func:`fit_values`.
        folder: of checkpoints.
        weights: (prompt,) how often each prompt counts; None for all alike.
        callbacks: of transformers.
        more: further training arguments.
    """
    arguments = prompt_arguments(settings, folder, **more)
    schedule = Schedule(examples, settings, weights)
    return AdvantageTrainer(policy, settings, schedule, values, args=arguments, callbacks=list(callbacks))


def check_output_layer(policy: Policy, examples: PromptExamples) -> None:
    """Refuse a model whose logits are not its last hidden states times its output layer.

    Raises:
        InputError: they are something else, such as capped.
    """
    batch = ReplyBatch.of(examples, [0])
    model = policy.model
    with torch.no_grad():
        product = policy.hidden(model, batch)[0, :2] @ policy.output_weight().float().T
        logits = model(
            input_ids=batch.input_ids.to(product.device), logits_to_keep=batch.targets.shape[1], use_cache=False
        ).logits[0, -batch.targets.shape[1] :][:2]
    if not torch.allclose(product, logits.float(), atol=1e-2, rtol=1e-2):
        raise InputError(
            "This method needs logits that are the last hidden states times the output layer; this model "
            f"changes them; {remedies.OTHER_METHOD}."
        )
