"""The frontier: every point spends its budget, none can be improved, linear weights give them all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.errors import InputError
from map_core.frontier import frontier
from map_core.glossary import Form
from map_core.oracle import MemoryOracle
from tests.tables import make_table


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=15, candidates=16), request.param)


def test_one_value_alone_by_hand():
    # Two replies (0, 0) and (1, 0): all weight on the first value, KL(q) = log 2 + q log q + (1-q) log(1-q) = b.
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("helpfulness", "humor"), Form.PER_PROMPT)
    q = 0.8
    budget = math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)
    contour = frontier(oracle, (0, 1), [budget], directions=5).contours[0]
    assert oracle.rewards_at(contour.levels[-1])[0] == pytest.approx(q, abs=1e-6)


def test_points_spend_their_budget_and_lie_in_order(oracle: MemoryOracle):
    found = frontier(oracle, (0, 1), [1.0, 0.25])
    assert [c.budget for c in found.contours] == [0.25, 1.0, math.inf]
    for contour in found.contours[:2]:
        np.testing.assert_allclose(contour.kl, contour.budget, atol=1e-6)
        assert np.all(np.diff(contour.levels[:, 0]) >= -1e-9)
        assert np.all(np.diff(contour.levels[:, 1]) <= 1e-9)
        assert np.all(contour.weights >= 0)
        for x, levels in zip(contour.weights, contour.levels, strict=True):
            np.testing.assert_allclose(oracle.moments(x).levels, levels, atol=1e-9)


def test_no_other_weights_dominate_a_point(oracle: MemoryOracle):
    contour = frontier(oracle, (0, 2), [0.5], limit=False).contours[0]
    rng = np.random.default_rng(0)
    for x in rng.normal(0, 0.8, (400, 4)):
        at = oracle.moments(x)
        if x @ at.levels - at.log_normaliser <= 0.5:
            for levels in contour.levels:
                assert not np.all(at.levels[[0, 2]] > levels[[0, 2]] + 1e-6)


def test_floors_are_kept_and_cost_something(oracle: MemoryOracle):
    floors = np.array([np.nan, np.nan, 0.3, np.nan])
    free = frontier(oracle, (0, 1), [0.5], directions=9, limit=False).contours[0]
    kept = frontier(oracle, (0, 1), [0.5], floors=floors, directions=9).contours[0]
    np.testing.assert_allclose(kept.kl, 0.5, atol=1e-5)
    assert np.all(kept.levels[:, 2] >= 0.3 - 1e-7)
    directions = np.column_stack([np.sin(np.linspace(0, np.pi / 2, 9)), np.cos(np.linspace(0, np.pi / 2, 9))])
    reach_free = np.sum(directions * free.levels[:, :2], axis=1)
    reach_kept = np.sum(directions * kept.levels[:, :2], axis=1)
    assert np.all(reach_kept <= reach_free + 1e-6)
    assert np.any(reach_kept < reach_free - 1e-3)


def test_floors_beyond_the_budget_leave_an_empty_contour(oracle: MemoryOracle):
    found = frontier(oracle, (0, 1), [0.01], floors=np.array([np.nan, np.nan, 0.6, np.nan]))
    assert found.contours[0].levels.shape == (0, 4)


def test_a_budget_beyond_every_reply_is_the_limit():
    oracle = MemoryOracle.of(make_table(prompts=10, candidates=4))
    beyond, limit = frontier(oracle, (0, 1), [50.0], directions=7).contours
    inside = slice(1, -1)
    np.testing.assert_allclose(beyond.levels[inside], limit.levels[inside], atol=1e-6)


@pytest.mark.parametrize(("pair", "budgets"), [((0, 0), [1.0]), ((0, 9), [1.0]), ((0, 1), [0.0]), ((0, 1), [math.nan])])
def test_bad_input(oracle: MemoryOracle, pair: tuple[int, int], budgets: list[float]):
    with pytest.raises(InputError, match="expected"):
        frontier(oracle, pair, budgets)
