"""Tests of the sentences on the weights in use: all cases, for logs and for pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver, WeightsFacts, WeightsSource, scored_weights
from map_core.core.types import Form, Verdict
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.text.generation_weights import generation_notes, page_note
from tests.tables import make_table

FINE = WeightsFacts(Verdict.REACHABLE, 16, WeightsSource.PALETTE, weighted=True, table_verdict=Verdict.REACHABLE)
ON_PAPER = replace(FINE, verdict=Verdict.ON_PAPER)
NEAREST = replace(FINE, verdict=Verdict.OUT_OF_REACH, source=WeightsSource.NEAREST)
NONE = WeightsFacts(Verdict.OUT_OF_REACH, 16, WeightsSource.NONE, table_verdict=Verdict.OUT_OF_REACH)
PREFIX = "With 16 candidates to choose from, the palette is"


@pytest.mark.parametrize(
    ("facts", "notes"),
    [
        (FINE, ()),
        (
            ON_PAPER,
            (f"{PREFIX} possible, but not reliable: expect replies to fall short of it, or draw more candidates.",),
        ),
        (
            replace(NEAREST, given_up=("humor", "kindness")),
            (
                f"{PREFIX} not possible: the nearest possible palette stands in. It gives up some of humor and "
                "kindness. More candidates come closer.",
            ),
        ),
        (
            replace(NONE, pooled=True),
            (
                f"{PREFIX} not possible, and nothing near it is: nothing is steered.",
                "These are weights of the pooled form: used prompt by prompt they may miss the targets.",
            ),
        ),
        (
            replace(FINE, unscored=("calm", "wit")),
            ("There is no scorer for calm and wit, so new replies are not steered by them.",),
        ),
        (
            replace(FINE, weighted=False),
            ("No target asks for more than the base model gives, so nothing is steered.",),
        ),
        (
            replace(NONE, candidates=1, pooled=True),
            ("With a single candidate there is nothing to choose from: the reply is the base model's.",),
        ),
    ],
)
def test_notes_of_a_generation(facts: WeightsFacts, notes: tuple[str, ...]):
    assert generation_notes(facts) == notes


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        (FINE, ""),
        (NONE, "Nothing near your palette is possible, so there are no weights to steer by."),
        (
            replace(NEAREST, table_verdict=Verdict.OUT_OF_REACH),
            "Your palette is not possible, so the weights of the nearest possible palette are used.",
        ),
        (
            NEAREST,
            "The verdict above counts on more replies to choose from. Among the 16 written here not all of your "
            "targets can be met, so the nearest possible palette is used. Draw more to come closer.",
        ),
        (
            replace(NEAREST, locks_lowered=True, table_verdict=Verdict.OUT_OF_REACH),
            "The verdict above counts on more replies to choose from. Among the 16 written here not even the targets "
            "that must not be lowered can be met, so the nearest possible palette lowers them too. Draw more to come "
            "closer.",
        ),
        (
            ON_PAPER,
            "The verdict above counts on more replies to choose from. Among the 16 written here your targets can be "
            "met, but not reliably. Expect replies to fall short, or draw more.",
        ),
        (
            replace(ON_PAPER, table_verdict=Verdict.ON_PAPER),
            "Your palette is possible, but not reliable: expect replies to fall short of it.",
        ),
        (
            replace(FINE, unscored=("calm",)),
            "This app has no scorer for calm, so new replies are not steered by it.",
        ),
        (
            replace(FINE, weighted=False),
            "No target asks for more than the base model gives, so both replies are drawn alike.",
        ),
    ],
)
def test_page_note_follows_from_the_facts(facts: WeightsFacts, note: str):
    assert page_note(facts) == note


def test_targets_out_of_reach_use_the_nearest_weights():
    table = make_table()
    oracle = MemoryOracle.of(table)
    targets = np.full(len(table.values), np.nan)
    targets[0] = 1e3
    weights, facts = scored_weights(assess(oracle, targets), oracle, 4, table.values)
    assert (facts.verdict, facts.source) == (Verdict.OUT_OF_REACH, WeightsSource.NEAREST)
    assert facts.given_up == (table.values[0],)
    assert set(weights) == {table.values[0]}
    without_scorers, facts = scored_weights(assess(oracle, targets), oracle, 4, ())
    assert without_scorers == {}
    assert facts.weighted
    assert facts.unscored == (table.values[0],)
    solver = GenerationWeightsSolver(table, Form.POOLED)
    pooled = solver.solve(np.full(len(table.values), np.nan), 2)
    assert pooled.facts.pooled
    assert pooled.verdict is Verdict.REACHABLE
    assert pooled.targets == pooled.weights == {}
