"""A change of the output layer that is solved at once: one natural-gradient step from the base model.

With h the base model's last hidden state before a token, W its output layer and T the temperature, the models

    log q(a|s) = log p0(a|s) + W_a M h / T - log Z_s(M)

are an exponential family in the matrix M, with M = 0 the base model. To second order there, the loss of
:mod:`map_core.tuning.advantage` is

    <M, F(M)> / 2 - <G, M>,   G = sum_t A_t u_t h_t^T,   F(M) = sum_t u_t u_t^T M h_t h_t^T,   u_t = (W_a - E_p0 W) / T,

over the tokens a of the table's replies, A_t their advantages. A palette takes some thousandths of a nat a token, so
that terms beyond the second count for little. F is replaced by the Kronecker product of the mean second moments of u
and of h (K-FAC); then M is G in the eigenbases of the two, each entry divided by the product of its eigenvalues plus a
penalty. G is linear in lambda: sums by value, read once, solve every palette. The penalty is the one whose log-ratios
have the largest correlation with lambda . r on folds of prompts that are left out, and M is scaled to the divergence
that is asked for. How far a matrix moves the model is not judged by the product but on a sample of tokens, by the mean
of (u^T M h)^2: the product is good enough for a direction, and off by a factor of several for its length.
Constraint: numpy only.

Source: Martens and Grosse, Optimizing neural networks with Kronecker-factored approximate curvature, ICML 2015
(arXiv 1503.05671); Kakade, A natural policy gradient, NeurIPS 2001.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from map_core.core import remedies
from map_core.errors import InputError

#: Tokens of each prompt that the sample keeps.
SAMPLED = 128
#: Folds of prompts, and penalties that are tried, in products of the mean eigenvalues.
FOLDS, PENALTIES = 4, tuple(float(penalty) for penalty in np.geomspace(1e-3, 100.0, 11))


@dataclass(frozen=True, eq=False)
class OutputSums:
    """Sums over the table's replies, by fold of prompts; each prompt counts by its weight.

    Args:
        gradients: (fold, value, hidden, hidden) of A_t u_t h_t^T, A_t in reward units.
        words: (fold, hidden, hidden) of u_t u_t^T.
        states: (fold, hidden, hidden) of h_t h_t^T.
        tokens: (fold,) of 1, so that the means of the two can be taken.
        replies: (fold,) of 1.
        rewards: (fold, value, value) of the products of the rewards, less their mean over the prompt's replies.
        sample: (row, 2, hidden) u and h of some tokens of each prompt, float16.
        sample_folds: (row,) fold of each.
        sample_weights: (row,) tokens that each stands for.
    """

    gradients: np.ndarray
    words: np.ndarray
    states: np.ndarray
    tokens: np.ndarray
    replies: np.ndarray
    rewards: np.ndarray
    sample: np.ndarray
    sample_folds: np.ndarray
    sample_weights: np.ndarray

    @classmethod
    def empty(cls, values: int, hidden: int, folds: int = FOLDS) -> OutputSums:
        """Return sums of nothing."""
        square = (folds, hidden, hidden)
        return cls(
            np.zeros((folds, values, hidden, hidden), dtype=np.float32),
            np.zeros(square),
            np.zeros(square),
            np.zeros(folds),
            np.zeros(folds),
            np.zeros((folds, values, values)),
            np.zeros((0, 2, hidden), dtype=np.float16),
            np.zeros(0, dtype=np.int64),
            np.zeros(0),
        )

    def add(
        self,
        fold: int,
        shifts: np.ndarray,
        states: np.ndarray,
        advantages: np.ndarray,
        rewards: np.ndarray,
        weight: float = 1.0,
    ) -> OutputSums:
        """Return the sums with the replies to one more prompt; all but the sample are changed in place.

        Args:
            fold: of the prompt.
            shifts: (token, hidden) u of all replies, one after the other; float32.
            states: (token, hidden) h before each token; float32.
            advantages: (token, value) in reward units; float32.
            rewards: (reply, value) less their mean.
            weight: how often the prompt counts.
        """
        for value in range(advantages.shape[1]):
            self.gradients[fold, value] += weight * ((shifts * advantages[:, value : value + 1]).T @ states)
        self.words[fold] += weight * (shifts.T @ shifts)
        self.states[fold] += weight * (states.T @ states)
        self.tokens[fold] += weight * len(shifts)
        self.replies[fold] += weight * len(rewards)
        self.rewards[fold] += weight * (rewards.T @ rewards)
        rows = np.unique(np.linspace(0, len(shifts) - 1, SAMPLED).astype(int))
        kept = np.stack([shifts[rows], states[rows]], axis=1).astype(np.float16)
        return replace(
            self,
            sample=np.concatenate([self.sample, kept]),
            sample_folds=np.append(self.sample_folds, np.full(len(rows), fold)),
            sample_weights=np.append(self.sample_weights, np.full(len(rows), weight * len(shifts) / len(rows))),
        )

    def moved(self, matrix: np.ndarray, fold: int | None = None) -> float:
        """Return the sum of (u^T M h)^2 over the tokens, of one fold or of all; twice the divergence of their replies.

        Args:
            matrix: (hidden, hidden) M.
            fold: None for all.
        """
        chosen = slice(None) if fold is None else self.sample_folds == fold
        shifts, states = np.moveaxis(self.sample[chosen].astype(np.float32), 1, 0)
        ratios = ((shifts @ matrix.astype(np.float32)) * states).sum(axis=1, dtype=np.float64)
        return float(self.sample_weights[chosen] @ ratios**2)

    def save(self, file: IO[bytes]) -> None:
        """Write the sums to a file of numpy."""
        np.savez(file, **vars(self))

    @classmethod
    def load(cls, file: Path | IO[bytes]) -> OutputSums:
        """Read what :meth:`save` wrote."""
        with np.load(file) as read:
            return cls(*(read[name] for name in cls.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class OutputChange:
    """A solved change of the output layer.

    Args:
        matrix: (hidden, hidden) M.
        penalty: in products of the mean eigenvalues.
        correlation: of the log-ratios with lambda . r within prompts, on folds of prompts that were left out; at so
            many nats as lambda itself takes it is about the share of the way.
        nats: expected divergence from the base model, to second order.
    """

    matrix: np.ndarray
    penalty: float
    correlation: float
    nats: float


def solve(sums: OutputSums, lam: np.ndarray, nats: float, penalties: Sequence[float] = PENALTIES) -> OutputChange:
    """Solve the change of the output layer for lambda.

    Args:
        sums: over the replies.
        lam: (value,) lambda, 1 / reward.
        nats: divergence from the base model that it is scaled to.
        penalties: that are tried.

    Raises:
        InputError: there are no replies, or no penalty gains anything on prompts left out.
    """
    tokens, replies = float(sums.tokens.sum()), float(sums.replies.sum())
    if not replies:
        raise InputError("There are no replies to solve the output layer on.")
    word_scale, word_basis = np.linalg.eigh(sums.words.sum(axis=0) / tokens)
    state_scale, state_basis = np.linalg.eigh(sums.states.sum(axis=0) / tokens)
    curvature = np.outer(np.maximum(word_scale, 0.0), np.maximum(state_scale, 0.0))
    unit = float(curvature.mean())
    gradients = np.einsum("fvij,v->fij", sums.gradients, lam, dtype=np.float64)
    gradients = word_basis.T @ gradients @ state_basis
    variance = float(np.einsum("fij,i,j->", sums.rewards, lam, lam))  # summed over replies
    best: tuple[float, float] | None = None
    used = [fold for fold in range(len(sums.tokens)) if sums.tokens[fold]]
    for penalty in penalties:
        gained = spent = 0.0
        for fold in used:
            others = gradients.sum(axis=0) - gradients[fold] if len(used) > 1 else gradients[fold]
            left = tokens - sums.tokens[fold] if len(used) > 1 else tokens
            change = others / left / (curvature + penalty * unit)
            gained += float((gradients[fold] * change).sum())
            spent += sums.moved(word_basis @ change @ state_basis.T, fold)
        correlation = gained / math.sqrt(max(spent * variance, 1e-300))
        if best is None or correlation > best[0]:
            best = (correlation, penalty)
    assert best is not None, "some penalties are tried"
    correlation, penalty = best
    if correlation <= 0:
        raise InputError(
            "Nothing that the replies teach about this palette holds on prompts that were left out, so the output "
            f"layer cannot be solved. Build a table with more prompts and replies, or {remedies.OTHER_METHOD}."
        )
    change = gradients.sum(axis=0) / tokens / (curvature + penalty * unit)
    matrix = word_basis @ change @ state_basis.T
    # A reply's divergence: half the variance of its log-ratio, summed over its tokens.
    own = 0.5 * sums.moved(matrix) / replies
    return OutputChange(matrix * math.sqrt(nats / own), penalty, correlation, nats)


def low_rank(sums: OutputSums, matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return left (hidden, rank) and right (rank, hidden) whose product is nearest to a matrix in its divergence.

    Source: Eckart and Young, The approximation of one matrix by another of lower rank, Psychometrika 1936, in the
    metric of F.
    """
    tokens = float(sums.tokens.sum())
    roots = []
    for moment in (sums.words.sum(axis=0) / tokens, sums.states.sum(axis=0) / tokens):
        scale, basis = np.linalg.eigh(moment)
        root = np.sqrt(np.maximum(scale, 1e-9 * scale.max()))
        roots.append((basis * root @ basis.T, basis / root @ basis.T))
    (word_root, word_inverse), (state_root, state_inverse) = roots
    left, scale, right = np.linalg.svd(word_root @ matrix @ state_root)
    kept = np.sqrt(scale[:rank])
    return word_inverse @ left[:, :rank] * kept, (kept[:, None] * right[:rank]) @ state_inverse
