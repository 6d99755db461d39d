"""Train a head on people's judgements and cross-validate it.

Judgements are labels 1 or 0 of replies, or pairs of replies of which one was judged to have more. Both are a logistic
regression: of labels on features, of pairs on differences of features (Bradley and Terry), with an L2 penalty on the
weights. The penalty is chosen by cross-validation, and the reported figures come from an outer cross-validation; both
keep all judgements of a prompt together, so that no judgement is scored by a head that was trained on its prompt.
Constraint: numpy and scipy only; features are arguments.

Source: Bradley and Terry, Biometrika 39, 1952; Varma and Simon, BMC Bioinformatics 7, 2006 (nested cross-validation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from map_core.errors import InputError
from map_core.scoring.clustered import ClusteredShare, overall_share, pair_share, within_share
from map_core.scoring.head_weights import HeadComparison, HeadEvidence, HeadWeights

#: Fewest decided pairs, labels of each kind, and prompts for training a head.
MIN_DECIDED, MIN_LABELS, MIN_PROMPTS = 20, 10, 5
#: Candidate penalties, the strongest first: infinity keeps the prior only. Features have about length 1.7.
PENALTIES = (np.inf, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
#: Folds of the cross-validation that gives the figures, and of the one that chooses the penalty.
OUTER_FOLDS, INNER_FOLDS = 10, 5
#: Penalty on (slope - 1)^2, with the prior's score in standard deviations: as much as one or two judgements.
_SLOPE_PENALTY = 1.0
#: Penalty on the square of the intercept: negligible, but it keeps the fit finite if all labels are equal.
_INTERCEPT_PENALTY = 1e-3

#: Called with the number of completed folds and of all folds.
Reporter = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Examples:
    """Judgements as the rows of a logistic regression.

    Args:
        features: (judgement, feature) of a labelled reply; for a pair the difference of the reply with more of the
            value and the other one.
        prior: (judgement,) the prior's score, a difference for a pair; zeros where there is none.
        outcomes: (judgement,) 1 or 0; 1 for every pair.
        groups: (judgement,) indices of prompts; judgements of a group are always held out together.
        judged: "labels" or "pairs".
    """

    features: np.ndarray
    prior: np.ndarray
    outcomes: np.ndarray
    groups: np.ndarray
    judged: str

    @property
    def has_prior(self) -> bool:
        """Whether there is a prior whose scores differ between replies."""
        return bool(np.any(self.prior))

    def take(self, rows: np.ndarray) -> Examples:
        """Return the examples at some indices."""
        parts = (self.features[rows], self.prior[rows], self.outcomes[rows], self.groups[rows])
        return Examples(*parts, self.judged)

    def class_weights(self, weights: np.ndarray) -> np.ndarray:
        """Return weights balanced so that each label has half of their sum; those of pairs are unchanged."""
        if self.judged == "pairs":
            return weights
        sums = {label: weights[self.outcomes == label].sum() for label in (0, 1)}
        if not min(sums.values()) > 0:
            return weights
        return np.where(self.outcomes == 1, weights / sums[1], weights / sums[0]) * weights.sum() / 2.0


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted head: (feature,) weights, intercept and slope of the prior."""

    weights: np.ndarray
    intercept: float
    slope: float

    def log_odds(self, examples: Examples) -> np.ndarray:
        """Return the log-odds of each judgement's outcome 1."""
        return examples.features @ self.weights + self.slope * examples.prior + self.intercept


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A trained head.

    Args:
        head: its weights with their evidence.
        penalty: the chosen one; infinity where the prior alone did best.
    """

    head: HeadWeights
    penalty: float


def label_examples(
    features: np.ndarray, labels: np.ndarray | Sequence[int], prompts: np.ndarray, prior: np.ndarray | None = None
) -> Examples:
    """Return labelled replies as examples.

    Args:
        features: (reply, feature).
        labels: (reply,) 1 or 0.
        prompts: (reply,) whole numbers.
        prior: (reply,) its score; None for none.

    Raises:
        InputError: lengths differ, a label is neither, a number is not finite, or there are too few.
    """
    outcomes = np.asarray(labels, dtype=np.float64)
    examples = _checked(Examples(features, _or_zeros(prior, len(features)), outcomes, np.asarray(prompts), "labels"))
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise InputError("A label is neither 1 nor 0; expected these alone.")
    ones = int(outcomes.sum())
    if min(ones, len(outcomes) - ones) < MIN_LABELS:
        raise InputError(
            f"There are {ones} replies labelled 1 and {len(outcomes) - ones} labelled 0; a head needs {MIN_LABELS} of "
            "each. Label more replies."
        )
    return examples


def pair_examples(
    features: np.ndarray, pairs: np.ndarray | Sequence[tuple[int, int]], prompts: np.ndarray, prior: np.ndarray | None
) -> Examples:
    """Return judged pairs as examples; leave out those that the judge could not tell apart.

    Args:
        features: (reply, feature).
        pairs: (pair, 2) places of replies, the one with more of the value first.
        prompts: (reply,) whole numbers; where pairs are of two prompts, both are kept together.
        prior: (reply,) its score; None for none.

    Raises:
        InputError: lengths differ, a number is not finite, or there are too few pairs.
    """
    more, less = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    scores, numbers = _or_zeros(prior, len(features)), np.asarray(prompts)
    groups = _connected(numbers[more], numbers[less])
    examples = _checked(
        Examples(features[more] - features[less], scores[more] - scores[less], np.ones(len(more)), groups, "pairs")
    )
    if len(more) < MIN_DECIDED:
        raise InputError(
            f"There are {len(more)} decided pairs; a head needs {MIN_DECIDED}. Judge {MIN_DECIDED - len(more)} more."
        )
    return examples


def train(
    examples: Examples, embedder: str, before: np.ndarray | None = None, report: Reporter | None = None
) -> TrainedHead:
    """Train a head on all examples and cross-validate the way in which it was trained.

    Args:
        examples: labels or pairs.
        embedder: name of the embedding model of their features.
        before: (judgement,) scores of the scorer to compare with, differences for pairs; the prior's when None.
        report: called after every fold of the outer cross-validation.
    """
    scaled, unit = _in_units(examples)
    scaled, basis = _in_row_space(scaled)
    penalty = choose_penalty(scaled)
    fitted = fit(scaled, penalty)
    rounded = tuple((basis @ fitted.weights).astype(np.float32).tolist())  # the precision of files
    if before is None and examples.has_prior:
        before = examples.prior
    evidence = evaluate(examples, cross_validate(scaled, report), before)
    return TrainedHead(HeadWeights(rounded, fitted.intercept, fitted.slope / unit, embedder, evidence), penalty)


def fit(examples: Examples, penalty: float, weights: np.ndarray | None = None, start: Fit | None = None) -> Fit:
    """Fit a head: the minimum of a strictly convex function, by L-BFGS.

    sum_i c_i log(1 + exp(-s_i z_i)) + penalty / 2 |w|^2 + (slope - 1)^2 / 2, with z the log-odds, s_i = 1 or -1 by the
    outcome, and c_i the weight of the example, balanced so that both labels count alike.

    Args:
        examples: with the prior's score in units of about one standard deviation.
        penalty: on the weights; infinity leaves them 0.
        weights: (judgement,) multiplicities; 1 when None.
        start: the starting point, which does not affect the result.
    """
    count = examples.class_weights(np.ones(len(examples.outcomes)) if weights is None else weights)
    # The prior and the intercept are columns too, with a penalty and a centre of their own.
    columns = np.column_stack([examples.prior, np.full(len(count), float(examples.judged == "labels"))])
    design = columns if np.isinf(penalty) else np.hstack([columns, examples.features])
    centre, strength = np.zeros(design.shape[1]), np.full(design.shape[1], penalty)
    centre[0] = 1.0 if examples.has_prior else 0.0
    strength[:2] = _SLOPE_PENALTY, _INTERCEPT_PENALTY
    signs = 2.0 * examples.outcomes - 1.0

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margins, deviation = signs * (design @ parameters), parameters - centre
        wrong = np.exp(-np.logaddexp(0.0, margins))  # 1 / (1 + exp(margin))
        loss = float(count @ np.logaddexp(0.0, -margins) + 0.5 * strength @ deviation**2)
        return loss, strength * deviation - design.T @ (count * wrong * signs)

    first = centre.copy()
    if start is not None:
        first[:2] = start.slope, start.intercept
        first[2:] = start.weights[: len(first) - 2]
    from scipy.optimize import minimize

    solution = minimize(
        objective, first, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-12}
    )
    slope, intercept = (float(number) for number in solution.x[:2])
    learnt = np.zeros(examples.features.shape[1]) if np.isinf(penalty) else solution.x[2:]
    return Fit(learnt, intercept, slope if examples.has_prior else 0.0)


def choose_penalty(examples: Examples) -> float:
    """Return the penalty with the least log-loss of held-out judgements, the stronger one on ties."""
    penalties = [penalty for penalty in PENALTIES if examples.has_prior or np.isfinite(penalty)]
    balanced = examples.class_weights(np.ones(len(examples.outcomes)))
    signs = 2.0 * examples.outcomes - 1.0
    losses = np.zeros(len(penalties))
    for held in folds(examples.groups, INNER_FOLDS, seed=1):
        rest, out = examples.take(np.flatnonzero(~held)), examples.take(np.flatnonzero(held))
        start = None
        for index, penalty in enumerate(penalties):
            start = fit(rest, penalty, start=start)
            losses[index] += balanced[held] @ np.logaddexp(0.0, -signs[held] * start.log_odds(out))
    return penalties[int(np.argmin(losses))]


def cross_validate(examples: Examples, report: Reporter | None = None) -> np.ndarray:
    """Return each judgement's log-odds by a head that was trained, including its penalty, without its prompt."""
    held_out = np.zeros(len(examples.outcomes))
    parts = folds(examples.groups, OUTER_FOLDS, seed=0)
    for done, held in enumerate(parts, start=1):
        rest = examples.take(np.flatnonzero(~held))
        held_out[held] = fit(rest, choose_penalty(rest)).log_odds(examples.take(np.flatnonzero(held)))
        if report is not None:
            report(done, len(parts))
    return held_out


