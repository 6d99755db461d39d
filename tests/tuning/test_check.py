"""Tests of a tuned model's own replies against the forecast of its weights: by hand, then on a tiny model."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from map_core.cli import main
from map_core.core.kept_folder import SETTING
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.tuning.check import LOG_RATIOS, TuningOutcome, check_tuned, of_prompts
from map_core.tuning.held_out import held_out_levels

RECORD = {"weights": {"humor": math.log(3.0)}}


def table(rewards: list[list[float]], ratios: list[float] | None = None, values=("humor",)) -> RewardTable:
    """Return a table with a list of rewards for each prompt."""
    counts = [len(row) for row in rewards]
    return RewardTable(
        values=values,
        rewards=np.concatenate([np.array(row, dtype=float).reshape(len(row), -1) for row in rewards]),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        prompt_ids=tuple(f"p{i}" for i in range(len(rewards))),
        prompts=tuple(f"Why {i}?" for i in range(len(rewards))),
        use_cases=("A",) * len(rewards),
        metadata={} if ratios is None else {LOG_RATIOS: ratios},
    )


def test_an_exact_tilt_by_hand():
    """Base replies 0 and 1, lambda = log 3: three of four replies of the tilt are 1, and its KL is log 2 - H(1/4)."""
    base = table([[0.0, 1.0]] * 3)
    ratios = [math.log(0.5), *[math.log(1.5)] * 3]
    check = check_tuned(RECORD, base, table([[0.0, 1.0, 1.0, 1.0]] * 3, ratios * 3))
    facts = check.as_dict()
    humor = facts["values"]["humor"]
    assert (humor["base"], humor["tuned"], humor["forecast"]) == pytest.approx((0.5, 0.75, 0.75))
    assert facts["share_of_way"] == pytest.approx(1.0)
    assert humor["outcome"] == "delivers"
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert (facts["kl"], facts["kl_forecast"]) == pytest.approx((kl, kl))
    # Its own candidates have equal weights: 3 / 1.5 = 1 / 0.5.
    one, two, four = facts["choosing"]["tuned"]
    assert (one["candidates"], two["candidates"], four["candidates"]) == (1, 2, 4)
    assert (two["ess"], four["ess"]) == pytest.approx((2.0, 4.0))
    assert four["share_of_way"] == pytest.approx(1.0)
    assert [row["share_of_way"] for row in facts["choosing"]["base"]] == pytest.approx([0.0, 1.0])


def test_candidates_of_an_untuned_model_are_chosen_as_the_base_model_s():
    base = table([[0.0, 1.0, 0.0, 1.0]] * 2)
    check = check_tuned(RECORD, base, table([[0.0, 1.0, 0.0, 1.0]] * 2, [0.0] * 8))
    assert check.share_of_way(check.tuned) == pytest.approx(0.0)
    for tuned, plain in zip(check.chosen, check.base_chosen, strict=True):
        assert tuned.levels == pytest.approx(plain.levels)


def test_gains_are_in_deviations_of_the_base_model_s_replies():
    base = table([[0.0, 1.0]] * 3)
    check = check_tuned(RECORD, base, table([[0.0, 1.0, 1.0, 1.0]] * 3, [0.0] * 12))
    gains = check.gains()
    assert set(gains) == {"forecast", "tuned", "tuned, 2 candidates", "tuned, 4 candidates", "base, 2 candidates"}
    assert gains["tuned"] == pytest.approx([0.25 / 0.5])
    assert gains["forecast"] == pytest.approx([0.25 / 0.5])


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([[0, 0], [0, 1], [0, 0]], TuningOutcome.SHORT),
        ([[1, 1], [1, 1], [0, 1]], TuningOutcome.UNSURE),
        ([[0, 1, 1, 1]] * 3, TuningOutcome.DELIVERS),
        ([[3, 3]] * 3, TuningOutcome.OVER),
    ],
)
def test_the_verdict_is_that_of_the_difference_on_the_same_prompts(replies, outcome):
    check = check_tuned(RECORD, table([[0.0, 1.0]] * 3), table(replies, [0.0] * sum(map(len, replies))))
    assert check.outcome(0) is outcome


def test_the_prompts_that_were_not_tuned_on_are_used_whether_or_not_the_table_holds_them_out():
    from map_core.cli.verify_tuned import held_out_prompts

    plain = table([[0.0, 1.0]] * 4)
    for current in (plain, replace(plain, held_out=np.array([True, False, True, False]), weights=np.full(4, 2.0))):
        chosen = held_out_prompts(current, {"held_out": ["p0", "p2"]})
        assert chosen.prompt_ids == ("p0", "p2")
        assert chosen.counted.all()
        assert held_out_prompts(current, {"held_out": ["p0", "p1", "p2"]}, most=2).prompt_ids == ("p0", "p2")
    with pytest.raises(InputError, match="tuned on every prompt"):
        held_out_prompts(plain, {"held_out": []})


def test_tables_that_cannot_be_compared_are_refused():
    base = table([[0.0, 1.0]] * 2)
    with pytest.raises(InputError, match="other prompts"):
        check_tuned(RECORD, base, replace(base, prompts=("a", "b")))
    with pytest.raises(InputError, match="log q - log p0"):
        check_tuned(RECORD, base, base)
    with pytest.raises(InputError, match="at least 2"):
        check_tuned(RECORD, table([[0.0, 1.0]]), table([[0.0, 1.0]], [0.0, 0.0]))


def test_importance_weights_estimate_the_levels_of_the_tilt_and_of_the_base_model():
    rewards = np.array([[0.0], [1.0]])
    gains = [math.log(3.0) * rewards[:, 0]] * 2
    at_tilt = held_out_levels(("humor",), np.array([math.log(3.0)]), gains, gains, [rewards] * 2)
    assert at_tilt.share_of_way == pytest.approx(1.0)
    assert at_tilt.noise == pytest.approx(np.zeros(2))
    assert at_tilt.kl == pytest.approx(at_tilt.kl_forecast)
    at_base = held_out_levels(("humor",), np.array([math.log(3.0)]), [np.zeros(2)] * 2, gains, [rewards] * 2)
    assert (at_base.share_of_way, at_base.as_dict()["kl"]) == pytest.approx((0.0, 0.0))
    assert at_base.as_dict()["share_of_way_90"] == pytest.approx([0.0, 0.0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_checks_a_tuned_model_on_its_held_out_prompts(tmp_path, capsys, monkeypatch):
    pytest.importorskip("trl", reason="needs requirements-tune.txt")
    from map_core.building import build
    from map_core.core.types import SamplingSettings
    from map_core.data.prompts import Prompt
    from map_core.data.table_format import load, save
    from map_core.engines.draw_request import DrawRequest
    from map_core.engines.factory import open_engine
    from map_core.scoring import resolve
    from tests.tiny_model import make_tiny_model

    model = make_tiny_model(tmp_path / "tiny")
    settings = SamplingSettings(temperature=0.8, max_new_tokens=8)
    prompts = [Prompt(f"p{i}", "A", f"Question number {i}?") for i in range(8)]
    scorers = resolve(("diversity", "familiarity"), {})
    path, out = tmp_path / "table.parquet", tmp_path / "out"
    build(prompts, path, open_engine(str(model), "torch"), scorers, candidates=8, settings=settings, seed=1)
    command = [
        "tune",
        str(path),
        "--method",
        "pairs",
        "--weights",
        "familiarity=1.5",
        "--out",
        str(out),
        "--steps",
        "3",
        "--replies",
        "4",
    ]
    assert main([*command, "--learning-rate", "0.02", "--quiet"]) == 0
    capsys.readouterr()
    verify = ["verify", str(path), "--model", str(out), "--candidates", "4", "--engine", "torch"]
    assert main([*verify, "--fresh", str(tmp_path / "fresh.parquet"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["prompts"], facts["replies"], facts["method"]) == (2, 4, "pairs")
    # Familiarity is computed by the base model, also for replies of the tuned one.
    fresh = load(tmp_path / "fresh.parquet")
    base = open_engine(str(model), "torch", "float32")
    (log_probs,) = base.log_probs(fresh.prompts[0], [fresh.tokens[0]])
    assert fresh.rewards[0, fresh.index("familiarity")] == pytest.approx(log_probs.mean(), abs=1e-3)
    tuned = open_engine(str(out), "torch", "float32")
    request = DrawRequest(fresh.prompts[0], 4, settings)
    replies = tuned.complete(replace(request, seed=1))
    q, p = tuned.reply_scores(request, replies), base.reply_scores(request, replies)
    ratios = [a.log_prob - b.log_prob for a, b in zip(q, p, strict=True)]
    assert fresh.metadata[LOG_RATIOS][:4] == pytest.approx(ratios, abs=1e-4)
    # The record and the card contain the check.
    assert json.loads((out / "tuning.json").read_text())["check"]["kl"] == facts["kl"]
    assert "On 4 replies of its own to each of 2 prompts" in (out / "README.md").read_text()
    # Stored replies are reused, and without --json the output is text.
    assert main([*verify, "--fresh", str(tmp_path / "fresh.parquet")]) == 0
    text = capsys.readouterr().out
    assert "of the way" in text
    assert "tuned   4" in text
    # An interrupted check is resumed: only the missing replies are drawn, with the same result.
    save(of_prompts(fresh, fresh.prompt_ids[1:]), tmp_path / "part.parquet")
    assert main([*verify, "--fresh", str(tmp_path / "part.parquet"), "--json"]) == 0
    output = capsys.readouterr()
    assert "1 of 1 prompts answered" in output.err
    assert json.loads(output.out)["kl"] == pytest.approx(facts["kl"], abs=1e-6)
    # A model of the page Tune is located by its name.
    (tmp_path / "kept" / "tuned").mkdir(parents=True)
    (tmp_path / "kept" / "tuned" / "Kind one").symlink_to(out)
    monkeypatch.setenv(SETTING, str(tmp_path / "kept"))
    by_name = [argument.replace(str(out), "Kind one") for argument in verify]
    assert main([*by_name, "--fresh", str(tmp_path / "fresh.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "Kind one"
    assert main([*verify, "--seed", "9", "--fresh", str(tmp_path / "fresh.parquet")]) == 1
    assert "another seed" in capsys.readouterr().err
    assert main(["verify", str(path), "--model", str(tmp_path / "tiny")]) == 1
    assert "is no tuned model" in capsys.readouterr().err
    assert main([*verify, "--target", "diversity=p60"]) == 2
    # Several models are checked as a set; a file of replies belongs to one model.
    assert main([*verify, "--model", str(out), "--fresh", str(tmp_path / "fresh.parquet")]) == 1
    assert "of one model" in capsys.readouterr().err


def test_palettes_of_several_models_are_scored_as_a_set(capsys):
    pytest.importorskip("moocore", reason="needs requirements-tune.txt")
    from map_core.cli.verify_tuned import _print_set

    values = ("humor", "kindness")
    base = table([[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]] * 2, values=values)
    fresh = [table([[row, row]] * 2, [0.0] * 4, values) for row in ([1.0, 0.5], [0.5, 1.0])]
    checks = [check_tuned({"weights": {name: 1.0}}, base, replies) for name, replies in zip(values, fresh, strict=True)]
    _print_set(checks, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts["palettes"] == 2
    # One deviation of each value is 0.5: both models gain 1 in their own value and nothing in the other.
    assert facts["set"]["tuned"]["mean_inner_product"] == pytest.approx(1.0)
    assert facts["set"]["tuned"]["hypervolume"] == pytest.approx(2.0 + 2.0 - 1.0)
    _print_set(checks, as_json=False)
    assert "hypervolume" in capsys.readouterr().out
    of_other_table = check_tuned(
        {"weights": {"humor": 1.0}}, table([[0.0, 1.0]] * 2), table([[1.0, 0.0]] * 2, [0.0] * 4)
    )
    _print_set([checks[0], of_other_table], as_json=False)
    assert "cannot be scored as a set" in capsys.readouterr().err
