"""Tests of blind comparisons: votes by hand, the file, and the shipped comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.errors import InputError
from map_core.figures.delivery import comparisons_sentence
from map_core.studies.comparisons import Comparison, preferred_share, read_comparisons
from tests import ROOT


def comparison(*votes: int, held_out: bool = True) -> Comparison:
    return Comparison("All use cases", "Warm", "p1", 3, 5, held_out, votes)


def test_votes_by_hand() -> None:
    assert [comparison(*votes).preferred for votes in ((1, 1), (1, -1), (0, 0), (-1, -1), (1, 0))] == [
        1,
        0.5,
        0.5,
        0,
        0.75,
    ]
    share, low, high = preferred_share([comparison(1, 1)] * 30 + [comparison(-1, -1)] * 10)
    assert share == 0.75
    # A binomial of 40 at 0.75 has a standard deviation of 0.068.
    assert (low, high) == pytest.approx((0.61, 0.88), abs=0.03)
    assert preferred_share([comparison(1)] * 5) == (1.0, 1.0, 1.0)


def test_the_sentence_counts_only_held_out_prompts() -> None:
    assert comparisons_sentence([]) == comparisons_sentence([comparison(1, held_out=False)]) == ""
    sentence = comparisons_sentence([comparison(1, 1), comparison(1, 1), comparison(-1, -1, held_out=False)])
    assert "Read blind by 2 readers" in sentence
    assert "in 100 of 100 cases (100 to 100; ties count half): 2 pairs" in sentence


def test_bad_lines_are_named(tmp_path: Path) -> None:
    line = {
        "use_case": "All",
        "preset": "Warm",
        "prompt_id": "p",
        "aligned": 1,
        "base": 2,
        "held_out": True,
        "votes": [1],
    }
    for change, message in (({"votes": [2]}, "votes"), ({"votes": []}, "votes"), ({"vote": 1}, "is no comparison")):
        path = tmp_path / "comparisons.jsonl"
        path.write_text(json.dumps(line) + "\n" + json.dumps(line | change) + "\n")
        with pytest.raises(InputError, match=f"ine 2.*{message}"):
            read_comparisons(path)


def test_shipped_comparisons_match_the_shipped_table_and_presets() -> None:
    from map_core.data import table_format

    table = table_format.load(ROOT / "assets" / "default.parquet")
    presets = json.loads((ROOT / "assets" / "presets.json").read_text(encoding="utf-8"))
    comparisons = read_comparisons(ROOT / "assets" / "comparisons.jsonl")
    assert sum(shipped.held_out for shipped in comparisons) >= 60
    for shipped in comparisons:
        prompt = table.prompt_ids.index(shipped.prompt_id)
        assert bool(table.held_out[prompt]) == shipped.held_out
        assert max(shipped.aligned, shipped.base) < table.candidates[prompt]
        assert shipped.aligned != shipped.base
        assert shipped.preset in {preset["name"] for preset in presets[shipped.use_case]}
        assert len(shipped.votes) == 2
