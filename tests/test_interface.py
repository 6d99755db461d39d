"""Tests of the public interface: its examples, its units, and its representation in a notebook."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

import map_core as vp
from map_core.errors import InputError
from map_core.interface import sampling
from map_core.oracle import MemoryOracle
from tests import ROOT
from tests.tables import make_table
from tests.tiny_model import make_tiny_model

TABLE = vp.load_table()
TARGETS = {"helpfulness": "p70", "humor": "+0.3sd"}


def test_public_names_exist_and_are_few() -> None:
    assert len(vp.__all__) <= 12
    for name in vp.__all__:
        assert callable(getattr(vp, name))
        assert getattr(vp, name).__doc__
    assert set(vp.__all__) <= set(dir(vp))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = vp.nothing


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, map_core; print([name for name in sys.modules if name.startswith(('numpy', 'map_core.'))])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_reward_units_go_in_and_come_out() -> None:
    """Returned levels as targets give the same weights and verdict."""
    first = vp.assess(TABLE, TARGETS)
    assert first.verdict == "reachable"
    repeated = vp.assess(TABLE, {name: first.levels[name] for name in TARGETS})
    assert repeated.verdict == first.verdict
    assert repeated.weights == pytest.approx(first.weights, abs=1e-6)
    assert repeated.kl == pytest.approx(first.kl, abs=1e-8)
    solved = vp.solve(TABLE, first.targets)
    assert solved.weights == pytest.approx(first.weights, abs=1e-6)
    for name in TARGETS:
        assert first.levels[name] == pytest.approx(first.targets[name], abs=1e-6)
        assert first.levels[name] > TABLE.base[name]


def test_weights_give_the_levels_of_the_formula() -> None:
    """Levels are the means of the rewards under softmax(lambda . r) in each prompt's replies."""
    reward_table = make_table(prompts=6, candidates=8, seed=3)
    small = vp.Table(reward_table, MemoryOracle.of(reward_table))
    palette = vp.assess(small, {reward_table.values[0]: "+0.4sd"})
    weights = np.array([palette.weights[name] for name in reward_table.values])
    rewards = reward_table.rewards.reshape(6, 8, -1)
    scores = rewards @ weights
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    levels = np.einsum("ik,ikj->j", shares, rewards) / 6
    assert [palette.levels[name] for name in reward_table.values] == pytest.approx(levels, abs=1e-9)


def test_out_of_reach_has_a_certificate_and_a_nearest_palette() -> None:
    palette = vp.assess(TABLE, {"kindness": "p99", "humor": "p99"})
    assert palette.verdict == "out_of_reach"
    assert palette.margin < 0
    assert palette.weights == palette.levels == {}
    assert math.isnan(palette.kl)
    assert set(palette.certificate) == {"kindness", "humor"}
    assert vp.assess(TABLE, palette.nearest).verdict == "reachable"
    assert vp.solve(TABLE, {"kindness": "p99", "humor": "p99"}).solution is None


def test_results_have_html_representations() -> None:
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
    with pytest.raises(InputError, match=r"There is no contour of 3 nats; expected one of 0\.5, inf"):
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
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(vp.PaletteError, match=message):
        call()


