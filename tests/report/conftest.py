"""The table of most reports in these tests."""

from __future__ import annotations

import pytest

from map_core.data.reward_table import RewardTable
from tests.tables import make_table


@pytest.fixture(scope="module")
def table() -> RewardTable:
    return make_table(prompts=20, candidates=32, seed=5)
