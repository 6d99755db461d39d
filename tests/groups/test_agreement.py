"""The cache of an agreement's results: what it drops is computed again, and is never missing."""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.groups import AgreementCache, Group
from map_core.oracle import MemoryOracle


def test_a_cache_that_is_full_loses_no_pair_of_the_call_that_fills_it(monkeypatch: pytest.MonkeyPatch):
    """Room for 8 results: 3 pairs are held when 10 are asked for, and storing the other 7 drops 2 of those."""
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
    for pair, other in zip(pairs, expected, strict=True):
        assert (pair.first, pair.second, pair.relation) == (other.first, other.second, other.relation)
        assert (pair.values, pair.asked_by) == (other.values, other.asked_by)
