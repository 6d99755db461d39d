"""Tests of value names on the command line that contain commas, equals signs or spaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.cli import main
from map_core.cli.inputs import read_pairs, split_known
from map_core.data.table_format import save
from tests.tables import make_table

NAMES = ("score (0=bad)", "acc,none", "humor")


def test_value_names_may_contain_option_separators():
    assert read_pairs("--target", ["score (0=bad)=p70", "humor=+0.5sd"]) == {"score (0=bad)": "p70", "humor": "+0.5sd"}
    assert split_known("acc,none,humor", NAMES) == ("acc,none", "humor")
    assert split_known("humor, acc,none", NAMES) == ("humor", "acc,none")
    assert split_known("humor,wit", NAMES) == ("humor", "wit")


def test_such_names_work_as_targets_and_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.parquet"
    save(make_table(prompts=4, candidates=8, values=NAMES, seed=1), path)
    assert main(["solve", str(path), "--target", "score (0=bad)=p55", "--target", "acc,none=p52", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["targets"]) == {"score (0=bad)", "acc,none"}
    assert main(["frontier", str(path), "--pair", "acc,none,humor", "--budget", "0.1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frontiers"][0]["values"] == ["acc,none", "humor"]


def test_too_many_pairs_have_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.parquet"
    save(make_table(prompts=2, candidates=2, values=tuple(f"v{n}" for n in range(40)), seed=1), path)
    assert main(["frontier", str(path), "--budget", "0.1"]) == 2
    assert "40 values, which are 780 pairs; up to 120 are drawn unasked" in capsys.readouterr().err
    assert main(["frontier", str(path), "--pair", "v0,v39", "--budget", "0.1", "--json"]) == 0
