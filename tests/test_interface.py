"""The public interface: its examples run, it speaks one unit, and it shows itself in a notebook."""

from __future__ import annotations

import doctest
import math
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

import map_core as vp
from map_core.errors import InputError
from map_core.interface import palettes, sampling, table, tradeoffs
from map_core.oracle import MemoryOracle
from tests import ROOT
from tests.tables import make_table

TABLE = vp.load_table()
TARGETS = {"helpfulness": "p70", "humor": "+0.3sd"}


def test_every_example_runs() -> None:
    for module in (vp, palettes, sampling, table, tradeoffs):
        failed, tried = doctest.testmod(module, raise_on_error=False)
        assert (failed, tried > 0) == (0, True)


def test_there_are_few_names_and_each_is_there() -> None:
    assert len(vp.__all__) <= 12
    for name in vp.__all__:
        assert callable(getattr(vp, name))
        assert getattr(vp, name).__doc__
    assert set(vp.__all__) <= set(dir(vp))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = vp.nothing


def test_importing_it_loads_nothing() -> None:
    code = "import sys, map_core; print([name for name in sys.modules if name.startswith(('numpy', 'map_core.'))])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_reward_units_go_in_and_come_out() -> None:
    """What came out as levels goes in as targets, and gives the same weights and verdict."""
    first = vp.assess(TABLE, TARGETS)
    assert first.verdict == "reachable"
    again = vp.assess(TABLE, {name: first.levels[name] for name in TARGETS})
    assert again.verdict == first.verdict
    assert again.weights == pytest.approx(first.weights, abs=1e-6)
    assert again.kl == pytest.approx(first.kl, abs=1e-8)
    solved = vp.solve(TABLE, first.targets)
    assert solved.weights == pytest.approx(first.weights, abs=1e-6)
    for name in TARGETS:
        assert first.levels[name] == pytest.approx(first.targets[name], abs=1e-6)
        assert first.levels[name] > TABLE.base[name]


def test_the_weights_are_those_of_the_formula() -> None:
    """Levels are the means of the rewards under softmax(lambda . r) in each prompt's replies."""
    made = make_table(prompts=6, candidates=8, seed=3)
    small = vp.Table(made, MemoryOracle.of(made))
    palette = vp.assess(small, {made.values[0]: "+0.4sd"})
    weights = np.array([palette.weights[name] for name in made.values])
    rewards = made.rewards.reshape(6, 8, -1)
    scores = rewards @ weights
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    levels = np.einsum("ik,ikj->j", shares, rewards) / 6
    assert [palette.levels[name] for name in made.values] == pytest.approx(levels, abs=1e-9)


def test_out_of_reach_is_a_result_with_its_proof_and_a_way_on() -> None:
    palette = vp.assess(TABLE, {"kindness": "p99", "humor": "p99"})
    assert palette.verdict == "out_of_reach"
    assert palette.margin < 0
    assert palette.weights == palette.levels == {}
    assert math.isnan(palette.kl)
    assert set(palette.certificate) == {"kindness", "humor"}
    assert vp.assess(TABLE, palette.nearest).verdict == "reachable"
    assert vp.solve(TABLE, {"kindness": "p99", "humor": "p99"}).solution is None


def test_results_show_themselves() -> None:
    palette = vp.assess(TABLE, TARGETS)
    assert repr(palette).startswith("<Assessed: reachable, 0.")
    page = palette._repr_html_()
    assert page.count("<tr>") == 1 + len(TABLE.values)
    assert "<td>helpfulness</td>" in page
    assert "<Table: 128 prompts" in repr(TABLE)
    sample = sampling.AlignedSample("<b>", "<i>", "<u>", (), (), {}, 1.0, 0.0)
    assert "<b>" not in sample._repr_html_()


def test_figures_are_plotly_objects() -> None:
    contours = vp.frontier(TABLE, ("helpfulness", "humor"), budgets=[0.5])
    assert isinstance(contours.figure(TARGETS), go.Figure)
    assert contours.points(math.inf)[0].keys() == set(TABLE.values)
    with pytest.raises(InputError, match=r"There is no contour of 3 nats; there are 0\.5, inf"):
        contours.points(3.0)
    sweep = vp.sensitivity(TABLE, TARGETS, "humor", points=4)
    assert isinstance(sweep.figure(), go.Figure)
    assert sweep.levels["humor"] == pytest.approx(np.maximum(sweep.targets, sweep.levels["humor"]), abs=1e-6)
    assert repr(sweep) == "<Sweep: humor in 4 steps>"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vp.solve(TABLE, {"wit": 1.0}), "wit"),
        (lambda: vp.assess(TABLE, {"humor": "high"}), "p70"),
        (lambda: vp.frontier(TABLE, ("humor", "humor")), "pair"),
        (lambda: vp.load_table("none.parquet"), "none.parquet"),
        (lambda: vp.scorers(["wit"]), "wit"),
    ],
)
def test_bad_input_is_said(call, message: str) -> None:
    with pytest.raises(vp.PaletteError, match=message):
        call()
