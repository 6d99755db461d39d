"""Sums over the vocabulary of two models that share an output layer, without keeping their logits.

With x0 and x the last hidden states of the base model and of the tuned one before the word y, W the output layer and T
the temperature, d = x - x0 is all that the tuned model changes:

    log q(a) - log p0(a) = W_a d / T - c,    c = log E_p0 exp(W d / T),    KL(p0 || q) = c - (E_p0 W) d / T.

Computed from d, both are exact to rounding of d and not of the logits: in bfloat16 a logit of 20
is rounded by up to 0.06, which is more than a palette changes it by. Logits are held for a chunk of tokens at a time.
Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

from typing import Any

import torch

#: Tokens whose logits are held at once: 25 MB each in float32 over 50,000 words.
_CHUNK = 128


class LogNormalizer(torch.autograd.Function):
    """c = log E_p0 exp(W d / T) by token, and E_p0 W; the gradient of c is (E_q W) / T."""

    @staticmethod
    def forward(
        ctx: Any, change: torch.Tensor, base: torch.Tensor, weight: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return c (token,) and E_p0 W (token, hidden), both float32.

        Args:
            ctx: of autograd.
            change: (token, hidden) d.
            base: (token, hidden) x0.
            weight: (word, hidden) W.
            temperature: T.
        """
        constants, base_means, means = [], [], []
        scale = 1.0 / temperature
        for first in range(0, len(change), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            probabilities = (base[chunk].to(weight.dtype) @ weight.T).float().mul_(scale).softmax(-1)
            shifts = (change[chunk].to(weight.dtype) @ weight.T).float().mul_(scale)
            top = shifts.amax(-1, keepdim=True)
            tilted = shifts.sub_(top).exp_().mul_(probabilities)
            total = tilted.sum(-1, keepdim=True)
            constants.append((total.log() + top)[:, 0])
            base_means.append((probabilities.to(weight.dtype) @ weight).float())
            means.append((tilted.div_(total).to(weight.dtype) @ weight).float())
        ctx.save_for_backward(torch.cat(means).mul_(scale))
        base_mean = torch.cat(base_means)
        ctx.mark_non_differentiable(base_mean)
        return torch.cat(constants), base_mean

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradient with respect to d."""
        (means,) = ctx.saved_tensors
        return gradient[:, None] * means, None, None, None
