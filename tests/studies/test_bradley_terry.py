"""Tests of rankings from votes: cases by hand, a general optimiser as reference, connected contenders, and files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit
from scipy.stats import t as student

from map_core.cli import main
from map_core.errors import InputError
from map_core.studies.bradley_terry import PairVote, rank, read_votes


def votes(first: str, second: str, shares: list[float], prompt: str = "") -> list[PairVote]:
    return [PairVote(first, second, s, prompt or f"{first}{second}{i}") for i, s in enumerate(shares)]


def test_three_wins_of_four_give_strength_log_three():
    (ranking,) = rank(votes("kind", "base", [1, 1, 1, 0]))
    assert ranking.names == ("kind", "base")
    assert ranking.reference == "base"
    assert ranking.strengths == pytest.approx([math.log(3), 0.0], abs=1e-10)
    # Scores 1/4, 1/4, 1/4, -3/4; curvature 4 * 3/4 * 1/4 = 3/4: variance (3/4) / (3/4)^2 * 4/3 = 16/9.
    assert ranking.high[0] - ranking.strengths[0] == pytest.approx(student.ppf(0.975, 3) * 4 / 3)
    assert ranking.high[1] == pytest.approx(0.0)


def test_ties_count_half_and_are_reported():
    (ranking,) = rank(votes("a", "b", [1, 0, 0.5, 0.5]))
    assert ranking.strengths == pytest.approx([0.0, 0.0], abs=1e-12)
    assert ranking.ties[0, 1] == 2
    assert ranking.votes[0, 1] == 2.0


def test_strengths_are_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(1)
    names, true = "abcd", np.array([0.8, 0.2, -0.3, -0.7])
    pair_votes = [
        PairVote(names[i], names[j], float(rng.random() < 1 / (1 + np.exp(true[j] - true[i]))), f"p{n % 40}")
        for n in range(400)
        for i, j in [rng.choice(4, 2, replace=False)]
    ]
    (ranking,) = rank(pair_votes)

    def loss(s: np.ndarray) -> float:
        positions = {name: i for i, name in enumerate(names)}
        gaps = np.array([s[positions[v.first]] - s[positions[v.second]] for v in pair_votes])
        shares = np.array([v.share for v in pair_votes])
        return float(-(shares * log_expit(gaps) + (1 - shares) * log_expit(-gaps)).sum() + s.sum() ** 2)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    assert dict(zip(ranking.names, ranking.strengths, strict=True)) == pytest.approx(
        dict(zip(names, best - best.mean(), strict=True)), abs=1e-5
    )
    assert ranking.reference == ""
    assert np.all(ranking.low < ranking.strengths)


def test_only_connected_contenders_are_ranked_together():
    pair_votes = [*votes("a", "b", [1, 0]), *votes("c", "d", [1, 1]), *votes("a", "c", [1, 1])]
    rankings = rank(pair_votes)
    # d never won, and neither a nor b lost to c: three strongly connected sets.
    assert [ranking.names for ranking in rankings] == [("a", "b"), ("c",), ("d",)]


def test_votes_on_one_prompt_count_as_one():
    on_many_prompts = rank(votes("a", "b", [1, 1, 1, 0] * 5))[0]
    on_few_prompts = rank([v for i, s in enumerate([1, 1, 1, 0]) for v in votes("a", "b", [s] * 5, f"p{i}")])[0]
    assert on_many_prompts.strengths == pytest.approx(on_few_prompts.strengths)
    assert on_few_prompts.high[0] - on_few_prompts.low[0] > 2 * (on_many_prompts.high[0] - on_many_prompts.low[0])
    assert math.isinf(rank(votes("a", "b", [1, 0, 1], "one"))[0].high[0])


def test_votes_are_read_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    jsonl_path = tmp_path / "votes.jsonl"
    rows = [
        {"first": "warm", "second": "calm", "preferred": preferred, "prompt": f"p{n}"}
        for n, preferred in enumerate(["first", "first", "second", "tie"])
    ]
    jsonl_path.write_text("\n".join(map(json.dumps, rows)))
    assert main(["compare", "--votes", str(jsonl_path), "--json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in ranking["ranking"]] == ["warm", "calm"]
    assert ranking["votes"]["warm"]["calm"] == {"votes": 2.5, "ties": 1}
    assert main(["compare", "--votes", str(jsonl_path)]) == 0
    assert "By 4 votes, of which 1 were ties" in capsys.readouterr().out
    csv_path = tmp_path / "votes.csv"
    csv_path.write_text("palette,prompt,preferred,voter,when_utc\n3f,Hello?,aligned,1,x\n3f,Bye?,base,2,x\n")
    assert [(vote.first, vote.second, vote.share) for vote in read_votes(csv_path)] == [
        ("3f", "base", 1.0),
        ("3f", "base", 0.0),
    ]
    preset = {"preset": "Warm", "prompt_id": "w", "votes": [1, 0, -1]}
    jsonl_path.write_text(json.dumps(preset))
    assert [vote.share for vote in read_votes(jsonl_path)] == [1.0, 0.5, 0.0]
    jsonl_path.write_text('{"first": "a", "second": "b", "preferred": "maybe", "prompt": "p"}')
    with pytest.raises(InputError, match="is no vote"):
        read_votes(jsonl_path)
    with pytest.raises(InputError, match="There are no votes; expected one or more"):
        rank([])
    with pytest.raises(InputError, match="between 'a' and itself"):
        rank(votes("a", "a", [1]))
    with pytest.raises(InputError, match=r"The level is 1\.0"):
        rank(votes("a", "b", [1, 0]), 1.0)


def test_an_unconnected_contender_has_an_infinite_interval():
    for ranking in rank(votes("a", "b", [1])):
        assert len(ranking.names) == 1
        assert math.isinf(ranking.low[0])
        assert math.isinf(ranking.high[0])
