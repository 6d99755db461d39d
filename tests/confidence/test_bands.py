"""Tests of error bands of a sweep: by hand, against the error bars of single palettes, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from map_core.analysis.sensitivity import SensitivityCurve, sensitivity_curve
from map_core.confidence import bands, sandwich
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table

OTHER_TARGETS = np.array([np.nan, 0.2, np.nan, np.nan])


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=24, candidates=32))


@pytest.fixture(scope="module")
def curve(oracle) -> SensitivityCurve:
    return sensitivity_curve(oracle, OTHER_TARGETS, 0, points=9)


def test_at_the_base_model_by_hand():
    # Two prompts with levels -1/2 and 1/2 around their mean: variance 1/2, standard error sqrt(1/2 / 2) = 1/2.
    rewards = np.array([[0.0], [1.0], [1.0], [2.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("humor",), Form.PER_PROMPT)
    at_base = SensitivityCurve(0, np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), (), 1.0)
    error_bands = bands(oracle, at_base, level=0.9)
    half = student.ppf(0.95, 1) * 0.5 / float(oracle.scale[0])
    assert error_bands.levels.high[0, 0] == pytest.approx(half)
    assert error_bands.levels.low[0, 0] == pytest.approx(-half)
    assert (error_bands.kl.low[0], error_bands.kl.high[0], error_bands.prompts) == (0.0, 0.0, 2)


def test_each_point_has_the_error_bars_of_its_palette(oracle, curve):
    error_bands = bands(oracle, curve, level=0.9)
    quantile = student.ppf(0.95, oracle.prompts - 1)
    for i in (1, 4, 7):
        targets = OTHER_TARGETS.copy()
        targets[0] = curve.targets[i]
        errors = sandwich(oracle, solve(oracle, targets))
        assert error_bands.levels.high[i] - curve.levels[i] == pytest.approx(quantile * errors.levels, rel=1e-6)
        assert error_bands.weights.high[i] - curve.weights[i] == pytest.approx(quantile * errors.weights, rel=1e-6)
        centre = curve.kl[i] - errors.kl_bias
        assert error_bands.kl.high[i] == pytest.approx(centre + quantile * errors.kl, rel=1e-6)
        assert error_bands.kl.low[i] == pytest.approx(max(0.0, centre - quantile * errors.kl), rel=1e-6)


def test_bands_stay_in_the_valid_range(oracle, curve):
    error_bands = bands(oracle, curve)
    assert np.all(error_bands.weights.low >= 0)
    assert np.all((error_bands.kl.low >= 0) & (error_bands.kl.high <= oracle.log_candidates))
    assert np.all(error_bands.levels.low <= curve.levels)
    assert np.all(curve.levels <= error_bands.levels.high)


def test_bands_widen_with_the_level_and_narrow_with_more_prompts(oracle, curve):
    narrow, wide = bands(oracle, curve, level=0.5), bands(oracle, curve, level=0.95)
    assert np.all(wide.levels.high - wide.levels.low > narrow.levels.high - narrow.levels.low)
    larger_oracle = MemoryOracle.of(make_table(prompts=96, candidates=32))
    many = bands(larger_oracle, sensitivity_curve(larger_oracle, OTHER_TARGETS, 0, points=9))
    few = bands(oracle, curve)
    assert np.mean(many.levels.high - many.levels.low) < 0.7 * np.mean(few.levels.high - few.levels.low)


def test_an_empty_curve_has_empty_bands(oracle):
    empty_curve = sensitivity_curve(oracle, np.array([np.nan, 9.0, np.nan, np.nan]), 0)
    assert len(bands(oracle, empty_curve).kl.low) == 0


def test_invalid_level_and_single_prompt_are_refused(oracle, curve):
    with pytest.raises(InputError, match="between 0 and 1"):
        bands(oracle, curve, level=1.0)
    single = MemoryOracle.of(make_table(prompts=1, candidates=16))
    with pytest.raises(InputError, match="2 or more"):
        bands(single, sensitivity_curve(single, np.full(4, math.nan), 0, points=3))
