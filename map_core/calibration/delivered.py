"""The share of replies that people would say yes to under weights, with an interval that includes the scorer's error.

With tilt probabilities P_k of a prompt's replies, people's labels H, the calibrated scorer g and the probability pi
with which a reply was chosen to be judged,

    theta_H = sum_x sum_i (P_i / pi_i) H_i / sum_x sum_i (P_i / pi_i)      labels alone
    theta   = theta_H + omega ( mean_x sum_k P_k g_k - theta_g )           prediction-powered

theta_g is theta_H with g for H. The labels correct the scorer's errors on the tilted distribution, not on the base
model's; the scorer's rewards of all replies remove most of the variance that comes from which replies were labelled. g
is cross-fitted by prompt; omega minimises the variance. The standard error is that of the prompts' influences, so it
accounts for dependent labels within a prompt and for the prompts being a sample.

Source: Angelopoulos et al., "Prediction-powered inference", 2023 (arXiv 2301.09633) and "PPI++", 2023 (2311.01453);
Zrnic and Candes, "Cross-prediction-powered inference", 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from map_core.calibration.calibrate import calibrate
from map_core.calibration.labels import ValueLabels, labels_of_prompts, value_labels
from map_core.core.softmax import softmax
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.scoring.validation import Label

#: Folds into which labelled prompts are split, so that the calibration used for a reply has not seen its prompt.
FOLDS = 5
#: Minimum number of labelled prompts, and minimum effective number under weights: if one label had nearly all the
#: weight, the interval would have no width.
MIN_PROMPTS, MIN_EFFECTIVE = 8, 4.0
#: Probability of intervals.
LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class PeopleLevel:
    """A level in people's units.

    Args:
        value: its name.
        share: of the replies that people would say yes to, 0 to 1.
        low, high: 90% interval.
        labels_alone: the estimate from labels alone, theta_H.
        labels_low, labels_high: its 90% interval.
        scorer: the mean of the calibrated scorer, without the correction by labels.
        labels: number of labelled replies.
        effective: effective number of labels under the weights.
        prompts: number of labelled prompts.
    """

    value: str
    share: float
    low: float
    high: float
    labels_alone: float
    labels_low: float
    labels_high: float
    scorer: float
    labels: int
    effective: float
    prompts: int

    @property
    def narrower(self) -> float:
        """By how much the interval is narrower than that of labels alone, 0 to 1."""
        wide = self.labels_high - self.labels_low
        return 1 - (self.high - self.low) / wide if wide > 0 else 0.0


def tilt_probabilities(table: RewardTable, oracle: Oracle, weights: np.ndarray) -> np.ndarray:
    """Return (reply,) probability of each reply within its prompt at weights x, in nats per standard deviation."""
    scores = oracle.standardise(table.rewards) @ weights
    return np.concatenate([softmax(scores[table.rows(prompt)]).probabilities for prompt in range(len(table.prompts))])


def people_level(table: RewardTable, oracle: Oracle, labels: ValueLabels, weights: np.ndarray) -> PeopleLevel:
    """Estimate a level in people's units.

    Args:
        table: the table of the labelled replies; held-out prompts count too, as they are prompts of the same kind.
        oracle: the table's oracle, for base levels and scales.
        labels: the labels of the value.
        weights: (value,) x, in nats per standard deviation; 0 for the base model.

    Raises:
        InputError: fewer than :data:`MIN_PROMPTS` prompts are labelled, or than :data:`MIN_EFFECTIVE` carry the labels'
            weight, or the table is pooled.
    """
    if oracle.form is Form.POOLED:
        raise InputError("People's units need several replies per prompt; most prompts of this table have one.")
    judged_prompts, group = np.unique(labels.prompts, return_inverse=True)
    if len(judged_prompts) < MIN_PROMPTS:
        raise InputError(
            f"{len(judged_prompts)} prompts have labels of {labels.value!r}; expected {MIN_PROMPTS} at the least. "
            "Label replies to more prompts."
        )
    probabilities = tilt_probabilities(table, oracle, weights)
    j = table.index(labels.value)
    standardised = (table.rewards[:, j] - oracle.base[j]) / oracle.scale[j]
    predicted, all_predicted = _cross_fit(standardised, labels, group)
    by_prompt = np.add.reduceat(probabilities * all_predicted, table.offsets[:-1])
    counts = np.ones(len(table.prompts)) if not table.weights.size else table.weights
    w = counts[labels.prompts] * probabilities[labels.rows] / labels.chances
    mass = np.bincount(group, w / (w.max() or 1.0))
    effective_prompts = float(mass.sum() ** 2 / (mass @ mass)) if mass.any() else 0.0
    if effective_prompts < MIN_EFFECTIVE:
        raise InputError(
            f"Hardly any of the replies that this palette picks is labelled on {labels.value!r}: the labels count for "
            f"{effective_prompts:.1f} prompts, and {MIN_EFFECTIVE:g} are needed. Label replies that it picks."
        )

    def ratio(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean of (label,) numbers weighted by w, and each labelled prompt's influence on it."""
        theta = float(w @ numbers / w.sum())
        return theta, (np.bincount(group, w * numbers) - theta * np.bincount(group, w)) / w.sum()

    theta_h, influence_h = ratio(labels.shares)
    theta_g, influence_g = ratio(predicted)
    scorer = float(counts @ by_prompt / counts.sum())
    labelled = np.zeros(len(table.prompts))
    labelled[judged_prompts] = influence_h
    control = counts * (by_prompt - scorer) / counts.sum()
    control[judged_prompts] -= influence_g
    spread = float(control @ control)
    power = float(np.clip(-(labelled @ control) / spread, 0.0, 1.5)) if spread > 0 else 0.0
    share = theta_h + power * (scorer - theta_g)
    count = len(judged_prompts)
    width = stdtrit(count - 1, (1 + LEVEL) / 2) * np.sqrt(count / (count - 1))
    half = float(width * np.linalg.norm(labelled + power * control))
    half_labels = float(width * np.linalg.norm(labelled))
    return PeopleLevel(
        value=labels.value,
        share=_inside(share),
        low=_inside(share - half),
        high=_inside(share + half),
        labels_alone=_inside(theta_h),
        labels_low=_inside(theta_h - half_labels),
        labels_high=_inside(theta_h + half_labels),
        scorer=scorer,
        labels=len(labels.rows),
        effective=float(w.sum() ** 2 / (w @ w)),
        prompts=count,
    )


