"""Tests of comparing palettes pairwise: cases by hand, enumeration of all pairs, laws, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from map_core.cli import main
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.studies.head_to_head import Contender, compare, compare_all, read_answers, table_contender
from tests.tables import make_table


def contender(name: str, rewards: list[list[float]], probabilities: list[list[float]]) -> Contender:
    prompts = tuple(f"p{i}" for i in range(len(rewards)))
    return Contender(
        name,
        ("humor",),
        prompts,
        tuple(np.array(r, dtype=float)[:, None] for r in rewards),
        tuple(np.array(p) for p in probabilities),
    )


def test_wins_and_ties_of_two_contenders_by_hand():
    # First prompt: 0 or 1 evenly against 1: never better, equal half the time. Second: 2 against 0 or 2 evenly.
    a = contender("a", [[0, 1], [2]], [[0.5, 0.5], [1.0]])
    b = contender("b", [[1], [0, 2]], [[1.0], [0.5, 0.5]])
    comparison = compare(a, b)
    assert comparison.wins.estimate == pytest.approx([(0.25 + 0.75) / 2])
    assert comparison.ties == pytest.approx([0.5])
    assert comparison.gains.estimate == pytest.approx([(-0.5 + 1.0) / 2])
    half_width = student.ppf(0.975, 1) * np.std([0.25, 0.75], ddof=1) / np.sqrt(2)
    assert comparison.wins.high - comparison.wins.estimate == pytest.approx([half_width])


def test_prompts_count_by_their_weights():
    a = contender("a", [[0, 1], [2]], [[0.5, 0.5], [1.0]])
    b = contender("b", [[1], [0, 2]], [[1.0], [0.5, 0.5]])
    weighted = replace(a, weights=np.array([3.0, 1.0]))
    for comparison in (compare(weighted, b), compare(a, replace(b, weights=np.array([3.0, 1.0])))):
        assert comparison.wins.estimate == pytest.approx([0.75 * 0.25 + 0.25 * 0.75])
        assert comparison.gains.estimate == pytest.approx([0.75 * -0.5 + 0.25 * 1.0])
        # Influences 3/4 (0.25 - 0.375) and 1/4 (0.75 - 0.375), and n / (n - 1) = 2.
        half_width = student.ppf(0.975, 1) * np.sqrt(2 * (0.09375**2 + 0.09375**2))
        assert comparison.wins.high - comparison.wins.estimate == pytest.approx([half_width])
    table = replace(make_table(prompts=8, candidates=4), weights=np.arange(1.0, 9.0))
    oracle = MemoryOracle.of(table)
    kind = table_contender(table, "kind", np.array([1.0, 0.0, 0.5, 0.0]))
    gains = compare(kind, table_contender(table, "base", np.zeros(4))).gains.estimate
    expected_gains = oracle.moments(np.array([1.0, 0.0, 0.5, 0.0]) * oracle.scale).levels * oracle.scale
    assert gains == pytest.approx(expected_gains)


def test_chances_match_the_enumeration_of_all_reply_pairs():
    rng = np.random.default_rng(0)
    rewards = [rng.integers(0, 4, size).astype(float) for size in (5, 7)]
    probabilities = [rng.dirichlet(np.ones(size)) for size in (5, 7)]
    a, b = (contender(n, [list(r)] * 2, [list(p)] * 2) for n, r, p in zip("ab", rewards, probabilities, strict=True))
    joint = np.outer(*probabilities)
    win_chance, tie_chance = (
        float(joint[op(rewards[0][:, None], rewards[1][None])].sum()) for op in (np.greater, np.equal)
    )
    comparison = compare(a, b)
    assert comparison.wins.estimate == pytest.approx([win_chance + tie_chance / 2])
    assert comparison.ties == pytest.approx([tie_chance])


def test_swapping_contenders_swaps_wins_and_equal_contenders_tie():
    table = make_table(prompts=20, candidates=8)
    base = table_contender(table, "base", np.zeros(4))
    kind = table_contender(table, "kind", np.array([1.0, 0.0, 0.5, 0.0]))
    forward, backward, with_itself = compare(kind, base), compare(base, kind), compare(base, base)
    assert forward.wins.estimate + backward.wins.estimate == pytest.approx(np.ones(4))
    assert forward.gains.estimate == pytest.approx(-backward.gains.estimate)
    assert forward.wins.low == pytest.approx(1 - backward.wins.high)
    assert with_itself.wins.estimate == pytest.approx(np.full(4, 0.5))
    assert with_itself.gains.high == pytest.approx(np.zeros(4))
    assert forward.wins.estimate[0] > 0.5
    assert [(comparison.first, comparison.second) for comparison in compare_all([kind, base, kind])] == [
        *(("kind", "base"), ("kind", "kind"), ("base", "kind"))
    ]


def test_incomparable_contenders_are_refused():
    a, b = contender("a", [[0.0]], [[1.0]]), contender("b", [[1.0]], [[1.0]])
    with pytest.raises(InputError, match="a and b share 1 prompts"):
        compare(a, b)
    on_two_prompts = contender("two", [[0.0], [0.0]], [[1.0], [1.0]])
    with pytest.raises(InputError, match="share 2 prompts and 0 values"):
        compare(on_two_prompts, replace(on_two_prompts, values=("kindness",)))


def test_the_command_on_palettes_and_on_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = replace(make_table(prompts=30, candidates=8), held_out=np.arange(30) % 3 == 0)
    save(table, tmp_path / "table.parquet")
    (tmp_path / "p.jsonl").write_text(
        '{"name": "funny", "targets": {"humor": "+0.4sd"}}\n{"targets": {"humor": "p99.9", "helpfulness": "p99.9"}}\n'
    )
    command = ["compare", str(tmp_path / "table.parquet"), "--targets-file", str(tmp_path / "p.jsonl")]
    assert main([*command, "--json"]) == 0
    comparisons = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(comparison["first"], comparison["second"]) for comparison in comparisons] == [
        *(("funny", "palette-2 (nearest)"), ("funny", "base"), ("palette-2 (nearest)", "base"))
    ]
    assert comparisons[1]["prompts"] == 10
    assert comparisons[1]["values"]["humor"]["wins"]["low"] > 0.5
    assert main(command) == 0
    assert "funny against base on 10 prompts" in capsys.readouterr().out
    files = []
    for number, name in enumerate(("small", "large")):
        rows = [
            {
                "prompt": f"p{i}",
                "candidates": [
                    {"reply": "x", "rewards": {"humor": float(i + number + k)}, "probability": 0.5} for k in (0, 1)
                ],
            }
            for i in range(4)
        ]
        files += ["--answers", str(tmp_path / f"{name}.jsonl")]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["compare", *files, "--json"]) == 0
    pair = json.loads(capsys.readouterr().out)
    assert (pair["first"], pair["values"]["humor"]["gain"]["estimate"]) == ("small", pytest.approx(-1.0))
    assert main(["compare", *files[:2]]) == 2
    assert "nothing to compare" in capsys.readouterr().err
    (tmp_path / "small.jsonl").write_text('{"prompt": "x"}')
    with pytest.raises(InputError, match="no answer"):
        read_answers(tmp_path / "small.jsonl")


def test_the_command_distinguishes_palettes_of_the_same_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save(make_table(prompts=12, candidates=8), tmp_path / "table.parquet")
    lines = [json.dumps({"name": name, "targets": {"humor": "+0.1sd"}}) for name in ("a", "a", "base")]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    command = ["compare", str(tmp_path / "table.parquet"), "--targets-file", str(tmp_path / "p.jsonl"), "--json"]
    assert main(command) == 0
    pairs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {pair["first"] for pair in pairs} | {pair["second"] for pair in pairs} == {"a", "a (2)", "base (2)", "base"}