def evaluate(examples: Examples, held_out: np.ndarray, before: np.ndarray | None) -> HeadEvidence:
    """Evaluate held-out scores, compared with those of the scorer before.

    Args:
        examples: the judgements.
        held_out: (judgement,) log-odds of :func:`cross_validate`.
        before: (judgement,) scores of the description or another scorer, differences for pairs; None for none.
    """

    def shares(scores: np.ndarray) -> tuple[ClusteredShare, ClusteredShare | None]:
        if examples.judged == "labels":
            judged = (scores, examples.outcomes, examples.groups)
            return overall_share(*judged), within_share(*judged)
        numbers = np.unique(examples.groups, return_inverse=True)[1]
        agreed = np.bincount(numbers, (np.sign(scores) + 1.0) / 2.0)
        return pair_share(agreed, np.bincount(numbers)), None

    overall, within = shares(held_out)
    overall_before, within_before = (None, None) if before is None else shares(before)
    return HeadEvidence(
        examples.judged,
        len(examples.outcomes),
        _comparison(overall, overall_before),
        None if within is None or within.prompts < 2 else _comparison(within, within_before),
    )


def folds(groups: np.ndarray, parts: int, seed: int) -> list[np.ndarray]:
    """Return masks of held-out judgements, (judgement,) each, of similar sizes, that keep groups together.

    Args:
        groups: (judgement,) indices.
        parts: number of folds; at most the number of groups.
        seed: the same seed gives the same folds.
    """
    names, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold_of, filled = np.zeros(len(names), dtype=np.int64), np.zeros(min(parts, len(names)))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # the largest first, to the emptiest fold
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    return [fold_of[numbers] == fold for fold in range(len(filled))]


