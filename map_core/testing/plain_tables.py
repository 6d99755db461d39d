"""Tables for the laws of an oracle, with their moments by the definition, prompt by prompt.

``CASES`` are tables by name, ``WEIGHTED`` those whose prompts count differently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from map_core.core.types import Form


@dataclass(frozen=True, eq=False)
class PlainTable:
    """A reward table with the definitions written out, slow and readable.

    Args:
        rewards: (reply, value), ordered by prompt.
        offsets: (prompt + 1,) where each prompt's replies begin.
        form: per prompt or pooled.
        weights: (prompt,) how much each prompt counts; None where all count alike.
    """

    rewards: np.ndarray
    offsets: np.ndarray
    form: Form
    weights: np.ndarray | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the values, one a column of `rewards`."""
        return tuple(f"value{j}" for j in range(self.rewards.shape[1]))

    @property
    def counts(self) -> np.ndarray:
        """Number of replies of each prompt, (prompt,)."""
        return np.diff(self.offsets)

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return len(self.offsets) - 1

    @cached_property
    def counted(self) -> np.ndarray:
        """Weight of each prompt, (prompt,), 1 on average."""
        return np.ones(self.prompts) if self.weights is None else self.weights / self.weights.mean()

    @property
    def carried(self) -> float:
        """Kish's effective number of prompts, as a share of all prompts."""
        return float(self.counted.sum() ** 2 / (self.counted @ self.counted) / self.prompts)

    def size(self, copies: np.ndarray) -> np.ndarray:
        """Return the number of prompts, or of replies when pooled, (batch,), at multiplicities (batch, prompt)."""
        often = copies * self.counted
        return (often.sum(axis=1) if self.form is Form.PER_PROMPT else often @ self.counts) * self.carried

    @cached_property
    def one_level(self) -> np.ndarray:
        """Whether every reply that counts has the same reward, (value,) bool."""
        return np.ptp(self.rewards[np.repeat(self.counted > 0, self.counts)], axis=0) == 0

    @cached_property
    def share(self) -> np.ndarray:
        """Probability of each reply under the base model, (reply,)."""
        return self.shares(np.ones(self.prompts))

    def shares(self, copies: np.ndarray) -> np.ndarray:
        """Return the base probability of each reply, (reply,), at multiplicities (prompt,) times the weights."""
        copies = copies * self.counted
        if self.form is Form.POOLED:
            of_reply = np.repeat(copies, self.counts)
        else:
            of_reply = np.repeat(copies / self.counts, self.counts)
        return of_reply / of_reply.sum()

    @cached_property
    def base(self) -> np.ndarray:
        """Base level of each value, (value,), in reward units."""
        return self.share @ self.rewards.astype(np.float64)

    @cached_property
    def scale(self) -> np.ndarray:
        """Standard deviation of each value under the base model, (value,); 1 where it never varies."""
        spread = np.sqrt(self.share @ (self.rewards.astype(np.float64) - self.base) ** 2)
        return np.where(self.one_level, 1.0, spread)

    @cached_property
    def z(self) -> np.ndarray:
        """Standardised rewards, (reply, value); 0 for a constant value."""
        alike = np.ptp(self.rewards, axis=0) == 0
        return np.where(alike, 0.0, (self.rewards.astype(np.float64) - self.base) / self.scale)

    def replies_of(self, prompt: int) -> slice:
        """Return the rows of the replies to one prompt."""
        return slice(self.offsets[prompt], self.offsets[prompt + 1])

    @cached_property
    def groups(self) -> list[slice]:
        """Rows of the replies that share a log-sum-exp."""
        if self.form is Form.POOLED:
            return [slice(0, len(self.rewards))]
        return [self.replies_of(i) for i in range(self.prompts)]

    def moments(self, x: np.ndarray, copies: np.ndarray | None = None) -> tuple[float, np.ndarray, np.ndarray]:
        """Return log-normaliser, levels and covariance at x, summed group after group."""
        share = self.shares(np.ones(self.prompts) if copies is None else np.asarray(copies, dtype=float))
        a, levels, covariance = 0.0, np.zeros(len(x)), np.zeros((len(x), len(x)))
        for rows in self.groups:
            weight = share[rows].sum()
            if weight == 0:
                continue
            z, within = self.z[rows], share[rows] / weight
            logits = z @ x
            tilted = within * np.exp(logits - logits.max())
            p = tilted / tilted.sum()
            mean = p @ z
            a += weight * (logits.max() + np.log(tilted.sum()))
            levels += weight * mean
            covariance += weight * ((z - mean).T @ ((z - mean) * p[:, None]))
        return a, levels, covariance

    def concentrations(self, x: np.ndarray) -> np.ndarray:
        """Return the sum of P^2 of each group, (group,); when pooled, each reply counts as often as its prompt."""
        sums = []
        copies = np.repeat(self.counted, self.counts) if self.form is Form.POOLED else np.ones(len(self.rewards))
        for rows in self.groups:
            logits, multiplicity = self.z[rows] @ x, copies[rows]
            p = np.exp(logits - logits.max())
            sums.append(np.sum(multiplicity * p**2) / np.sum(multiplicity * p) ** 2)
        return np.array(sums)


