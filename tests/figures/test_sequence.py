"""The picture of a sequence is its numbers, and its words are its picture."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from map_core.analysis.order_effects import compare_orders
from map_core.analysis.sequential import sequential_path
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.figures import order_effects as compared
from map_core.figures import sequence as drawn
from map_core.figures import sequence_text as told
from map_core.figures.theme import DEFAULT_THEME
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.solver.newton import solve
from map_core.text.units import Units
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=20, candidates=16, seed=4)
ORACLE = MemoryOracle.of(TABLE)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)
TARGETS = np.array([0.3, 0.2, 0.25, math.nan])


def opposites(targets: list[float], rounds: int = 1) -> drawn.SequenceFigureData:
    """Two replies, one kind and one funny: level_1 = tanh(x_1 - x_2) = - level_2, so what one gains the other loses."""
    table = RewardTable(("kind", "funny"), np.eye(2), np.array([0, 2]), ("p",), ("p",), ("p",))
    oracle = MemoryOracle.of(table, Form.PER_PROMPT)
    # In rewards: a level of 0.5 standard deviations is 0.5 + 0.5 * 0.5 = 0.75, one of -0.2 is 0.4.
    units = Units(oracle, percentiles(table), "reward", table.values)
    return drawn.SequenceFigureData(sequential_path(oracle, np.array(targets), rounds=rounds), None, units)


@pytest.fixture(scope="module")
def data() -> drawn.SequenceFigureData:
    return drawn.SequenceFigureData(
        sequential_path(ORACLE, TARGETS, (2, 0, 1), rounds=2), solve(ORACLE, TARGETS), UNITS
    )


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_opposites_by_hand():
    data = opposites([0.5, 0.2])
    first, second = told.sequence_steps(data)
    assert (first.number, first.round, first.value, first.undone) == (1, 1, 0, ())
    assert second.value == 1
    assert [fell for fell, _, _ in second.undone] == [0]
    # Funny to +0.2 puts kind at -0.2: its shortfall grows from 0 to 0.7.
    assert data.path.undone[1, 0] == pytest.approx(0.7)
    figure = drawn.path(data)
    assert np.array(trace(figure, "kind").y) == pytest.approx([0.5, 0.75, 0.4], abs=1e-8)
    assert np.array(trace(figure, "undone: kind").y) == pytest.approx([0.4], abs=1e-8)
    assert list(trace(figure, "undone: kind").x) == [2]
    assert not [t for t in figure.data if t.name == "undone: funny" or t.name.startswith("all at once")]


def test_the_panels_are_the_path(data: drawn.SequenceFigureData):
    figure, path = drawn.path(data), data.path
    for j in (2, 0, 1):
        line = trace(figure, VALUES[j])
        assert np.array(line.y) == pytest.approx(UNITS.of(j, path.levels[:, j]))
        assert line.line.color == DEFAULT_THEME.colour(j)
        steps = 1 + np.flatnonzero(path.aligned == j)
        assert [at for at, size in enumerate(line.marker.size) if size > 4] == steps.tolist()
        together = trace(figure, f"all at once: {VALUES[j]}")
        assert together.y[0] == pytest.approx(float(UNITS.of(j, np.array(data.together.levels[j]))))
    assert [line.yaxis for line in (trace(figure, VALUES[j]) for j in (2, 0, 1))] == ["y", "y2", "y3"]
    assert np.array(trace(figure, "distance").y) == pytest.approx(path.kl)
    assert list(figure.layout.xaxis4.ticktext) == ["Base", *["Humor", "Helpfulness", "Harmlessness"] * 2, "All at once"]


def test_many_steps_are_counted_in_rounds():
    data = drawn.SequenceFigureData(sequential_path(ORACLE, TARGETS, rounds=5), solve(ORACLE, TARGETS), UNITS)
    figure = drawn.path(data)
    assert list(figure.layout.xaxis4.ticktext) == ["Base", "Round 1", "2", "3", "4", "5", "All at once"]
    assert all(text == "" for t in figure.data if t.name.startswith("undone") for text in t.text)


def test_what_is_undone_in_words(data: drawn.SequenceFigureData):
    path, steps, lines = data.path, told.sequence_steps(data), told.summary(data)
    assert len(lines) == path.steps == 6
    for at, (step, sentence) in enumerate(zip(steps, lines, strict=True)):
        assert sentence.startswith(f"{at + 1}. Aligning {VALUES[step.value]} ")
        assert {i for i, _, _ in step.undone} == set(np.flatnonzero(path.undone[at] >= drawn.NEAR))
        for i, before, after in step.undone:
            assert f"{VALUES[i]} from {before} to {after}" in sentence
    at, i = np.unravel_index(np.argmax(path.undone), path.undone.shape)
    assert told.largest_loss_sentence(data).startswith(f"Aligning {VALUES[path.aligned[at]]} took {VALUES[i]} from p")
    header, rows = told.table(data)
    assert [value for value, _ in rows] == path.aligned.tolist()
    assert all(len(cells) == len(header) for _, cells in rows)


def test_levels_that_round_alike_are_told_apart_and_one_level_has_one_text():
    def at(percentile: float) -> float:
        return float(ORACLE.standardise(np.full(4, percentiles(TABLE).level(0, percentile)))[0])

    def path(target: float) -> drawn.SequenceFigureData:
        levels = np.array([[at(40.2)], [at(69.46)], [at(69.5)]])
        steps = {"aligned": np.array([0, 1]), "undone": np.zeros((2, 1)), "shortfall": at(target) - levels}
        one = SimpleNamespace(order=(0,), levels=levels, targets=np.array([at(target)]), **steps)
        return drawn.SequenceFigureData(one, None, UNITS)

    # It misses by less than a place, which a sentence says; what the other value's step adds is said nowhere.
    assert (path(70.3).change(0, 0), path(70.3).level(0, at(70.3))) == (("p40.2", "p69.5"), "p70.3")
    assert (path(80.0).change(0, 0), path(80.0).level(0, at(80.0))) == (("p40", "p69"), "p80")


def test_a_title_says_what_the_sentences_say(data: drawn.SequenceFigureData):
    titles = [note.text for note in drawn.path(data).layout.annotations]
    for j in data.path.order:
        reached = data.level(j, data.path.levels[-1, j])
        assert any(title.startswith(f"{data.name(j)}: {reached} at the end") for title in titles)


def test_the_sentence_says_which_targets_are_missed_at_the_end(data: drawn.SequenceFigureData):
    first_round = replace(data, path=data.path.after(1))
    assert told.ending_sentence(first_round).startswith("After 1 round ")
    assert (
        told.missed_targets(first_round)[0].split(" is at ")[0]
        == VALUES[int(np.argmax(first_round.path.shortfall[-1]))]
    )
    settled = replace(data, path=sequential_path(ORACLE, TARGETS, rounds=60))
    assert "every target is met" in told.ending_sentence(settled)
    rounds = settled.path.rounds_to(data.together.levels, drawn.NEAR)
    assert f"it takes {rounds} rounds" in told.rounds_needed_sentence(rounds, 60)
    assert "one round is enough" in told.rounds_needed_sentence(1, 60)
    assert "After 60 rounds" in told.rounds_needed_sentence(None, 60)
    assert told.stop_sentence(settled) == ""


def test_values_that_do_not_pull_undo_nothing():
    grid = np.array([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    table = RewardTable(("a", "b"), grid, np.array([0, 4]), ("p",), ("p",), ("p",))
    oracle = MemoryOracle.of(table, Form.PER_PROMPT)
    targets = np.array([0.4, 0.6])
    units = Units(oracle, percentiles(table), "percentile", ("a", "b"))
    data = drawn.SequenceFigureData(sequential_path(oracle, targets), solve(oracle, targets), units)
    assert told.largest_loss_sentence(data) == "No step takes back what an earlier one gave."
    assert not [t for t in drawn.path(data).data if t.name.startswith("undone")]


def test_out_of_reach_says_where_the_path_stops():
    together = opposites([0.5, 0.2], rounds=10_000)
    assert "shows that no weights reach" in told.stop_sentence(together)
    assert "no number of rounds meets all targets" in told.ending_sentence(together)
    alone = drawn.SequenceFigureData(sequential_path(ORACLE, np.array([50.0, 0.1, math.nan, math.nan])), None, UNITS)
    assert (
        told.stop_sentence(alone) == "The path stops before its first step: helpfulness alone cannot reach its target."
    )
    assert told.ending_sentence(alone) == ""
    assert told.sequence_steps(alone) == ()
    assert told.largest_loss_sentence(alone) == "Not one step can be taken."


def test_the_data_are_the_path(data: drawn.SequenceFigureData):
    rows = list(csv.DictReader(io.StringIO(told.sequence_csv(data))))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4", "5", "6", "all at once"]
    assert [row["aligned"] for row in rows[1:4]] == ["humor", "helpfulness", "harmlessness"]
    assert [row["round"] for row in rows[1:7]] == ["1", "1", "1", "2", "2", "2"]
    for at, row in enumerate(rows[:-1]):
        levels = ORACLE.rewards_at(data.path.levels[at])
        assert [float(row[f"level_{v}"]) for v in VALUES] == pytest.approx(list(levels))
        assert float(row["kl_nats"]) == pytest.approx(data.path.kl[at])
    assert float(rows[2]["undone_sd_humor"]) == pytest.approx(data.path.undone[1, 2])
    assert float(rows[-1]["kl_nats"]) == pytest.approx(data.together.kl)


def test_a_name_is_text():
    data = opposites([0.5, 0.2])
    named = replace(data, units=replace(data.units, names=("<b>kind</b>", "funny")))
    figure = drawn.path(named)
    assert "&lt;b&gt;" in figure.layout.annotations[0].text
    assert "<b>" not in "".join(figure.layout.xaxis3.ticktext)


def test_the_orders_in_words():
    orders = compare_orders(ORACLE, TARGETS)
    lost = orders.losses[orders.worst].worst
    assert lost > drawn.NEAR
    assert compared.shortfall_sentence(orders, orders.worst, UNITS).endswith(" at the end")
    assert " is at p" in compared.shortfall_sentence(orders, orders.worst, UNITS)
    assert compared.order_summary(orders).startswith("All 6 orders were tried, for 1 round.")
    drawn_orders = compare_orders(ORACLE, TARGETS, limit=2)
    assert compared.order_summary(drawn_orders).startswith("2 orders, drawn at random from 6,")
    settled = compare_orders(ORACLE, TARGETS, rounds=200)
    assert "makes no difference" in compared.order_summary(settled)
    assert compared.shortfall_sentence(settled, 0, UNITS) == "every target is met at the end"
