"""Tests of the figure of a sequential alignment: it shows the computed path, and the sentences agree with it."""

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
from map_core.figures import order_effects
from map_core.figures import sequence as sequence_figures
from map_core.figures import sequence_text as sequence_texts
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


def opposed_values(targets: list[float], rounds: int = 1) -> sequence_figures.SequenceFigureData:
    """Return data of two replies, one kind and one funny: level_1 = tanh(x_1 - x_2) = - level_2, a pure trade-off."""
    table = RewardTable(("kind", "funny"), np.eye(2), np.array([0, 2]), ("p",), ("p",), ("p",))
    oracle = MemoryOracle.of(table, Form.PER_PROMPT)
    # In rewards: a level of 0.5 standard deviations is 0.5 + 0.5 * 0.5 = 0.75, one of -0.2 is 0.4.
    units = Units(oracle, percentiles(table), "reward", table.values)
    return sequence_figures.SequenceFigureData(sequential_path(oracle, np.array(targets), rounds=rounds), None, units)


@pytest.fixture(scope="module")
def data() -> sequence_figures.SequenceFigureData:
    return sequence_figures.SequenceFigureData(
        sequential_path(ORACLE, TARGETS, (2, 0, 1), rounds=2), solve(ORACLE, TARGETS), UNITS
    )


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_two_opposed_values_by_hand():
    data = opposed_values([0.5, 0.2])
    first, second = sequence_texts.sequence_steps(data)
    assert (first.number, first.round, first.value, first.undone) == (1, 1, 0, ())
    assert second.value == 1
    assert [value for value, _, _ in second.undone] == [0]
    # Raising funny to +0.2 lowers kind to -0.2, so its shortfall grows from 0 to 0.7.
    assert data.path.undone[1, 0] == pytest.approx(0.7)
    figure = sequence_figures.path(data)
    assert np.array(trace(figure, "kind").y) == pytest.approx([0.5, 0.75, 0.4], abs=1e-8)
    assert np.array(trace(figure, "undone: kind").y) == pytest.approx([0.4], abs=1e-8)
    assert list(trace(figure, "undone: kind").x) == [2]
    assert not [t for t in figure.data if t.name == "undone: funny" or t.name.startswith("all at once")]


def test_panels_show_the_path(data: sequence_figures.SequenceFigureData):
    figure, path = sequence_figures.path(data), data.path
    for j in (2, 0, 1):
        line = trace(figure, VALUES[j])
        assert np.array(line.y) == pytest.approx(UNITS.of(j, path.levels[:, j]))
        assert line.line.color == DEFAULT_THEME.colour(j)
        steps = 1 + np.flatnonzero(path.aligned == j)
        assert [step for step, size in enumerate(line.marker.size) if size > 4] == steps.tolist()
        together = trace(figure, f"all at once: {VALUES[j]}")
        assert together.y[0] == pytest.approx(float(UNITS.of(j, np.array(data.together.levels[j]))))
    assert [line.yaxis for line in (trace(figure, VALUES[j]) for j in (2, 0, 1))] == ["y", "y2", "y3"]
    assert np.array(trace(figure, "distance").y) == pytest.approx(path.kl)
    assert list(figure.layout.xaxis4.ticktext) == ["Base", *["Humor", "Helpfulness", "Harmlessness"] * 2, "All at once"]


def test_many_steps_are_counted_in_rounds():
    data = sequence_figures.SequenceFigureData(
        sequential_path(ORACLE, TARGETS, rounds=5), solve(ORACLE, TARGETS), UNITS
    )
    figure = sequence_figures.path(data)
    assert list(figure.layout.xaxis4.ticktext) == ["Base", "Round 1", "2", "3", "4", "5", "All at once"]
    assert all(text == "" for t in figure.data if t.name.startswith("undone") for text in t.text)


def test_sentences_on_lost_levels(data: sequence_figures.SequenceFigureData):
    path, steps, lines = data.path, sequence_texts.sequence_steps(data), sequence_texts.summary(data)
    assert len(lines) == path.steps == 6
    for index, (step, sentence) in enumerate(zip(steps, lines, strict=True)):
        assert sentence.startswith(f"{index + 1}. Aligning {VALUES[step.value]} ")
        assert {i for i, _, _ in step.undone} == set(np.flatnonzero(path.undone[index] >= sequence_figures.NEAR))
        for i, before, after in step.undone:
            assert f"{VALUES[i]} from {before} to {after}" in sentence
    index, i = np.unravel_index(np.argmax(path.undone), path.undone.shape)
    assert sequence_texts.largest_loss_sentence(data).startswith(
        f"Aligning {VALUES[path.aligned[index]]} took {VALUES[i]} from p"
    )
    header, rows = sequence_texts.table(data)
    assert [value for value, _ in rows] == path.aligned.tolist()
    assert all(len(cells) == len(header) for _, cells in rows)


def test_levels_that_round_to_the_same_text_get_more_digits():
    def level_of(percentile: float) -> float:
        return float(ORACLE.standardise(np.full(4, percentiles(TABLE).level(0, percentile)))[0])

    def figure_data(target: float) -> sequence_figures.SequenceFigureData:
        levels = np.array([[level_of(40.2)], [level_of(69.46)], [level_of(69.5)]])
        steps = {"aligned": np.array([0, 1]), "undone": np.zeros((2, 1)), "shortfall": level_of(target) - levels}
        single_value_path = SimpleNamespace(order=(0,), levels=levels, targets=np.array([level_of(target)]), **steps)
        return sequence_figures.SequenceFigureData(single_value_path, None, UNITS)

    # It misses by less than one percentile, which a sentence states; no sentence states the gain from the other step.
    assert (figure_data(70.3).change(0, 0), figure_data(70.3).level(0, level_of(70.3))) == (("p40.2", "p69.5"), "p70.3")
    assert (figure_data(80.0).change(0, 0), figure_data(80.0).level(0, level_of(80.0))) == (("p40", "p69"), "p80")


