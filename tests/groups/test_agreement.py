"""Tests of the cache of an agreement's results: evicted results are recomputed and never missing."""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.groups import AgreementCache, Group
from map_core.oracle import MemoryOracle


def test_full_cache_keeps_every_pair_of_the_current_call(monkeypatch: pytest.MonkeyPatch):
    """The cache holds 8 results: it has 3 pairs when 10 are requested, and storing the other 7 evicts 2 of those 3."""
    rewards = np.array(list(product((-1.0, 1.0), repeat=2)))
    oracle = MemoryOracle(rewards, [0, len(rewards)], ("v0", "v1"), Form.PER_PROMPT)
    groups = [Group(str(g), np.array([0.1 + 0.1 * g, 0.6 - 0.1 * g])) for g in range(5)]
    expected = AgreementCache(oracle).pairs(groups, 0.2)
    monkeypatch.setattr(sys.modules[AgreementCache.__module__], "CAPACITY", 8)
    cache = AgreementCache(oracle)
    assert len(cache.pairs(groups[:3], 0.2)) == 3
    for budget in (0.2, 0.3, 0.2):
        pairs = cache.pairs(groups, budget)
        assert len(cache._cache) == 8
    for pair, expected_pair in zip(pairs, expected, strict=True):
        assert (pair.first, pair.second, pair.relation) == (
            expected_pair.first,
            expected_pair.second,
            expected_pair.relation,
        )
        assert (pair.values, pair.asked_by) == (expected_pair.values, expected_pair.asked_by)
