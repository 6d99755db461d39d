"""Tests of weights from choices: a case by hand, an independent solver, invariants, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from map_core.errors import InputError
from map_core.preference import fit_choices
from map_core.scoring.pairwise import PairAnswer
from tests.lazy import LazyModule

cp = LazyModule("cvxpy")
FIRST, NEITHER, SECOND = PairAnswer.FIRST, PairAnswer.NEITHER, PairAnswer.SECOND


def drawn(choices: int, values: int, seed: int) -> tuple[np.ndarray, list[PairAnswer]]:
    rng = np.random.default_rng(seed)
    differences = rng.normal(size=(choices, values))
    truth = np.maximum(rng.normal(size=values), 0.0)
    answers = [FIRST if rng.random() < expit(d @ truth) else SECOND for d in differences]
    return differences, [NEITHER if rng.random() < 0.2 else answer for answer in answers]


def test_single_choice_of_one_value_by_hand():
    fitted = fit_choices(np.array([[1.0]]), [FIRST])  # sigma(-x) = x
    root = brentq(lambda x: expit(-x) - x, 0, 1)
    assert fitted.weights == pytest.approx([root], abs=1e-9)
    assert fitted.weights == pytest.approx([0.401058], abs=1e-6)
    p = expit(root)
    assert fitted.precision == pytest.approx(np.array([[1 + p * (1 - p)]]))
    assert fitted.probability(np.array([[2.0], [0.0]])) == pytest.approx([expit(2 * root), 0.5])


@pytest.mark.parametrize("seed", range(5))
def test_weights_agree_with_a_conic_solver(seed: int):
    differences, answers = drawn(18, 6, seed)
    share = np.array([{FIRST: 1.0, NEITHER: 0.5, SECOND: 0.0}[answer] for answer in answers])
    x = cp.Variable(6, nonneg=True)
    margins = differences @ x
    lost = share @ cp.logistic(-margins) + (1 - share) @ cp.logistic(margins)
    cp.Problem(cp.Minimize(lost + 0.5 * cp.sum_squares(x))).solve(solver=cp.CLARABEL)
    assert fit_choices(differences, answers).weights == pytest.approx(x.value, abs=1e-5)


def test_swapping_a_pair_and_its_answer_changes_nothing():
    differences, answers = drawn(12, 4, 3)
    turned = {FIRST: SECOND, SECOND: FIRST, NEITHER: NEITHER}
    signs = np.where(np.arange(12) % 2, -1.0, 1.0)
    other = [turned[a] if sign < 0 else a for a, sign in zip(answers, signs, strict=True)]
    first, second = fit_choices(differences, answers), fit_choices(signs[:, None] * differences, other)
    assert second.weights == pytest.approx(first.weights, abs=1e-9)
    assert second.precision == pytest.approx(first.precision)


def test_no_choices_or_only_ties_give_zero_weights():
    assert fit_choices(np.empty((0, 3)), []).weights == pytest.approx(np.zeros(3))
    assert fit_choices(np.eye(3), [NEITHER] * 3).weights == pytest.approx(np.zeros(3))
    assert fit_choices(np.eye(3), [NEITHER] * 3).precision == pytest.approx(1.25 * np.eye(3))


def test_choosing_less_of_a_value_gives_weight_zero_and_a_negative_gradient():
    fitted = fit_choices(np.array([[1.0, 0.0]] * 8), [SECOND] * 8)
    assert fitted.weights == pytest.approx([0.0, 0.0])
    assert fitted.gradient == pytest.approx([-4.0, 0.0])


@pytest.mark.parametrize(
    ("differences", "answers", "prior", "message"),
    [
        (np.zeros((2, 3)), [FIRST], 1.0, r"shape \(2, 3\) for 1 answers"),
        (np.array([[np.nan]]), [FIRST], 1.0, "not finite"),
        (np.zeros((1, 1)), [FIRST], 0.0, "above 0"),
    ],
)
def test_bad_input_is_refused(differences, answers, prior, message):
    with pytest.raises(InputError, match=message):
        fit_choices(differences, answers, prior)