def _table(counts: list[int], size: int, seed: int) -> PlainTable:
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(size=(len(counts), size)), counts, axis=0)
    rewards = (rng.normal(size=(sum(counts), size)) + 0.5 * own) * np.linspace(0.5, 3.0, size) + np.arange(size)
    return PlainTable(rewards, np.concatenate([[0], np.cumsum(counts)]), Form.PER_PROMPT)


def _cases() -> dict[str, PlainTable]:
    rng = np.random.default_rng(5)
    even, ragged = _table([8] * 40, 3, 0), _table([int(k) for k in rng.integers(1, 9, 50)], 4, 1)
    constant = even.rewards.copy()
    constant[:, 1] = 0.1
    tables = {
        "even": even,
        "ragged": ragged,
        "more replies than prompts": _table([30] * 4, 3, 2),
        "one prompt": _table([12], 3, 3),
        "one value": _table([5] * 20, 1, 4),
        "one value has one level": replace(even, rewards=constant),
        "far from zero and of any size": replace(even, rewards=even.rewards * [1e-9, 1e9, 1.0] + [0.0, 1e9, -100.0]),
        "ties": replace(even, rewards=np.round(even.rewards)),
        "some prompts with one reply": _table([1, 1, 2, 1, 3, 1], 2, 6),
    }
    pooled = {f"{name}, pooled": replace(table, form=Form.POOLED) for name, table in tables.items()}
    pooled["one reply a prompt, pooled"] = replace(_table([1] * 200, 3, 7), form=Form.POOLED)
    return tables | pooled


CASES = _cases()


def _weighted() -> dict[str, PlainTable]:
    """Return tables with weights from 0.5 to 8, and every fifth prompt held out."""
    tables = {}
    chosen = ("even", "ragged", "one value has one level", "far from zero and of any size")
    pooled = ("even, pooled", "ragged, pooled", "one reply a prompt, pooled")
    for name in (*chosen, "some prompts with one reply", *pooled):
        table = CASES[name]
        weights = np.random.default_rng(11).integers(1, 17, table.prompts) / 2.0
        weights[1::5] = 0.0
        tables[name] = replace(table, weights=weights)
    # One value varies only among replies to held-out prompts, so that it is constant.
    rewards = CASES["even"].rewards.copy()
    rewards[np.repeat(tables["even"].counted > 0, 8), 1] = 0.1
    for form in Form:
        tables[f"one level but for held-out prompts, {form.value}"] = replace(
            tables["even"], rewards=rewards, form=form
        )
    return tables


WEIGHTED = _weighted()
