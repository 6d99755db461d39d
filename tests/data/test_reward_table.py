"""Tests of the reward table: round trips through its file, and messages for invalid input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load, load_metadata, save
from map_core.errors import InputError
from tests.tables import USE_CASES, make_table


def test_round_trip(tmp_path: Path):
    table = make_table()
    save(table, tmp_path / "table.parquet")
    restored = load(tmp_path / "table.parquet")
    np.testing.assert_array_equal(restored.rewards, table.rewards)
    np.testing.assert_array_equal(restored.offsets, table.offsets)
    np.testing.assert_array_equal(restored.log_probs, table.log_probs)
    for name in ("values", "prompt_ids", "prompts", "use_cases", "replies", "tokens"):
        assert getattr(restored, name) == getattr(table, name)
    assert restored.metadata["seed"] == 0
    assert load_metadata(tmp_path / "table.parquet")["sampling"]["top_k"] == 50
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def test_rows_are_sorted_by_prompt(tmp_path: Path):
    table = make_table(prompts=4, candidates=3)
    save(table, tmp_path / "a.parquet")
    data = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(data.take(pa.array([7, 2, 0, 1, 6, 8, 3, 5, 4, 11, 9, 10])), tmp_path / "b.parquet")
    restored = load(tmp_path / "b.parquet")
    assert restored.prompt_ids == ("p02", "p00", "p01", "p03")
    np.testing.assert_array_equal(restored.rewards[restored.rows(1)], table.rewards[table.rows(0)])


def test_use_cases(tmp_path: Path):
    table = make_table()
    part = table.select(USE_CASES[1])
    assert set(part.use_cases) == {USE_CASES[1]}
    assert len(part.rewards) == len(part.replies) == part.candidates.sum() == len(table.rewards) // 2
    assert table.select(None) is table
    with pytest.raises(InputError, match="Unknown use case 'Nowhere'; this table has 'Customer support'"):
        table.select("Nowhere")


def test_form_follows_the_number_of_replies():
    assert make_table().form is Form.PER_PROMPT
    assert make_table(prompts=8, candidates=1).form is Form.POOLED


def plain(rows: int = 4, **columns: object) -> pa.Table:
    defaults: dict[str, object] = {
        "prompt": ["a", "a", "b", "b"][:rows],
        "reply": ["x", "y", "z", "w"][:rows],
        "humor": [0.0, 1.0, 2.0, 3.0][:rows],
    }
    return pa.table(defaults | columns)


def test_custom_table(tmp_path: Path):
    pq.write_table(plain(wit=[1, 2, 3, 4]), tmp_path / "own.parquet")
    table = load(tmp_path / "own.parquet")
    assert table.values == ("humor", "wit")
    assert table.candidates.tolist() == [2, 2]
    assert table.use_case_names == ("All prompts",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"humor": [0.0, float("nan"), 2.0, 3.0]}, "1 reward is missing, not finite.*row 2, value 'humor'"),
        ({"humor": [0.0, 1.0, float("inf"), 3.0]}, "row 3.*inf"),
        ({"humor": [0.0, 1.0, 2.0, None]}, "row 4"),
        ({"humor": ["a", "b", "c", "d"]}, "no column of numbers"),
        ({"prompt_id": ["a"] * 4, "candidate": [0, 1, 2, 2]}, "one candidate of a prompt twice"),
    ],
)
def test_invalid_rewards_are_refused(tmp_path: Path, columns: dict[str, object], message: str):
    pq.write_table(plain(**columns), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "bad.parquet")


def test_files_that_are_no_tables_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There is no table at"):
        load(tmp_path / "missing.parquet")
    (tmp_path / "text.parquet").write_text("prompt,reply,humor\n")
    with pytest.raises(InputError, match="not a Parquet file"):
        load(tmp_path / "text.parquet")
    pq.write_table(pa.table({"question": ["a"], "humor": [1.0]}), tmp_path / "columns.parquet")
    with pytest.raises(InputError, match="lacks the column 'prompt', 'reply'"):
        load(tmp_path / "columns.parquet")
    pq.write_table(plain(0), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="no rows"):
        load(tmp_path / "empty.parquet")


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "table.parquet"
    save(make_table(seed=1), path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(InputError, match="No space left"):
        save(make_table(seed=2), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_notes_about_a_table():
    table = make_table(prompts=4, candidates=2)
    rewards = table.rewards.copy()
    rewards[:, 1] = 5.0
    odd = RewardTable(
        values=table.values,
        rewards=rewards[:7],
        offsets=np.array([0, 2, 4, 6, 7]),
        prompt_ids=table.prompt_ids,
        prompts=("same", "same", "c", "d"),
        use_cases=("u",) * 4,
    )
    assert len(odd.notes) == 3
    assert odd.notes[0].startswith("harmlessness is the same for every reply")
    assert odd.notes[1].startswith("1 prompt repeats")
    assert odd.notes[2].startswith("1 of 4 prompts have one reply")
    assert make_table().notes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"values": ("a", "b", "c")},
        {"values": ("a", "a", "b", "c")},
        {"offsets": np.array([0, 5])},
        {"offsets": np.array([0, 0, 192])},
        {"prompts": ("one",)},
    ],
)
def test_shapes_must_fit(change: dict[str, object]):
    table = make_table()
    fields = {
        name: getattr(table, name) for name in ("values", "rewards", "offsets", "prompt_ids", "prompts", "use_cases")
    }
    with pytest.raises(InputError):
        RewardTable(**(fields | change))  # type: ignore[arg-type]


def test_replies_keep_the_numbers_of_their_candidates(tmp_path):
    table = make_table(prompts=3, candidates=4)
    gaps = replace(table, numbers=np.array([0, 1, 2, 3, 0, 2, 3, 7, 1, 2, 3, 4]))
    assert [table.candidate_of(row) for row in (0, 5, 11)] == [0, 1, 3]
    assert [gaps.candidate_of(row) for row in (0, 5, 11)] == [0, 2, 4]
    assert [gaps.row_of(1, candidate) for candidate in (-1, 0, 1, 2, 7, 8)] == [None, 4, None, 5, 7, None]
    assert [table.row_of(1, candidate) for candidate in (-1, 0, 3, 4)] == [None, 4, 7, None]
    assert gaps.take([2, 1]).numbers.tolist() == [1, 2, 3, 4, 0, 2, 3, 7]
    save(gaps, tmp_path / "gaps.parquet")
    np.testing.assert_array_equal(load(tmp_path / "gaps.parquet").numbers, gaps.numbers)
    save(table, tmp_path / "made.parquet")
    assert not load(tmp_path / "made.parquet").numbers.size
    with pytest.raises(InputError, match="numbers has 3 entries"):
        replace(table, numbers=np.arange(3))
    with pytest.raises(InputError, match="do not rise"):
        replace(table, numbers=np.array([0, 1, 2, 3, 0, 2, 2, 7, 1, 2, 3, 4]))