def test_rewards_for_a_trainer_are_those_of_the_table(tmp_path) -> None:
    """A value of log-probabilities gets those of an engine, whichever end of turn the trainer adds."""
    from map_core.core.types import SamplingSettings
    from map_core.engines.draw_request import DrawRequest
    from map_core.engines.factory import open_engine
    from map_core.engines.tokens import reply_of
    from map_core.scoring import scorers

    model = make_tiny_model(tmp_path / "tiny")
    engine = open_engine(str(model), engine="torch", dtype="float32")
    end = min(engine.tokenizer.stop_tokens)
    prompts, completions, ids, expected = [], [], [], []
    for prompt, system in (("How do I sleep?", None), ("Where is my parcel?", "Be kind.")):
        request = DrawRequest(prompt, 5, SamplingSettings(max_new_tokens=12), seed=1, system=system)
        tokens = [token for step in engine.sample(request) for token in step]
        replies = [reply_of([token for token in tokens if token.candidate == k]) for k in range(5)]
        (familiarity,) = scorers(["familiarity"])
        expected += familiarity.score(prompt, replies).tolist()
        prompts += [request.messages] * 5
        completions += [[{"role": "assistant", "content": reply.text}] for reply in replies]
        ids += [[*reply.tokens, end][: None if reply.finished else -1] for reply in replies]
    order = [7, 2, 9, 0, 4, 1, 8, 3, 6, 5]
    (function,) = vp.reward_functions({"familiarity": 1.0}, model=str(model), dtype="float32")
    assert function.__name__ == "familiarity"
    rewards = function(
        prompts=[prompts[k] for k in order],
        completions=[completions[k] for k in order],
        completion_ids=[ids[k] for k in order],
        trainer_state=None,
    )
    assert rewards == pytest.approx([expected[k] for k in order], abs=1e-4)
    # The default dtype is the one in which the table's rewards were computed.
    (as_recorded,) = vp.reward_functions({"familiarity": 1.0}, table=vp.load_table(), model=str(model))
    assert as_recorded(
        prompts=[prompts[k] for k in order],
        completions=[completions[k] for k in order],
        completion_ids=[ids[k] for k in order],
    ) == pytest.approx(rewards, abs=1e-6)
    with pytest.raises(InputError, match="needs completion_ids"):
        function(prompts=prompts, completions=completions)
    with pytest.raises(InputError, match="has a chat template"):
        function(prompts=["How do I sleep?"], completions=["Well."], completion_ids=[[5, 6]])
    with pytest.raises(InputError, match="expected a role and a content that is text"):
        function(prompts=[[]], completions=["Well."], completion_ids=[[5, 6]])


def test_nan_reward_stops_the_trainer(tmp_path) -> None:
    """A trainer would silently leave it out of the sum."""
    (tmp_path / "mine.py").write_text("def score(prompt, replies):\n    return [float('nan') for _ in replies]\n")
    (tmp_path / "values.toml").write_text('[mine]\nfamily = "function"\nfunction = "mine.py:score"\n')
    (function,) = vp.reward_functions(["mine"], values_file=tmp_path / "values.toml")
    with pytest.raises(vp.PaletteError, match="finite number"):
        function(prompts=["Why?"], completions=["Because."])
    with pytest.raises(InputError, match="Unknown value 'theirs'"):
        vp.reward_functions(["theirs"])


def test_demands_beside_targets():
    table = vp.load_table()
    plain = vp.assess(table, {"helpfulness": "p70"})
    demands = {"no_worse_tail": ["humor"], "no_cohort_below_base": "use_case", "any_mix": 0.02}
    assessment = vp.assess(table, {"helpfulness": "p70"}, beside=demands)
    assert assessment.verdict.value == "reachable"
    assert assessment.kl > plain.kl
    floor = assessment.table.base["helpfulness@Customer support"]
    assert assessment.levels["helpfulness@Customer support"] >= floor - 1e-6
    assert vp.solve(table, {"helpfulness": "p70"}, beside=demands).kl == pytest.approx(assessment.kl, abs=1e-9)
    assert (
        vp.sensitivity(table, {"helpfulness": "p60"}, "humor", points=3, beside={"no_worse_tail": ["humor"]}).kl[-1] > 0
    )
    with pytest.raises(InputError, match=r"beside has 'tails'; expected no_worse_tail"):
        vp.solve(table, {"helpfulness": "p70"}, beside={"tails": ["humor"]})


def test_weights_for_a_use_case():
    solved = vp.solve(vp.load_table(), {"kindness>=p20": 0.85, "kindness>=p20@Workplace writing": 0.95})
    overall, at_work = solved.weights_for(), solved.weights_for("Workplace writing")
    assert set(overall) == set(at_work)
    (name,) = overall
    assert at_work[name] > overall[name] > 0
    with pytest.raises(InputError, match="No prompt has 'Nowhere'"):
        solved.weights_for("Nowhere")
