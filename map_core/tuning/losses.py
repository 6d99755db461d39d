"""The offline losses of one prompt's replies; each has its optimum at the tilt p0 exp(lambda . r) / Z.

Notation: s_k = log p(y_k) under the model, s0_k the same under the base model, g_k = lambda . r_k in nats, all of one
prompt; u_k = s_k - s0_k - g_k, which is the constant -log Z at the tilt. Only differences of g within a prompt enter,
so a constant added to a value changes nothing. Constraint: torch is imported by callers with tensors; no model here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from map_core.tuning.settings import TuningMethod

if TYPE_CHECKING:
    from torch import Tensor

OfflineLoss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""A loss of (log_probs, base_log_probs, gains), each (reply,) in nats."""


def distillation(log_probs: Tensor, base_log_probs: Tensor, gains: Tensor) -> Tensor:
    """Compute the cross-entropy -sum_k w_k s_k with w = softmax_k(g).

    Over replies drawn from p0 this is the forward divergence KL(tilt || p) up to a constant.
    """
    return -(gains.softmax(0) * log_probs).sum()


def pair_regression(log_probs: Tensor, base_log_probs: Tensor, gains: Tensor) -> Tensor:
    """Compute the mean over all pairs of ((s_a - s0_a) - (s_b - s0_b) - (g_a - g_b))^2, which is 2 var_k(u_k).

    Source: Gao et al., REBEL, NeurIPS 2024 (arXiv 2404.16767), equation 1 with eta = 1.
    """
    return 2.0 * (log_probs - base_log_probs - gains).var()


def soft_preferences(log_probs: Tensor, base_log_probs: Tensor, gains: Tensor) -> Tensor:
    """Compute the cross-entropy of sigma(h_a - h_b) with the labels sigma(g_a - g_b), the mean over all pairs.

    h = s - s0, that is beta = 1.

    Source: Rafailov et al., Direct preference optimization, NeurIPS 2023 (arXiv 2305.18290), equation 7, with the
    Bradley-Terry probability in place of a label.
    """
    import torch

    first, second = torch.triu_indices(len(gains), len(gains), offset=1)
    ratios = log_probs - base_log_probs
    labels = (gains[first] - gains[second]).sigmoid()
    return torch.nn.functional.binary_cross_entropy_with_logits(ratios[first] - ratios[second], labels)


def loss_of_base(method: TuningMethod, gains: Sequence[np.ndarray]) -> float | None:
    """Return what a loss is where nothing is tuned, q = p0; None for one that only compares models.

    Args:
        method: the route.
        gains: (reply,) lambda . r in nats, a prompt.
    """
    if method is TuningMethod.PAIRS:
        return float(np.mean([2.0 * np.var(row, ddof=1) for row in gains]))
    if method is TuningMethod.ADVANTAGE:
        return 0.0
    return math.log(2.0) if method is TuningMethod.DPO else None


#: Losses that read the base model's log-probabilities, a third of the work of a step.
READ_BASE = frozenset({TuningMethod.PAIRS, TuningMethod.DPO})

LOSSES: dict[TuningMethod, OfflineLoss] = {
    TuningMethod.DISTILL: distillation,
    TuningMethod.PAIRS: pair_regression,
    TuningMethod.DPO: soft_preferences,
}
