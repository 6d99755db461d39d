"""Tests of preference data: labels by hand, no duplicate pairs, held-out prompts omitted, and reading with TRL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core.cli import main
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.studies.preference_data import preference_pairs
from tests.tables import make_table


def reply_text(record: Mapping[str, Any], side: str) -> str:
    return str(record[side][0]["content"])


def test_labels_follow_the_odds_of_the_weighted_reward():
    table = RewardTable(
        values=("humor",),
        rewards=np.array([[0.0], [1.0]]),
        offsets=np.array([0, 2]),
        prompt_ids=("a",),
        prompts=("Why?",),
        use_cases=("All",),
        replies=("dull", "funny"),
    )
    # lambda = log 3: the better reply is chosen three times of four.
    records = [r for seed in range(800) for r in preference_pairs(table, np.array([np.log(3.0)]), seed=seed)]
    assert len(records) == 800
    funny = [r for r in records if reply_text(r, "chosen") == "funny"]
    assert len(funny) / 800 == pytest.approx(0.75, abs=0.05)
    assert funny[0]["certificate"]["probability"] == pytest.approx(0.75)
    dull = next(r for r in records if reply_text(r, "chosen") == "dull")
    assert dull["certificate"]["probability"] == pytest.approx(0.25)
    assert dull["certificate"]["rewards_chosen"] == {"humor": 0.0}
    assert dull["weights"] == {"humor": pytest.approx(np.log(3.0))}


def test_pairs_are_unique_and_skip_held_out_prompts():
    table = replace(make_table(prompts=12, candidates=4), held_out=np.arange(12) == 0, metadata={"system": "Be kind."})
    records = list(preference_pairs(table, np.ones(4), pairs=50))
    assert len(records) == 11 * 6
    unique_pairs = {frozenset((reply_text(r, "chosen"), reply_text(r, "rejected"))) for r in records}
    assert len(unique_pairs) == len(records)
    assert {r["prompt"][0]["content"] for r in records} == {"Be kind."}
    assert table.prompts[0] not in {r["prompt"][1]["content"] for r in records}
    assert list(preference_pairs(table, np.ones(4), pairs=50)) == records
    with pytest.raises(InputError, match="expected one pair or more, and texts"):
        list(preference_pairs(replace(table, replies=()), np.ones(4)))


def test_trl_reads_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    datasets = pytest.importorskip("datasets", reason="needs requirements-tune.txt")
    data_utils = pytest.importorskip("trl.data_utils", reason="needs requirements-tune.txt")
    save(make_table(prompts=12, candidates=8), tmp_path / "table.parquet")
    out_path = tmp_path / "kind.jsonl"
    command = ["preferences", str(tmp_path / "table.parquet"), "--target", "humor=+0.4sd", "--out", str(out_path)]
    assert main([*command, "--pairs", "3"]) == 0
    assert "36 pairs" in capsys.readouterr().err
    dataset = datasets.load_dataset("json", data_files=str(out_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert {"prompt", "chosen", "rejected"} <= set(dataset.column_names)
    assert data_utils.is_conversational(dataset[0])
    assert data_utils.maybe_extract_prompt(dataset[0])["chosen"] == dataset[0]["chosen"]
    assert dataset[0]["certificate"]["verdict"] == "reachable"
    first_record = json.loads(out_path.read_text().splitlines()[0])
    assert first_record["palette"]["targets"]["humor"] == pytest.approx(first_record["certificate"]["levels"]["humor"])
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
