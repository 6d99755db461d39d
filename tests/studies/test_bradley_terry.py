"""Tests of Bradley-Terry rankings: by hand, against a general optimiser, connected components, and files."""

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


def test_three_wins_of_four_give_log_three():
    (ranking,) = rank(votes("kind", "base", [1, 1, 1, 0]))
    assert ranking.names == ("kind", "base")
    assert ranking.reference == "base"
    assert ranking.strengths == pytest.approx([math.log(3), 0.0], abs=1e-10)
    # Scores 1/4, 1/4, 1/4, -3/4; curvature 4 * 3/4 * 1/4 = 3/4: variance (3/4) / (3/4)^2 * 4/3 = 16/9.
    assert ranking.high[0] - ranking.strengths[0] == pytest.approx(student.ppf(0.975, 3) * 4 / 3)
    assert ranking.high[1] == pytest.approx(0.0)


def test_ties_count_half_and_are_counted():
    (ranking,) = rank(votes("a", "b", [1, 0, 0.5, 0.5]))
    assert ranking.strengths == pytest.approx([0.0, 0.0], abs=1e-12)
    assert ranking.ties[0, 1] == 2
    assert ranking.votes[0, 1] == 2.0


def test_strengths_are_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(1)
    names, true = "abcd", np.array([0.8, 0.2, -0.3, -0.7])
    cast = [
        PairVote(names[i], names[j], float(rng.random() < 1 / (1 + np.exp(true[j] - true[i]))), f"p{n % 40}")
        for n in range(400)
        for i, j in [rng.choice(4, 2, replace=False)]
    ]
    (ranking,) = rank(cast)

    def loss(s: np.ndarray) -> float:
        place = {name: i for i, name in enumerate(names)}
        gaps = np.array([s[place[v.first]] - s[place[v.second]] for v in cast])
        share = np.array([v.share for v in cast])
        return float(-(share * log_expit(gaps) + (1 - share) * log_expit(-gaps)).sum() + s.sum() ** 2)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    assert dict(zip(ranking.names, ranking.strengths, strict=True)) == pytest.approx(
        dict(zip(names, best - best.mean(), strict=True)), abs=1e-5
    )
    assert ranking.reference == ""
    assert np.all(ranking.low < ranking.strengths)


def test_only_connected_contenders_are_ranked():
    cast = [*votes("a", "b", [1, 0]), *votes("c", "d", [1, 1]), *votes("a", "c", [1, 1])]
    rankings = rank(cast)
    # d never won, and nobody of a and b lost to c: three sets.
    assert [r.names for r in rankings] == [("a", "b"), ("c",), ("d",)]


def test_votes_on_one_prompt_count_as_one():
    many = rank(votes("a", "b", [1, 1, 1, 0] * 5))[0]
    same = rank([v for i, s in enumerate([1, 1, 1, 0]) for v in votes("a", "b", [s] * 5, f"p{i}")])[0]
    assert many.strengths == pytest.approx(same.strengths)
    assert same.high[0] - same.low[0] > 2 * (many.high[0] - many.low[0])
    assert math.isinf(rank(votes("a", "b", [1, 0, 1], "one"))[0].high[0])


def test_votes_are_read_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pairs = tmp_path / "votes.jsonl"
    rows = [
        {"first": "warm", "second": "calm", "preferred": how, "prompt": f"p{n}"}
        for n, how in enumerate(["first", "first", "second", "tie"])
    ]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    assert main(["compare", "--votes", str(pairs), "--json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in ranking["ranking"]] == ["warm", "calm"]
    assert ranking["votes"]["warm"]["calm"] == {"votes": 2.5, "ties": 1}
    assert main(["compare", "--votes", str(pairs)]) == 0
    assert "By 4 votes, of which 1 were ties" in capsys.readouterr().out
    app = tmp_path / "votes.csv"
    app.write_text("palette,prompt,preferred,voter,when_utc\n3f,Hello?,aligned,1,x\n3f,Bye?,base,2,x\n")
    assert [(v.first, v.second, v.share) for v in read_votes(app)] == [("3f", "base", 1.0), ("3f", "base", 0.0)]
    preset = {"preset": "Warm", "prompt_id": "w", "votes": [1, 0, -1]}
    pairs.write_text(json.dumps(preset))
    assert [v.share for v in read_votes(pairs)] == [1.0, 0.5, 0.0]
    pairs.write_text('{"first": "a", "second": "b", "preferred": "maybe", "prompt": "p"}')
    with pytest.raises(InputError, match="is no vote"):
        read_votes(pairs)
    with pytest.raises(InputError, match="There are no votes; expected one or more"):
        rank([])
    with pytest.raises(InputError, match="between 'a' and itself"):
        rank(votes("a", "a", [1]))
    with pytest.raises(InputError, match=r"The level is 1\.0"):
        rank(votes("a", "b", [1, 0]), 1.0)


def test_unplaced_contenders_have_no_strength():
    for ranking in rank(votes("a", "b", [1])):
        assert len(ranking.names) == 1
        assert math.isinf(ranking.low[0])
        assert math.isinf(ranking.high[0])
