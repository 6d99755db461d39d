"""Tests of the sentences on changes from one palette to another, with figures computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text import changes
from map_core.text.changes import LevelChange
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=24, candidates=32, seed=3)
CHANGES = (
    LevelChange(0, 60.2, 70.8),
    LevelChange(1, 60.0, 52.0),
    LevelChange(2, 30.4, 29.6),
    LevelChange(3, 50.0, 55.0),
)


def test_levels_become_percentiles():
    oracle = MemoryOracle.of(TABLE)
    before, after = np.array([0.3, 0.0, -0.2, 0.0]), np.array([0.5, 0.0, -0.4, 0.1])
    moves = changes.level_changes(oracle, percentiles(TABLE), before, after)
    expected = [percentiles(TABLE).percentile_of(2, float(oracle.rewards_at(levels)[2])) for levels in (before, after)]
    assert (moves[2].before, moves[2].after) == pytest.approx(tuple(expected), abs=0.1)
    assert [move.value for move in moves] == [0, 1, 2, 3]
    assert moves[0].moved > 0 > moves[2].moved
    assert moves[1].moved == 0


def test_gains_and_losses_sentences():
    assert changes.gains_sentence(CHANGES, VALUES) == "You gain helpfulness (11) and positivity (5)."
    assert changes.losses_sentence(CHANGES, VALUES) == "You lose harmlessness (8)."
    assert changes.gains_sentence(CHANGES[1:3], VALUES) == ""
    assert changes.losses_sentence(CHANGES[:1], VALUES) == ""


def test_changes_are_counted_between_rounded_percentiles():
    assert CHANGES[2].moved == 0
    assert LevelChange(0, 60.4, 60.6).moved == 1


# The best of n drafts costs log n - (n - 1) / n: 0.193 nats for 2, 0.636 for 4.
@pytest.mark.parametrize("drafts", [2, 4])
def test_price_as_best_of_drafts(drafts):
    kl = math.log(drafts) - (drafts - 1) / drafts
    assert changes.price_text(kl) == f"{kl:.2f} nats, like the best of {drafts} drafts"


def test_cost_compared_with_before():
    best_of_two, best_of_four = math.log(2) - 0.5, math.log(4) - 0.75
    assert changes.cost_sentence(best_of_two, best_of_four) == (
        "It costs 0.44 nats more: 0.64 nats, like the best of 4 drafts, instead of 0.19, like the best of 2."
    )
    assert changes.cost_sentence(best_of_four, best_of_two).startswith(
        "It costs 0.44 nats less: 0.19 nats, like the best of 2 drafts"
    )
    assert changes.cost_sentence(best_of_two, best_of_two + 1e-3).startswith("It costs as much as now: 0.19 nats")
    assert changes.cost_sentence(0.0, best_of_two).endswith("instead of nothing.")
    assert changes.cost_sentence(best_of_two, 0.0).startswith("It costs nothing, instead of 0.19 nats")
    assert changes.cost_sentence(0.0, 0.0) == "It costs as much as now: nothing."
