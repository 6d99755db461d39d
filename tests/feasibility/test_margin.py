"""Tests of margin, ranges and conflicts: by hand, against linear programs and brute force, and on odd tables."""

from __future__ import annotations

import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, cutting_planes, margin, smallest_conflict
from map_core.oracle import MemoryOracle
from map_core.oracle.weighted import WeightedOracle
from tests.linear_program import full_extreme, full_margin
from tests.odd_tables import OddTable, odd_tables
from tests.tables import make_table


def three_replies() -> MemoryOracle:
    """Return one prompt with replies (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


def eight_values(form: Form = Form.PER_PROMPT, prompts: int = 64, candidates: int = 32) -> MemoryOracle:
    values = tuple("abcdefgh")
    return MemoryOracle.of(make_table(prompts, candidates, values, seed=1), form)


def test_triangle_by_hand():
    # (c, c) lies on the edge between the two good replies at c = 1/2; the certificate weighs both equally, and the
    # margin is the distance to the edge in standard deviations, s = sqrt(2)/3 for both.
    oracle = three_replies()
    s = math.sqrt(2) / 3
    for c in (0.4, 0.5, 0.7):
        result = margin(oracle, oracle.standardise(np.array([c, c])))
        assert result.value == pytest.approx((0.5 - c) / s, abs=1e-12)
        np.testing.assert_allclose(result.certificate, [0.5, 0.5], atol=1e-9)
        np.testing.assert_allclose(oracle.rewards_at(result.levels), [0.5, 0.5], atol=1e-9)


def test_a_rare_prompt_reaches_far_when_pooled():
    """A reply of weight 1e-4 lies a hundred standard deviations away, and mixes with it are attainable."""
    rewards = np.array([[0.0, 0.0], [100.0, -100.0]])
    plain = MemoryOracle(rewards, np.array([0, 1, 2]), ("helpfulness", "humor"), Form.POOLED)
    oracle = WeightedOracle(plain, np.array([1e4, 1.0]))
    for share in (0.95, 0.99):  # of the rare reply: humor falls to -95 or -99, and its target is -97
        levels = np.array([100.0 * share, -97.0])
        result = margin(oracle, oracle.standardise(levels))
        # Both values have the same scale s; a mix with a share q of the rare reply gives (q, -q) 100.
        s = float(oracle.scale[0])
        assert result.value == pytest.approx((97.0 - 100.0 * share) / (2 * s), abs=1e-9)


def test_ranges_of_the_triangle_by_hand():
    # With humor at 0.3 helpfulness goes from 0 to 0.7; with helpfulness at 0.6 humor goes from 0 to 0.4.
    oracle = three_replies()
    result = AttainableLevels(oracle).ranges(oracle.standardise(np.array([0.6, 0.3])))
    np.testing.assert_allclose(oracle.rewards_at(result.T), [[0.0, 0.0], [0.7, 0.4]], atol=1e-9)


def test_a_conflict_by_hand():
    # A level of 0.8 of one value leaves 0.2 of the other.
    oracle = three_replies()
    result = smallest_conflict(AttainableLevels(oracle), oracle.standardise(np.array([0.8, 0.7])))
    assert result.members == (0, 1)
    assert result.smallest
    np.testing.assert_allclose(oracle.rewards_at(result.highest), [0.3, 0.2], atol=1e-9)
    assert result.resolves.all()


def test_one_target_beyond_every_reply_is_a_conflict_by_itself():
    oracle = three_replies()
    result = smallest_conflict(AttainableLevels(oracle), oracle.standardise(np.array([1.5, 0.1])))
    assert result.members == (0,)
    assert oracle.rewards_at(result.highest)[0] == pytest.approx(1.0)
    assert math.isnan(result.highest[1])
    assert result.resolves.tolist() == [True, False]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", list(Form))
def test_margin_is_the_full_linear_program(form: Form, seed: int):
    table = make_table(prompts=8, candidates=10, seed=seed)
    oracle = MemoryOracle.of(table, form)
    d = np.random.default_rng(seed).uniform(-0.5, 2.0, 4)
    d[seed % 4] = np.nan
    result = margin(oracle, d)
    expected = full_margin(oracle.standardise(table.rewards), table.offsets, form, d)
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert result.gap <= 1e-9
    assert result.certificate.sum() == pytest.approx(1.0)
    assert np.all(result.certificate >= 0)


@pytest.mark.parametrize("form", list(Form))
def test_the_certificate_gives_the_margin_and_its_levels_are_attainable(form: Form):
    oracle = eight_values(form)
    rng = np.random.default_rng(0)
    for share in (0.4, 0.8, 1.6):
        d = rng.uniform(0, share, 8)
        result = margin(oracle, d)
        w = result.certificate
        assert result.value == pytest.approx(float(w @ (oracle.best(w) - d)), abs=1e-12)
        assert float((result.levels - d).min()) == pytest.approx(result.value - result.gap, abs=1e-12)
        # The levels are attainable: no direction separates them from the replies.
        for direction in rng.normal(size=(50, 8)):
            assert direction @ result.levels <= direction @ oracle.best(direction) + 1e-9


def test_no_more_than_three_times_the_passes_of_the_pooled_form():
    per_prompt, pooled = eight_values(), eight_values(Form.POOLED)
    rng = np.random.default_rng(2)
    for share in (0.3, 0.6, 0.9, 1.2):
        d = rng.uniform(0, share, 8)
        assert margin(per_prompt, d).passes <= 3 * margin(pooled, d).passes


def test_a_moved_target_costs_few_passes():
    oracle = eight_values()
    shared = AttainableLevels(oracle)
    d = np.random.default_rng(3).uniform(0, 0.7, 8)
    shared.margin(d)
    for j in range(8):
        changed = d.copy()
        changed[j] += 0.05
        result = shared.margin(changed)
        assert result.passes <= 4
        assert result.value == pytest.approx(margin(oracle, changed).value, abs=2e-9)


@pytest.mark.parametrize("form", list(Form))
def test_shared_corners_do_not_change_the_margin(form: Form):
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8), form)
    shared = AttainableLevels(oracle)
    rng = np.random.default_rng(3)
    for d in rng.uniform(0, 1.5, (40, 4)):
        d[rng.random(4) < 0.2] = np.nan
        result = shared.margin(d)
        assert result.value == pytest.approx(margin(oracle, d).value, abs=2e-9)
        assert result.gap <= 1e-9 or math.isinf(result.value)
        shared.ranges(d)


@pytest.mark.parametrize(("name", "setting"), [("MAX_GROUPS", 3), ("MAX_NUMBERS", 0), ("MAX_CORNERS_PER_GROUP", 1)])
def test_limits_of_stored_corners_do_not_change_the_results(monkeypatch: pytest.MonkeyPatch, name: str, setting: int):
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=8))
    targets = np.random.default_rng(1).uniform(0, 1.2, (8, 4))
    expected = [margin(oracle, d).value for d in targets]
    ranges = AttainableLevels(oracle).ranges(targets[0])
    monkeypatch.setattr(cutting_planes, name, setting)
    shared = AttainableLevels(oracle)
    np.testing.assert_allclose([shared.margin(d).value for d in targets], expected, atol=2e-9)
    np.testing.assert_allclose(shared.ranges(targets[0]), ranges, atol=1e-8)


class HalfSampledOracle(MemoryOracle):
    """An oracle whose subsample consists of every second prompt."""

    def subsample(self, share: float) -> MemoryOracle:
        table = make_table(prompts=80, candidates=16, seed=8)
        rewards = table.rewards.reshape(80, 16, -1)[::2].reshape(-1, 4)
        return MemoryOracle(rewards, np.arange(41) * 16, table.values, self.form)


@pytest.mark.parametrize("share", [0.5, 1.0, 1.5])
def test_start_from_a_subsample_does_not_change_the_margin(monkeypatch: pytest.MonkeyPatch, share: float):
    table = make_table(prompts=80, candidates=16, seed=8)
    plain, subsampled = MemoryOracle.of(table), HalfSampledOracle.of(table)
    d = share * np.array([1.0, 0.6, 1.2, 0.8])
    monkeypatch.setattr(importlib.import_module("map_core.feasibility.margin"), "LARGE", 64)
    monkeypatch.setattr(cutting_planes, "MAX_GROUPS", 8)
    result = margin(subsampled, d)
    assert result.gap <= 1e-9
    assert result.value == pytest.approx(margin(plain, d).value, abs=2e-9)


@pytest.mark.parametrize("failures", [1, 2, 30])
def test_failing_linear_program_is_retried(monkeypatch: pytest.MonkeyPatch, failures: int):
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    d = np.array([0.5, 0.4, 0.2, 0.3])
    expected = margin(oracle, d).value
    remaining, status = [failures], cutting_planes.highspy.Highs.getModelStatus

    def fail_first(program: cutting_planes.highspy.Highs) -> cutting_planes.highspy.HighsModelStatus:
        remaining[0] -= 1
        return status(program) if remaining[0] < 0 else cutting_planes.highspy.HighsModelStatus.kUnknown

    monkeypatch.setattr(cutting_planes._Program, "getModelStatus", fail_first, raising=False)
    result = margin(oracle, d)
    if failures < 3:
        assert result.value == pytest.approx(expected, abs=1e-9)
    else:  # no more retries: the value is only an upper bound, which the infinite gap shows
        assert result.gap == math.inf
        assert result.value >= expected - 1e-9


def test_targets_far_below_lose_no_digits():
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    d = np.array([0.5, 0.4, np.nan, np.nan])
    expected = margin(oracle, d)
    for level in (-1e3, -1e9, -1e300):
        result = margin(oracle, np.array([0.5, 0.4, level, np.nan]))
        assert result.value == pytest.approx(expected.value, abs=1e-9)
        assert result.certificate[2] == 0
    assert margin(oracle, np.array([1e12, 0.4, -1e12, np.nan])).value == pytest.approx(-1e12)


def test_threads_may_share_corners():
    oracle = eight_values(prompts=24)
    targets = np.random.default_rng(5).uniform(0, 1.0, (24, 8))
    expected = [margin(oracle, d).value for d in targets]
    shared = AttainableLevels(oracle)
    with ThreadPoolExecutor(4) as threads:
        result = [margin.value for margin in threads.map(shared.margin, targets)]
    np.testing.assert_allclose(result, expected, atol=2e-9)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]):
    # The commands print JSON to the same stream.
    margin(three_replies(), np.array([0.5, 0.5]))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("seed", range(4))
def test_ranges_are_the_full_linear_program(seed: int, form: Form):
    table = make_table(prompts=8, candidates=10, seed=seed)
    oracle = MemoryOracle.of(table, form)
    z = oracle.standardise(table.rewards)
    d = np.random.default_rng(seed).uniform(0, (0.6, 0.8, 1.5, 2.0)[seed], 4)
    d[seed % 4] = np.nan
    result = AttainableLevels(oracle).ranges(d)
    for j in range(4):
        expected = [full_extreme(z, table.offsets, form, d, j, sign) for sign in (-1.0, 1.0)]
        np.testing.assert_allclose(result[j], expected, atol=1e-8)
        assert AttainableLevels(oracle).highest(d, j) == pytest.approx(expected[1], abs=1e-8, nan_ok=True)


def test_ranges_of_a_free_palette_are_the_extremes():
    oracle = MemoryOracle.of(make_table())
    result = AttainableLevels(oracle).ranges(np.full(4, np.nan))
    for j, unit in enumerate(np.eye(4)):
        assert result[j, 0] == pytest.approx(oracle.best(-unit)[j], abs=1e-9)
        assert result[j, 1] == pytest.approx(oracle.best(unit)[j], abs=1e-9)


@pytest.mark.parametrize("value", range(4))
def test_highest_level_is_the_edge(value: int):
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=16))
    attainable = AttainableLevels(oracle)
    d = np.array([0.4, 0.3, np.nan, 0.2])
    top = attainable.highest(d, value)
    d[value] = top
    assert attainable.margin(d).value >= -1e-9
    d[value] = top + 1e-6
    assert attainable.margin(d).value < 0


def test_highest_with_the_others_on_the_boundary():
    # Both targets lie on the boundary; they are attainable and neither can be raised.
    oracle = three_replies()
    d = oracle.standardise(np.array([0.6, 0.4]))
    result = AttainableLevels(oracle).ranges(d)
    np.testing.assert_allclose(result[:, 1], d, atol=1e-8)


def test_highest_is_unknown_when_the_others_are_out_of_reach():
    attainable = AttainableLevels(MemoryOracle.of(make_table(prompts=15, candidates=8)))
    d = np.array([3.0, 3.0, np.nan, np.nan])
    assert math.isnan(attainable.highest(d, 2))
    assert np.isnan(attainable.ranges(d)[2:]).all()


def smallest_conflict_size(oracle: MemoryOracle, d: np.ndarray) -> int:
    """Count the targets in the smallest subset that is out of reach."""
    targeted = np.flatnonzero(~np.isnan(d))
    for size in range(1, len(targeted) + 1):
        for subset in combinations(targeted, size):
            subset_targets = np.full(len(d), np.nan)
            subset_targets[list(subset)] = d[list(subset)]
            if not margin(oracle, subset_targets).attainable:
                return size
    raise AssertionError("every subset is attainable")


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("seed", range(8))
def test_conflict_is_the_smallest(seed: int, form: Form):
    rng = np.random.default_rng(seed)
    values = tuple("abcdef")
    oracle = MemoryOracle.of(make_table(10, 12, values, seed=seed), form)
    attainable = AttainableLevels(oracle)
    d = rng.uniform(0.3, (0.9, 1.2, 2.0, 1.5)[seed % 4], 6)
    while attainable.margin(d).attainable:
        d += 0.1
    result = smallest_conflict(attainable, d)
    assert result.smallest
    assert len(result.members) == smallest_conflict_size(oracle, d)
    conflicting = np.full(6, np.nan)
    conflicting[list(result.members)] = d[list(result.members)]
    assert not margin(oracle, conflicting).attainable
    for j in range(6):
        if j in result.members:
            reduced = conflicting.copy()
            reduced[j] = np.nan
            assert margin(oracle, reduced).attainable  # irreducible
            assert result.highest[j] == pytest.approx(attainable.highest(conflicting, j), abs=1e-8)
            assert result.highest[j] < d[j]
            reduced = d.copy()
            reduced[j] = np.nan
            assert result.resolves[j] == margin(oracle, reduced).attainable
        else:
            assert math.isnan(result.highest[j])
            assert not result.resolves[j]


def test_a_search_that_is_cut_short_still_finds_an_irreducible_conflict():
    oracle = eight_values(prompts=12, candidates=8)
    d = np.full(8, 0.8)
    result = smallest_conflict(AttainableLevels(oracle), d, max_checks=1)
    conflicting = np.full(8, np.nan)
    conflicting[list(result.members)] = d[list(result.members)]
    assert not margin(oracle, conflicting).attainable
    for j in result.members:
        without = conflicting.copy()
        without[j] = np.nan
        assert margin(oracle, without).attainable


def test_attainable_targets_have_no_conflict():
    assert smallest_conflict(AttainableLevels(three_replies()), np.array([-0.5, -0.5])) is None


@pytest.mark.parametrize("targets", [np.array([np.inf, 0, 0, 0]), np.zeros(3)])
def test_invalid_targets_are_refused(targets: np.ndarray):
    attainable = AttainableLevels(MemoryOracle.of(make_table()))
    for function in (attainable.margin, attainable.ranges, lambda d: smallest_conflict(attainable, d)):
        with pytest.raises(InputError, match="expected 4 finite numbers"):
            function(targets)


@pytest.mark.parametrize("form", list(Form))
def test_values_that_differ_between_prompts_only(form: Form):
    # Per prompt such a value stays at its base level, on the boundary; pooled it is attainable.
    table = make_table(prompts=10, candidates=6)
    rewards = table.rewards.copy()
    rewards[:, 0] = np.repeat(np.arange(10.0), 6)
    oracle = MemoryOracle(rewards, table.offsets, table.values, form)
    attainable = AttainableLevels(oracle)
    for level in (-0.5, 0.0, 0.5):
        d = np.array([level, np.nan, 0.2, np.nan])
        expected = full_margin(oracle.standardise(rewards), table.offsets, form, d)
        result = attainable.margin(d)
        assert result.value == pytest.approx(expected, abs=1e-9)
        assert result.attainable == (level <= 0 or form is Form.POOLED)


@pytest.mark.parametrize("form", list(Form))
def test_rewards_in_single_precision_give_the_same_margin(form: Form):
    table = make_table(prompts=12, candidates=10)
    single = MemoryOracle(table.rewards.astype(np.float32), table.offsets, table.values, form)
    for d in np.random.default_rng(0).uniform(0, 1.2, (5, 4)):
        result = margin(single, d)
        assert result.gap <= 1e-9
        assert result.value == pytest.approx(margin(MemoryOracle.of(table, form), d).value, abs=1e-5)


@pytest.mark.slow
@settings(max_examples=250)
@given(odd_tables())
def test_the_margin_on_odd_tables_is_that_of_a_linear_program(odd: OddTable):
    attainable = AttainableLevels(odd.oracle)
    for d in odd.targets(2):
        result, expected = attainable.margin(d), odd.true_margin(d)
        size = max(1.0, np.abs(np.nan_to_num(d)).max())
        assert result.gap <= 1e-9 * size
        assert result.value == pytest.approx(expected, abs=1e-7 * size)
        assert result.attainable == (expected >= 0) or abs(expected) < 2e-7 * size
        ranges = attainable.ranges(d)
        assert np.all((ranges[:, 0] <= ranges[:, 1] + 1e-9) | np.isnan(ranges[:, 0]))
        conflict = smallest_conflict(attainable, d, max_checks=100)
        assert (conflict is None) == result.attainable
        if conflict is None:
            assert not np.isnan(ranges).any()
            wanted = ~np.isnan(d) & ~odd.oracle.constant
            assert np.all(ranges[wanted, 1] >= d[wanted] - 1e-8 * size)
        else:
            members = list(conflict.members)
            assert members
            assert conflict.smallest or len(d) == 20
            assert np.all(conflict.highest[members] < d[members] + 1e-9)
