"""Tests of parsing levels as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles, resolve
from tests.tables import make_table

TABLE = make_table()
ORACLE = MemoryOracle.of(TABLE)


def test_three_ways_to_write_a_level():
    levels = resolve({"humor": 1.5, "helpfulness": "p70", "positivity": "+0.5sd"}, TABLE, ORACLE)
    assert levels[2] == 1.5
    assert np.mean(TABLE.rewards[:, 0] <= levels[0]) == pytest.approx(0.7, abs=0.01)
    assert levels[3] == pytest.approx(TABLE.rewards[:, 3].mean() + 0.5 * TABLE.rewards[:, 3].std())
    assert np.isnan(levels[1])
    assert resolve({"humor": " -1.25 "}, TABLE, ORACLE)[2] == -1.25
    assert resolve({"humor": "-1sd"}, TABLE, ORACLE)[2] < ORACLE.base[2]


@pytest.mark.parametrize("level", ["high", "p101", "p", None, True, "nan", float("inf"), [1], "+sd", "", 10**400])
def test_invalid_levels_are_refused(level: object):
    with pytest.raises(InputError, match="The target of humor is"):
        resolve({"humor": level}, TABLE, ORACLE)


def test_an_unknown_value_is_named_with_those_that_exist():
    with pytest.raises(InputError, match=r"Unknown value 'humour'; this table has helpfulness, .*humor"):
        resolve({"humour": 1}, TABLE, ORACLE)


def test_targets_that_are_not_a_mapping_are_refused():
    with pytest.raises(InputError, match="expected names with levels"):
        resolve([("humor", 1)], TABLE, ORACLE)  # type: ignore[arg-type]


def test_percentiles_and_levels_convert_both_ways():
    scale = percentiles(TABLE)
    for percent in (0, 12.5, 50, 80, 100):
        assert scale.percentile_of(1, scale.level(1, percent)) == pytest.approx(percent)
    assert scale.level(0, 70) == pytest.approx(np.percentile(TABLE.rewards[:, 0], 70))
    assert scale.percentile_of(0, 1e9) == 100
    assert scale.percentile_of(0, -1e9) == 0


def test_a_streamed_table_takes_rewards_and_deviations_and_no_percentiles():
    levels = resolve({"humor": 1.5, "positivity": "+0.5sd"}, None, ORACLE)
    np.testing.assert_array_equal(levels, resolve({"humor": 1.5, "positivity": "+0.5sd"}, TABLE, ORACLE))
    with pytest.raises(InputError, match=r"humor is 'p70', and percentiles need a table in memory; .* or \+0\.5sd"):
        resolve({"humor": "p70"}, None, ORACLE)
    with pytest.raises(InputError, match="Unknown value 'wit'; this table has helpfulness, "):
        resolve({"wit": 1.0}, None, ORACLE)
