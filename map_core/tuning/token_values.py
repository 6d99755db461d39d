"""How much lambda . r a beginning of a reply promises: a value function by ridge regression on hidden states.

G(s) = E[lambda . r | s], for s the prompt and the first tokens of a reply, is fitted to the table's replies, linear in
the mean of the base model's last hidden states so far, with coefficients that change evenly with the share of the
length limit and others where the reply has ended, and in the last of these states. Prompts are in folds, and a prompt's
own values come from the fit without its fold. log V(s) = log E[exp(lambda . r) | s] follows as G(s) + v(s) / 2, with
v(s) the variance that G leaves, which is exact where what is left is normal. Constraint: numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from map_core.errors import InputError

#: Folds of prompts, penalties that are tried (a token, for features of variance 1), and which token in so many is read.
FOLDS, PENALTIES, STRIDE = 4, (0.02, 0.06, 0.2, 0.6), 3
#: Tokens that a mean over a reply's first tokens is shrunk by.
_SHRINK = 8
#: Weight of the last hidden state beside the mean, so that the penalty is heavier on it.
_LAST = 0.3
_FOLD_STREAM = 0x70CE


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A reply's hidden states.

    Args:
        name: the prompt's id.
        hidden: (token + 1, hidden) before each token and after the last one, of the base model.
        finished: the reply ended by itself.
        gain: lambda . r in nats, less its mean over the prompt's replies.
    """

    name: str
    hidden: np.ndarray
    finished: bool
    gain: float


@dataclass(frozen=True, eq=False)
class TokenValues:
    """Fitted values of beginnings of replies.

    Args:
        coefficients: (fold, feature) of G, each fold's fit without its prompts.
        left: (fold, 4) the same of v.
        folds: fold of each prompt.
        scale: (hidden,) deviation of the hidden states.
        limit: most tokens of a reply.
        explained: share of the variance of lambda . r within prompts that G explains at the end of replies, on
            prompts that it was not fitted on.
    """

    coefficients: np.ndarray
    left: np.ndarray
    folds: Mapping[str, int]
    scale: np.ndarray
    limit: int
    explained: float

    def log_values(self, trajectory: Trajectory) -> np.ndarray:
        """Return log V before each token and after the last, up to a constant; one more where the reply has ended."""
        fold = self.folds[trajectory.name]
        features = _features(trajectory, self.scale, self.limit)
        left = _left_features(features, trajectory.finished, self.limit)
        return features @ self.coefficients[fold] + 0.5 * np.maximum(left @ self.left[fold], 0.0)

    def save(self, file: IO[bytes]) -> None:
        """Write the values to a file of numpy."""
        names, folds = list(self.folds), list(self.folds.values())
        numbers: dict[str, Any] = {"limit": self.limit, "explained": self.explained, "names": names, "folds": folds}
        np.savez(file, coefficients=self.coefficients, left=self.left, scale=self.scale, **numbers)

    @classmethod
    def load(cls, file: Path | IO[bytes]) -> TokenValues:
        """Read what :meth:`save` wrote."""
        with np.load(file) as read:
            folds = dict(zip(read["names"].tolist(), read["folds"].tolist(), strict=True))
            return cls(
                read["coefficients"],
                read["left"],
                folds,
                read["scale"],
                int(read["limit"]),
                float(read["explained"]),
            )


def advantages(log_values: np.ndarray, gain: float, trace: float) -> np.ndarray:
    """Return the advantage of each action of a reply: its tokens, and the end where it ended by itself.

    A_t = (1 / V_t) sum_l trace^l (V_{t+l+1} - V_{t+l}). With trace 0 it is V_{t+1} / V_t - 1, which any error of V from
    one token to the next enters; with a larger trace it is the values of the next 1 / (1 - trace) tokens on average,
    with less of that error and more noise. With trace 1, exp(lambda . r) stands for the last value: then it is
    exp(lambda . r) / V_t - 1, right for any V and with the most noise.

    Args:
        log_values: (action + 1,) log V before each action and after the last.
        gain: log exp(lambda . r), on the same scale as V.
        trace: from 0 to 1.

    Source: Schulman et al., High-dimensional continuous control using generalized advantage estimation, ICLR 2016
    (arXiv 1506.02438), equation 16, without discount.
    """
    values = np.exp(log_values)
    steps = np.diff(values)
    result = np.zeros(len(steps))
    later = float(np.exp(gain)) - float(values[-1]) if trace == 1 else 0.0
    for step in range(len(steps) - 1, -1, -1):
        later = steps[step] + trace * later
        result[step] = later
    return result / values[:-1]