def _comparison(head: ClusteredShare, before: ClusteredShare | None) -> HeadComparison:
    comparison = HeadComparison(head.share, *head.interval, head.pairs, head.prompts)
    if before is None:
        return comparison
    low, high = head.difference_interval(before)
    return replace(comparison, before=before.share, difference_low=low, difference_high=high)


def _checked(examples: Examples) -> Examples:
    count = len(examples.features)
    lengths = {len(part) for part in (examples.prior, examples.outcomes, examples.groups)}
    if lengths != {count}:
        raise InputError(f"There are {count} judgements with {sorted(lengths)} entries; expected as many of each.")
    if not (np.isfinite(examples.features).all() and np.isfinite(examples.prior).all()):
        raise InputError("A feature or a score of the prior is not finite; a head cannot be trained on it.")
    prompts = len(np.unique(examples.groups))
    if prompts < MIN_PROMPTS:
        raise InputError(
            f"The judgements are of {prompts} prompts; a head needs {MIN_PROMPTS}, so that it can be tested on prompts "
            "that it did not see. Judge replies to more prompts."
        )
    return examples


def _or_zeros(prior: np.ndarray | None, count: int) -> np.ndarray:
    return np.zeros(count) if prior is None else np.asarray(prior, dtype=np.float64)


def _in_units(examples: Examples) -> tuple[Examples, float]:
    """Return examples with the prior's score divided by its root mean square, so that its scale has no effect.

    Returns:
        The examples, and the divisor.
    """
    middle = examples.prior.mean() if examples.judged == "labels" else 0.0
    unit = float(np.sqrt(np.mean((examples.prior - middle) ** 2))) or 1.0
    return replace(examples, prior=examples.prior / unit), unit


def _in_row_space(examples: Examples) -> tuple[Examples, np.ndarray]:
    """Return examples with features in an orthonormal basis of their row space, and that basis.

    A fit in these coordinates has at most as many weights as there are judgements and is the same: the component of
    the weights orthogonal to the row space changes no log-odds but is penalised, so it is 0, and an orthonormal basis
    leaves the penalty unchanged.

    Returns:
        The examples with (judgement, coordinate) features, and the (feature, coordinate) basis.
    """
    basis, coordinates = np.linalg.qr(examples.features.T)
    return replace(examples, features=coordinates.T), basis


def _connected(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the index of the connected component of each pair of prompts; pairs that share a prompt are connected."""
    if not len(first):
        return np.zeros(0, dtype=np.int64)
    names, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    ends = codes[: len(first)], codes[len(first) :]
    graph = coo_array((np.ones(len(first)), ends), shape=(len(names), len(names)))
    return np.asarray(connected_components(graph, directed=False)[1][ends[0]])
