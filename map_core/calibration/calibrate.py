"""P(a person says yes) as a monotone function of the reward, learnt from labels.

    g(r) = sigma( a + b z ),    b >= 0,    z = (r - base) / scale

A logistic function has two parameters, so few labels suffice to fit it; b >= 0 keeps the scorer's order. Its interval
uses the sandwich estimator over prompts, since labels of one prompt's replies are not independent. Constraint: arrays
in, a frozen result out.

Source: Platt, "Probabilistic outputs for support vector machines", 1999; docs/judgement.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from map_core.calibration.labels import ValueLabels
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle

#: Name of a calibrated value.
PEOPLE = "{}_people"
#: Standard deviations of a normal prior on a and b, in log-odds: it keeps the fit finite where labels are separated.
_PRIOR_A, _PRIOR_B = 5.0, 5.0
#: Normal quantile of a two-sided 90% interval.
_Z90 = 1.6448536


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrated scorer.

    Args:
        intercept, slope: a and b, in log-odds and log-odds per standard deviation.
        covariance: (2, 2) of both, by the sandwich estimator over prompts.
        labels: number of labelled replies.
        prompts: number of their prompts.
    """

    intercept: float
    slope: float
    covariance: np.ndarray
    labels: int
    prompts: int

    def probability(self, standardised: np.ndarray) -> np.ndarray:
        """Return g of rewards in standard deviations above base, of any shape."""
        return np.asarray(expit(self.intercept + self.slope * np.asarray(standardised, dtype=np.float64)))

    def interval(self, standardised: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the 90% interval of g, of any shape."""
        z = np.asarray(standardised, dtype=np.float64)
        v = self.covariance
        half = _Z90 * np.sqrt(np.maximum(v[0, 0] + 2 * z * v[0, 1] + z * z * v[1, 1], 0.0))
        odds = self.intercept + self.slope * z
        return np.asarray(expit(odds - half)), np.asarray(expit(odds + half))


def calibrate(standardised: np.ndarray, shares: np.ndarray, prompts: np.ndarray) -> Calibration:
    """Fit g to labels.

    Args:
        standardised: (label,) rewards of the labelled replies, in standard deviations above base.
        shares: (label,) share of yes, 0 to 1.
        prompts: (label,) index of each label's prompt.

    Raises:
        InputError: there are fewer than two labels, or lengths differ.
    """
    z, y = np.asarray(standardised, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if not (z.shape == y.shape == np.shape(prompts) and z.ndim == 1 and len(z) >= 2):
        raise InputError(f"There are {z.size} rewards and {y.size} labels; expected as many of each, two at the least.")
    design = np.column_stack([np.ones(len(z)), z])
    beta = _maximum(design, y)
    if beta[1] < 0:  # the labels contradict the scorer's order: the best monotone fit is then constant
        beta = np.array([_maximum(design[:, :1], y)[0], 0.0])
    predicted = expit(design @ beta)
    hessian = (design * (predicted * (1 - predicted))[:, None]).T @ design + np.diag([_PRIOR_A**-2, _PRIOR_B**-2])
    inverse = np.linalg.inv(hessian)
    _, group = np.unique(prompts, return_inverse=True)
    scores = np.zeros((int(group.max()) + 1, 2))
    np.add.at(scores, group, design * (y - predicted)[:, None])
    count = len(scores)
    spread = scores.T @ scores * count / max(count - 1, 1)
    return Calibration(float(beta[0]), float(beta[1]), inverse @ spread @ inverse, len(z), count)


def _maximum(design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Maximise the penalised likelihood by Newton steps, halved until they improve it."""
    precision = np.array([_PRIOR_A**-2, _PRIOR_B**-2])[: design.shape[1]]

    def value(beta: np.ndarray) -> float:
        odds = design @ beta
        return float(y @ odds - np.logaddexp(0, odds).sum() - 0.5 * precision @ beta**2)

    beta = np.zeros(design.shape[1])
    for _ in range(100):
        predicted = expit(design @ beta)
        gradient = design.T @ (y - predicted) - precision * beta
        if np.abs(gradient).max() < 1e-10:
            break
        hessian = (design * (predicted * (1 - predicted))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        while value(beta + step) < value(beta) - 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        beta = beta + step
    return beta


def calibration_of(table: RewardTable, oracle: Oracle, labels: ValueLabels) -> Calibration:
    """Fit the calibration of one value of a table."""
    j = table.index(labels.value)
    standardised = (table.rewards[labels.rows, j] - oracle.base[j]) / oracle.scale[j]
    return calibrate(standardised, labels.shares, labels.prompts)


def with_people_columns(table: RewardTable, oracle: Oracle, labels: Sequence[ValueLabels]) -> RewardTable:
    """Return the table with the calibrated probability of each labelled value as a further value.

    Such a value's level is the scorer's estimate of the share of replies that people would say yes to.
    """
    columns, names = [table.rewards], [*table.values]
    for value_labels in labels:
        name, j = PEOPLE.format(value_labels.value), table.index(value_labels.value)
        if name in names:
            raise InputError(f"The table already has a value {name!r}; give the table that it was made from.")
        standardised = (table.rewards[:, j] - oracle.base[j]) / oracle.scale[j]
        columns.append(calibration_of(table, oracle, value_labels).probability(standardised)[:, None])
        names.append(name)
    return replace(table, values=tuple(names), rewards=np.hstack(columns))
