"""Tests of the identity of prompts, their id and text: loading a file of the table's format equals importing it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.catalog import describe
from map_core.cli import main
from map_core.data import table_file, table_format
from map_core.data.importing import import_table
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError

TEXTS = ("How?", "Why?", "Why? ", "Cafe\u0301?", "Caf\u00e9?", "When?")


def generated(rng: np.random.Generator) -> dict[str, Any]:
    """Return columns of a file in the table's format, valid or with one irregularity."""
    rows = int(rng.integers(1, 9))
    odd = rng.random() < 0.5
    texts = rng.choice(len(TEXTS) if odd else 2, rows)
    columns: dict[str, Any] = {"prompt": [TEXTS[k] for k in texts], "reply": [f"r{k}" for k in range(rows)]}
    columns["humor"] = rng.normal(size=rows)
    if rng.random() < 0.6:
        kind = rng.integers(3)
        ids = [f"{k}" for k in texts] if kind == 0 else [f"{k % 3}" for k in range(rows)]
        columns["prompt_id"] = [int(name) for name in ids] if kind == 2 else ids
    if rng.random() < 0.5:
        columns["candidate"] = rng.permutation(rows) if rng.random() < 0.7 else rng.integers(0, 3, rows)
    if rng.random() < 0.4:
        columns["weight"] = 1.0 + texts if rng.random() < 0.7 else rng.integers(0, 3, rows)
    if rng.random() < 0.4:
        columns["held_out"] = texts == 0 if rng.random() < 0.7 else rng.random(rows) < 0.5
    if rng.random() < 0.4:
        columns["use_case"] = [f"u{k % 2}" for k in texts] if rng.random() < 0.7 else [f"u{k % 2}" for k in range(rows)]
    if rng.random() < 0.3:
        name = rng.choice(["passage", "context", "system", "split", "scores", "safe"])
        columns[name] = {
            "split": [("train", "test")[k % 2] for k in texts],
            "scores": [{"wit": float(k), "tact": {"rating": 2.0 * k}} for k in range(rows)],
            "safe": [k % 2 == 0 for k in range(rows)],
        }.get(name, [f"t{k % 2}" for k in (texts if rng.random() < 0.5 else range(rows))])
    if rng.random() < 0.3:
        columns["tokens"] = [list(range(k)) for k in range(rows)]
        columns["log_prob"] = rng.normal(size=rows)
    return columns


def outcome(read: Any, path: Path) -> RewardTable | str:
    """Return the table, or the message of its refusal."""
    try:
        table: RewardTable = read(path)
    except InputError as error:
        return str(error)
    return table


def imported(path: Path) -> RewardTable:
    return import_table(path).table


def assert_same(
    loaded: RewardTable | str, imported_table: RewardTable | str, ids: bool, texts_alone: bool = False
) -> None:
    assert isinstance(loaded, str) == isinstance(imported_table, str), (loaded, imported_table)
    if isinstance(loaded, str) or isinstance(imported_table, str):
        return
    assert loaded.values == imported_table.values
    assert loaded.prompts == imported_table.prompts
    assert loaded.use_cases == imported_table.use_cases
    assert loaded.replies == imported_table.replies
    np.testing.assert_array_equal(loaded.rewards, imported_table.rewards)
    np.testing.assert_array_equal(loaded.offsets, imported_table.offsets)
    np.testing.assert_array_equal(loaded.numbers, imported_table.numbers)
    np.testing.assert_array_equal(loaded.weights, imported_table.weights)
    np.testing.assert_array_equal(loaded.held_out, imported_table.held_out)
    if ids:
        assert loaded.prompt_ids == imported_table.prompt_ids
    if not texts_alone:
        assert loaded.tokens == imported_table.tokens
        np.testing.assert_array_equal(loaded.log_probs, imported_table.log_probs)


