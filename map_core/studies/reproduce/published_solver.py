"""The published solver, reimplemented: 150 Adam steps on the logarithms of the weights, in float32 and reward units.

    minimise over tau   log mean exp(lambda . r) - lambda . c,   lambda = exp(tau),   from tau = 0, learning rate 0.1

It stops after its last step, converged or not, and counts a run as solved unless a weight became infinite or NaN. That
happens when a mean of exponentials leaves the range of float32 in any step, which depends on the units and the zero of
the rewards as much as on the targets. Here the steps are computed by log-sum-exp, and the range is checked separately:
within it the weights are the published ones; outside they are what the same steps give without overflow. Palettes are
solved in batches. Constraint: torch is imported when the solver is called.

Source: Wang et al., ICLR 2025 (arXiv 2410.19198), and the behaviour of the code published with it, none of which is
used here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form

STEPS = 150
LEARNING_RATE = 0.1
#: Logarithms of the largest and of the smallest positive float32: beyond them exp overflows to infinity or 0.
LARGEST_LOG, SMALLEST_LOG = math.log(3.4028234663852886e38), math.log(1.401298464324817e-45)
#: Most palettes times replies of one batch.
BATCH_NUMBERS = 300_000


@dataclass(frozen=True, eq=False)
class PublishedSolution:
    """Results of the published solver.

    Args:
        weights: (row, value) lambda after the last step, in nats per reward; 0 for free values.
        solved: (row,) bool, the published success flag: no overflow in any step.
    """

    weights: np.ndarray
    solved: np.ndarray


def published_solver(
    rewards: np.ndarray,
    offsets: np.ndarray,
    targets: np.ndarray,
    *,
    form: Form = Form.POOLED,
    prompt_weights: np.ndarray | None = None,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> PublishedSolution:
    """Run the published solver on many palettes.

    Args:
        rewards: (reply, value) in reward units, ordered by prompt.
        offsets: (prompt + 1,) where each prompt's replies begin.
        targets: (row, value) c in reward units, NaN for a free value.
        form: pooled, as published, or per prompt: the same steps on the dual of that form.
        prompt_weights: (prompt,) above 0; equal by default, as published.
        steps: Adam steps, at least 1; the last one is computed but not applied, as published.
        learning_rate: learning rate of Adam.

    Returns:
        Weights and success flags, one row per palette.
    """
    import torch

    counts = np.diff(offsets) if form is Form.PER_PROMPT else np.array([len(rewards)])
    groups, longest = len(counts), int(counts.max())
    present = np.arange(longest) < counts[:, None]
    padded = np.zeros((groups, longest, rewards.shape[1]), dtype=np.float32)
    padded[present] = rewards
    table = torch.from_numpy(padded.reshape(groups * longest, -1))
    # Padded entries have log weight -inf, so that they add 0 to every sum. In the pooled form the log weight of a
    # reply is that of its prompt.
    log_copies, group_mass = np.zeros(present.shape, dtype=np.float32), None
    if prompt_weights is not None:
        relative = np.asarray(prompt_weights, dtype=np.float64) / np.mean(prompt_weights)
        if form is Form.PER_PROMPT:
            group_mass = torch.from_numpy((relative / groups).astype(np.float32)[:, None])
        else:
            log_copies[present] = np.repeat(np.log(relative), np.diff(offsets))
    padding_mask = torch.from_numpy(np.where(present, log_copies, np.float32(-np.inf)))

    def run(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        targeted = torch.from_numpy(~np.isnan(c))
        target = torch.from_numpy(np.nan_to_num(c).astype(np.float32))
        tau = torch.zeros_like(target)
        adam = torch.optim.Adam([tau], lr=learning_rate)
        solved = torch.ones(len(c), dtype=torch.bool)
        for step in range(steps):
            weights = torch.where(targeted, tau.exp(), 0.0)
            if step == steps - 1:
                break
            logits = (weights @ table.T).reshape(len(c), groups, longest) + padding_mask
            largest = logits.amax(dim=2)
            share = logits.sub_(largest[..., None]).exp_()
            total = share.sum(dim=2)
            solved &= ((largest + total.log() <= LARGEST_LOG) & (largest >= SMALLEST_LOG)).all(dim=1)
            if group_mass is None:
                share.div_(groups * total[..., None])
            else:
                share.mul_(group_mass / total[..., None])
            gradient = share.reshape(len(c), -1) @ table - target
            tau.grad = torch.where(targeted, gradient * weights, 0.0)
            adam.step()
        return weights.numpy().astype(np.float64), solved.numpy()

    targets = np.atleast_2d(np.asarray(targets, dtype=float))
    batch_size = max(1, BATCH_NUMBERS // (groups * longest))
    with torch.no_grad():
        parts = [run(targets[first : first + batch_size]) for first in range(0, len(targets), batch_size)]
    weights, solved = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PublishedSolution(weights, solved & np.isfinite(weights).all(axis=1))
