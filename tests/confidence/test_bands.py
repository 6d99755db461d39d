"""Error bands of a sweep: by hand for one coin, then against the error bars of single palettes, then bad input."""

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

OTHERS = np.array([np.nan, 0.2, np.nan, np.nan])


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=24, candidates=32))


@pytest.fixture(scope="module")
def swept(oracle) -> SensitivityCurve:
    return sensitivity_curve(oracle, OTHERS, 0, points=9)


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


def test_each_point_has_the_error_bars_of_its_palette(oracle, swept):
    error_bands = bands(oracle, swept, level=0.9)
    reach = student.ppf(0.95, oracle.prompts - 1)
    for i in (1, 4, 7):
        targets = OTHERS.copy()
        targets[0] = swept.targets[i]
        alone = sandwich(oracle, solve(oracle, targets))
        assert error_bands.levels.high[i] - swept.levels[i] == pytest.approx(reach * alone.levels, rel=1e-6)
        assert error_bands.weights.high[i] - swept.weights[i] == pytest.approx(reach * alone.weights, rel=1e-6)
        centre = swept.kl[i] - alone.kl_bias
        assert error_bands.kl.high[i] == pytest.approx(centre + reach * alone.kl, rel=1e-6)
        assert error_bands.kl.low[i] == pytest.approx(max(0.0, centre - reach * alone.kl), rel=1e-6)


def test_a_band_stays_where_the_number_can_be(oracle, swept):
    error_bands = bands(oracle, swept)
    assert np.all(error_bands.weights.low >= 0)
    assert np.all((error_bands.kl.low >= 0) & (error_bands.kl.high <= oracle.log_candidates))
    assert np.all(error_bands.levels.low <= swept.levels)
    assert np.all(swept.levels <= error_bands.levels.high)


def test_a_higher_level_is_wider_and_more_prompts_are_narrower(oracle, swept):
    narrow, wide = bands(oracle, swept, level=0.5), bands(oracle, swept, level=0.95)
    assert np.all(wide.levels.high - wide.levels.low > narrow.levels.high - narrow.levels.low)
    more = MemoryOracle.of(make_table(prompts=96, candidates=32))
    many = bands(more, sensitivity_curve(more, OTHERS, 0, points=9))
    few = bands(oracle, swept)
    assert np.mean(many.levels.high - many.levels.low) < 0.7 * np.mean(few.levels.high - few.levels.low)


def test_an_empty_curve_has_empty_bands(oracle):
    nothing = sensitivity_curve(oracle, np.array([np.nan, 9.0, np.nan, np.nan]), 0)
    assert len(bands(oracle, nothing).kl.low) == 0


def test_what_has_no_error_bars_is_refused(oracle, swept):
    with pytest.raises(InputError, match="between 0 and 1"):
        bands(oracle, swept, level=1.0)
    single = MemoryOracle.of(make_table(prompts=1, candidates=16))
    with pytest.raises(InputError, match="2 or more"):
        bands(single, sensitivity_curve(single, np.full(4, math.nan), 0, points=3))