def test_titles_agree_with_the_sentences(data: sequence_figures.SequenceFigureData):
    titles = [annotation.text for annotation in sequence_figures.path(data).layout.annotations]
    for j in data.path.order:
        final_level = data.level(j, data.path.levels[-1, j])
        assert any(title.startswith(f"{data.name(j)}: {final_level} at the end") for title in titles)


def test_ending_sentence_names_the_missed_targets(data: sequence_figures.SequenceFigureData):
    first_round = replace(data, path=data.path.after(1))
    assert sequence_texts.ending_sentence(first_round).startswith("After 1 round ")
    assert (
        sequence_texts.missed_targets(first_round)[0].split(" is at ")[0]
        == VALUES[int(np.argmax(first_round.path.shortfall[-1]))]
    )
    settled = replace(data, path=sequential_path(ORACLE, TARGETS, rounds=60))
    assert "every target is met" in sequence_texts.ending_sentence(settled)
    rounds = settled.path.rounds_to(data.together.levels, sequence_figures.NEAR)
    assert f"it takes {rounds} rounds" in sequence_texts.rounds_needed_sentence(rounds, 60)
    assert "one round is enough" in sequence_texts.rounds_needed_sentence(1, 60)
    assert "After 60 rounds" in sequence_texts.rounds_needed_sentence(None, 60)
    assert sequence_texts.stop_sentence(settled) == ""


def test_independent_values_lose_nothing():
    grid = np.array([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    table = RewardTable(("a", "b"), grid, np.array([0, 4]), ("p",), ("p",), ("p",))
    oracle = MemoryOracle.of(table, Form.PER_PROMPT)
    targets = np.array([0.4, 0.6])
    units = Units(oracle, percentiles(table), "percentile", ("a", "b"))
    data = sequence_figures.SequenceFigureData(sequential_path(oracle, targets), solve(oracle, targets), units)
    assert sequence_texts.largest_loss_sentence(data) == "No step takes back what an earlier one gave."
    assert not [t for t in sequence_figures.path(data).data if t.name.startswith("undone")]


def test_out_of_reach_sentence_states_where_the_path_stops():
    conflicting = opposed_values([0.5, 0.2], rounds=10_000)
    assert "shows that no weights reach" in sequence_texts.stop_sentence(conflicting)
    assert "no number of rounds meets all targets" in sequence_texts.ending_sentence(conflicting)
    unreachable = sequence_figures.SequenceFigureData(
        sequential_path(ORACLE, np.array([50.0, 0.1, math.nan, math.nan])), None, UNITS
    )
    assert (
        sequence_texts.stop_sentence(unreachable)
        == "The path stops before its first step: helpfulness alone cannot reach its target."
    )
    assert sequence_texts.ending_sentence(unreachable) == ""
    assert sequence_texts.sequence_steps(unreachable) == ()
    assert sequence_texts.largest_loss_sentence(unreachable) == "Not one step can be taken."


def test_csv_contains_the_path(data: sequence_figures.SequenceFigureData):
    rows = list(csv.DictReader(io.StringIO(sequence_texts.sequence_csv(data))))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4", "5", "6", "all at once"]
    assert [row["aligned"] for row in rows[1:4]] == ["humor", "helpfulness", "harmlessness"]
    assert [row["round"] for row in rows[1:7]] == ["1", "1", "1", "2", "2", "2"]
    for index, row in enumerate(rows[:-1]):
        levels = ORACLE.rewards_at(data.path.levels[index])
        assert [float(row[f"level_{v}"]) for v in VALUES] == pytest.approx(list(levels))
        assert float(row["kl_nats"]) == pytest.approx(data.path.kl[index])
    assert float(rows[2]["undone_sd_humor"]) == pytest.approx(data.path.undone[1, 2])
    assert float(rows[-1]["kl_nats"]) == pytest.approx(data.together.kl)


def test_names_are_escaped():
    data = opposed_values([0.5, 0.2])
    named = replace(data, units=replace(data.units, names=("<b>kind</b>", "funny")))
    figure = sequence_figures.path(named)
    assert "&lt;b&gt;" in figure.layout.annotations[0].text
    assert "<b>" not in "".join(figure.layout.xaxis3.ticktext)


def test_sentences_on_orders():
    orders = compare_orders(ORACLE, TARGETS)
    largest_loss = orders.losses[orders.worst].worst
    assert largest_loss > sequence_figures.NEAR
    assert order_effects.shortfall_sentence(orders, orders.worst, UNITS).endswith(" at the end")
    assert " is at p" in order_effects.shortfall_sentence(orders, orders.worst, UNITS)
    assert order_effects.order_summary(orders).startswith("All 6 orders were tried, for 1 round.")
    sampled_orders = compare_orders(ORACLE, TARGETS, limit=2)
    assert order_effects.order_summary(sampled_orders).startswith("2 orders, drawn at random from 6,")
    settled = compare_orders(ORACLE, TARGETS, rounds=200)
    assert "makes no difference" in order_effects.order_summary(settled)
    assert order_effects.shortfall_sentence(settled, 0, UNITS) == "every target is met at the end"