class TokenValueFit:
    """The sums of the regression, reply by reply, so that no hidden states are kept.

    Args:
        names: the prompts, in the order of the table.
        limit: most tokens of a reply.
        seed: of the folds.
        penalties: that are tried.
    """

    def __init__(self, names: Iterable[str], limit: int, seed: int, penalties: Sequence[float] = PENALTIES) -> None:
        order = list(dict.fromkeys(names))
        positions = np.random.default_rng([seed, _FOLD_STREAM]).permutation(len(order))
        self.folds = {
            name: int(position) % min(FOLDS, len(order)) for name, position in zip(order, positions, strict=True)
        }
        self.limit, self._penalties = limit, tuple(penalties)
        self._scale: np.ndarray | None = None
        self._ends: list[tuple[int, np.ndarray, float]] = []
        self._left: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
        self._products: np.ndarray | None = None
        self._targets: np.ndarray | None = None
        self._tokens = 0

    def add(self, of_prompt: list[Trajectory]) -> None:
        """Take in replies to one prompt."""
        if self._scale is None:
            self._scale = np.concatenate([tokens.hidden for tokens in of_prompt]).std(axis=0).astype(np.float32) + 1e-3
        features = [_features(tokens, self._scale, self.limit) for tokens in of_prompt]
        # Between prompts nothing is to be explained: lambda . r is centred by prompt, and so is what explains it.
        middle = np.mean([tokens.mean(axis=0) for tokens in features], axis=0)
        fold = self.folds[of_prompt[0].name]
        kept = []
        for number, (tokens, trajectory) in enumerate(zip(features, of_prompt, strict=True)):
            rows = np.unique([*range(number % STRIDE, len(tokens), STRIDE), len(tokens) - 1])
            kept.append((tokens[rows] - middle, np.full(len(rows), trajectory.gain, dtype=np.float32)))
            self._ends.append((fold, tokens[-1] - middle, trajectory.gain))
        x, y = np.concatenate([x for x, _ in kept]), np.concatenate([y for _, y in kept])
        if self._products is None or self._targets is None:
            count = len(set(self.folds.values()))
            self._products = np.zeros((count, x.shape[1], x.shape[1]), dtype=np.float32)
            self._targets = np.zeros((count, x.shape[1]), dtype=np.float32)
        self._products[fold] += x.T @ x
        self._targets[fold] += x.T @ y
        self._tokens += len(x)
        for tokens, trajectory in zip(features, of_prompt, strict=True):
            rows = np.unique([*range(0, len(tokens), 8 * STRIDE), len(tokens) - 1])
            left = _left_features(tokens, trajectory.finished, self.limit)[rows]
            self._left.append((fold, tokens[rows] - middle, left, np.full(len(rows), trajectory.gain)))

    def solve(self) -> TokenValues:
        """Return the values with the penalty that explains most on prompts that were left out.

        Raises:
            InputError: no replies were taken in.
        """
        if self._products is None or self._targets is None or self._scale is None:
            raise InputError("There are no replies to fit values on.")
        products, targets = self._products.sum(axis=0), self._targets.sum(axis=0)
        size, count = len(targets), len(self._targets)
        fold = np.array([f for f, _, _ in self._ends])
        ends, gains = np.array([x for _, x, _ in self._ends]), np.array([g for _, _, g in self._ends])
        best: tuple[float, np.ndarray] | None = None
        for penalty in self._penalties:
            ridge = penalty * self._tokens * np.eye(size)
            rows = []
            for f in range(count):
                # With one fold there is nothing to leave out.
                held_in = (
                    (products - self._products[f], targets - self._targets[f]) if count > 1 else (products, targets)
                )
                rows.append(np.linalg.solve(held_in[0] + ridge, held_in[1]))
            fitted = np.array(rows)
            wrong = float(((gains - np.einsum("ij,ij->i", ends, fitted[fold])) ** 2).sum())
            if best is None or wrong < best[0]:
                best = (wrong, fitted)
        assert best is not None
        return TokenValues(
            coefficients=best[1].astype(np.float32),
            left=self._variances(best[1]),
            folds=self.folds,
            scale=self._scale,
            limit=self.limit,
            explained=1.0 - best[0] / max(float((gains**2).sum()), 1e-12),
        )

    def _variances(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the coefficients (fold, 4) of the variance that is left, by least squares on squared residuals."""
        fold = np.concatenate([np.full(len(x), f) for f, x, _, _ in self._left])
        squares = np.concatenate([(g - x @ coefficients[f]) ** 2 for f, x, _, g in self._left])
        features = np.concatenate([left for _, _, left, _ in self._left])
        rows = []
        for f in range(len(coefficients)):
            in_training = fold != f if len(coefficients) > 1 else fold == f
            rows.append(np.linalg.lstsq(features[in_training], squares[in_training], rcond=None)[0])
        return np.array(rows)


def _features(trajectory: Trajectory, scale: np.ndarray, limit: int) -> np.ndarray:
    """Return the features (token + 1, ...), one row more where the reply has ended; float32."""
    hidden = np.clip(np.asarray(trajectory.hidden, dtype=np.float32) / scale, -8.0, 8.0)
    if trajectory.finished:
        hidden = np.concatenate([hidden, hidden[-1:]])
    count, width = hidden.shape
    states = count - int(trajectory.finished)
    numbers = np.arange(states, dtype=np.float32)[:, None]
    means = np.zeros((count, width), dtype=np.float32)
    means[:states] = np.cumsum(hidden[:states], axis=0) - hidden[0]
    means[:states] /= numbers + _SHRINK
    share = numbers[:, 0] / limit
    if trajectory.finished:
        means[-1] = means[-2]
        share = np.append(share, share[-1])
    ended = np.zeros((count, 1), dtype=np.float32)
    ended[states:] = 1.0
    return np.concatenate(
        [means, means * share[:, None], _LAST * hidden, ended * means, ended, ended * share[:, None], share[:, None]],
        axis=1,
        dtype=np.float32,
    )


def _left_features(features: np.ndarray, finished: bool, limit: int) -> np.ndarray:
    """Return what the variance that is left depends on: 1, the share of the length limit, and both after the end."""
    ended, ended_share, share = features[:, -3], features[:, -2], features[:, -1]
    return np.column_stack([np.ones(len(features)), share, ended, ended_share])