def people_levels(
    table: RewardTable, oracle: Oracle, labels: Sequence[Label], weights: np.ndarray, only: str = ""
) -> tuple[dict[str, tuple[PeopleLevel, PeopleLevel]], dict[str, str]]:
    """Estimate the level of every labelled value, under the base model and under weights.

    Args:
        table: a table, or a part of one; labels of other prompts are ignored.
        oracle: the table's oracle, for base levels and scales.
        labels: labels of the whole table's replies.
        weights: (value,) x, in nats per standard deviation.
        only: one value; by default every labelled value.

    Returns:
        By value, the base model's level and the level under the weights; and by value, the reason where a labelled
        value has no estimate.
    """
    table_labels = labels_of_prompts(table, labels)
    levels, problems = {}, {}
    for value in (only,) if only else table.values:
        if any(value in label.labels for label in table_labels):
            try:
                collected = value_labels(table, table_labels, value)
                base = people_level(table, oracle, collected, np.zeros(len(table.values)))
                levels[value] = (base, people_level(table, oracle, collected, weights))
            except InputError as error:
                problems[value] = str(error)
    return levels, problems


def _inside(share: float) -> float:
    return min(max(float(share), 0.0), 1.0)


def _cross_fit(standardised: np.ndarray, labels: ValueLabels, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (label,) g by fits that have not seen the label's prompt, and (reply,) g as the mean of these fits."""
    folds = group % FOLDS
    predicted, all_predicted = np.zeros(len(labels.rows)), np.zeros(len(standardised))
    for fold in range(FOLDS):
        held_out = folds == fold
        fitted = calibrate(standardised[labels.rows[~held_out]], labels.shares[~held_out], labels.prompts[~held_out])
        predicted[held_out] = fitted.probability(standardised[labels.rows[held_out]])
        all_predicted += fitted.probability(standardised) / FOLDS
    return predicted, all_predicted