@pytest.mark.parametrize("seed", range(60))
def test_loading_equals_importing_or_both_refuse(seed: int, tmp_path: Path) -> None:
    columns = generated(np.random.default_rng(seed))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    loaded = outcome(table_file.load, tmp_path / "a.parquet")
    assert_same(loaded, outcome(imported, tmp_path / "a.parquet"), "prompt_id" in columns)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*map(_plain, columns.values()), strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    if not isinstance(loaded, str):
        assert_same(loaded, outcome(imported, tmp_path / "a.jsonl"), "prompt_id" in columns, texts_alone=True)
    entry = describe(tmp_path / "a.parquet")
    if isinstance(loaded, str):
        return
    assert (entry.prompts, entry.replies, entry.values) == (len(loaded.prompts), len(loaded.replies), loaded.values)


def _plain(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def test_generated_files_cover_every_kind(tmp_path: Path) -> None:
    outcomes = []
    for seed in range(70):
        pq.write_table(pa.table(generated(np.random.default_rng(seed))), tmp_path / f"{seed}.parquet")
        outcomes.append(outcome(table_file.load, tmp_path / f"{seed}.parquet"))
    tables = [table for table in outcomes if isinstance(table, RewardTable)]
    assert len(tables) > 25
    assert sum(bool(table.reading) for table in tables) > 5
    refusals = " ".join(reason for reason in outcomes if isinstance(reason, str))
    for reason in ("--lookalikes merge", "weight", "held out|held_out", "expected a (weight|number) above 0"):
        assert re.search(reason, refusals), reason


def lines(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_one_text_under_two_ids_is_two_prompts_with_a_note(tmp_path: Path) -> None:
    rows = [{"prompt_id": k // 2, "prompt": "How?", "reply": f"r{k}", "humor": k} for k in range(4)]
    result = import_table(lines(tmp_path, *rows))
    assert result.table.prompt_ids == ("0", "1")
    assert result.table.candidates.tolist() == [2, 2]
    assert any("'prompt_id' makes 2 prompts of 1 text:" in note for note in result.notes)
    assert import_table(lines(tmp_path, *rows), prompt_id_column="").table.candidates.tolist() == [4]


def test_one_id_with_two_texts_is_two_prompts(tmp_path: Path) -> None:
    rows = [{"prompt_id": "a", "prompt": text, "reply": "r", "humor": k} for k, text in enumerate(("How?", "Why?"))]
    result = import_table(lines(tmp_path, *rows))
    assert result.table.prompts == ("How?", "Why?")
    assert len(set(result.table.prompt_ids)) == 2
    assert any("One id of 'prompt_id' comes with several prompts" in note for note in result.notes)


def test_rows_without_an_id_are_identified_by_text(tmp_path: Path) -> None:
    rows = [
        {"prompt_id": name, "prompt": "How?", "reply": f"r{k}", "humor": k} for k, name in enumerate(("a", None, ""))
    ]
    result = import_table(lines(tmp_path, *rows))
    assert result.table.candidates.tolist() == [1, 2]
    assert any("1 prompt has no 'prompt_id'" in note for note in result.notes)


def test_candidates_order_the_replies(tmp_path: Path) -> None:
    rows = [{"prompt": "How?", "candidate": k, "reply": f"r{k}", "humor": k} for k in (2, 0, 1)]
    assert import_table(lines(tmp_path, *rows)).table.replies == ("r0", "r1", "r2")
    rows[1]["candidate"] = 2
    twice = import_table(lines(tmp_path, *rows))
    assert twice.table.replies == ("r2", "r0", "r1")
    assert any("'candidate' gives two replies to one prompt the same number" in note for note in twice.notes)
    rows[1]["candidate"] = "first"
    words = import_table(lines(tmp_path, *rows))
    assert words.table.replies == ("r2", "r0", "r1")
    assert any("'candidate' holds no whole numbers" in note for note in words.notes)


def test_weight_column_is_recognised_by_name_unless_refused(tmp_path: Path) -> None:
    rows = [{"prompt": "How?", "weight": 3, "reply": f"r{k}", "humor": k} for k in range(2)]
    rows.append({"prompt": "Why?", "weight": 1, "reply": "r", "humor": 1})
    assert import_table(lines(tmp_path, *rows)).table.weights.tolist() == [3, 1]
    rows[1]["weight"] = 4
    with pytest.raises(InputError, match=r'row 2, column .weight. differs from an earlier row .* --weight-column ""'):
        import_table(lines(tmp_path, *rows))
    assert import_table(lines(tmp_path, *rows), weight_column="").table.weights.size == 0
    for row, word in zip(rows, ("light", "heavy", "light"), strict=True):
        row["weight"] = word
    words = import_table(lines(tmp_path, *rows))
    assert words.table.weights.size == 0
    assert any("'weight' holds no numbers" in note for note in words.notes)


def test_every_command_that_reads_a_table_prints_the_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {
        "prompt": ["How?", "How?", "Why?", "Why?"],
        "reply": list("abcd"),
        "humor": [0.0, 1, 2, 4],
        "step": [1, 2, 3, 4],
    }
    path, second_path = tmp_path / "scored.parquet", tmp_path / "again.parquet"
    pq.write_table(pa.table(columns), path)
    commands = (
        ["values", str(path)],
        ["groups", str(path), "--target", "humor=1.5", "--compare", str(path)],
        ["build", "--rescore", str(path), "--out", str(second_path), "--values", "diversity"],
    )
    for command in commands:
        assert main(command) == 0
        error = capsys.readouterr().err
        assert "is read as an import reads it: 'step' numbers the rows" in error, command
        assert error.count("Left out: step.") == (2 if command[0] == "groups" else 1)
    assert not table_format.load(second_path).reading


def test_list_counts_third_party_files_as_loading_does(tmp_path: Path) -> None:
    ids = ["0", "0", "0", "0"]
    columns = {
        "prompt_id": ids,
        "prompt": ["How?", "How?", "Why?", "Why?"],
        "reply": list("abcd"),
        "humor": [0.0, 1, 2, 4],
    }
    pq.write_table(
        pa.table(columns | {"safe": [True, False, True, True], "rank": [1, 2, 1, 2]}), tmp_path / "a.parquet"
    )
    entry = describe(tmp_path / "a.parquet")
    assert (entry.prompts, entry.replies, entry.values) == (2, 4, ("humor", "safe"))
    pq.write_table(pa.table(columns | {"humor": [0.0, 1, 2, None]}), tmp_path / "b.parquet")
    assert "row 4, column 'humor' is empty" in describe(tmp_path / "b.parquet").fault
    pq.write_table(pa.table({"prompt": ["How?"], "completion": ["a"], "humor": [1.0]}), tmp_path / "c.parquet")
    assert describe(tmp_path / "c.parquet").fault.startswith("c.parquet lacks the column 'reply', so it is no table.")


def test_left_out_reply_does_not_shift_candidate_numbers(tmp_path: Path) -> None:
    rows = [{"prompt": "How?", "candidate": k, "reply": f"r{k}", "humor": k} for k in (0, 2, 3)]
    table = import_table(lines(tmp_path, *rows)).table
    assert table.replies == ("r0", "r2", "r3")
    assert table.numbers.tolist() == [0, 2, 3]
    shuffled = import_table(lines(tmp_path, rows[2], rows[0], rows[1])).table
    assert (shuffled.replies, shuffled.numbers.tolist()) == (table.replies, [0, 2, 3])
    plain = [{name: cell for name, cell in row.items() if name != "candidate"} for row in rows]
    assert not import_table(lines(tmp_path, *plain)).table.numbers.size
    huge = import_table(lines(tmp_path, *({**row, "candidate": 2**40 + k} for k, row in enumerate(rows))))
    assert not huge.table.numbers.size
