"""Tests of importing third-party files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from map_core.cli import main
from map_core.core.types import Form
from map_core.data.importing import (
    ColumnChoice,
    import_file,
    import_table,
    preview,
)
from map_core.data.table_format import load
from map_core.errors import InputError
from map_core.oracle.parquet import ParquetOracle
from tests.data.foreign_files import KINDS, lines, reply, write
from tests.tables import make_table


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_table(kind: str, tmp_path: Path):
    path = KINDS[kind](tmp_path)
    imported = import_table(path, date="2026-11-24")
    table = imported.table
    assert table.values == ("humor", "length")
    assert table.prompts == ("How are you?", "Tell a joke")
    assert table.replies == ("Fine, thanks.", "You tell me.", ": knock knock")
    np.testing.assert_array_equal(table.rewards, [[0.5, 3.0], [1.25, 1.0], [2.5, 4.0]])
    np.testing.assert_array_equal(table.offsets, [0, 2, 3])
    assert table.form is Form.PER_PROMPT
    assert len(set(table.prompt_ids)) == 2
    source = table.metadata["source"]
    assert source["file"] == path.name
    assert source["imported"] == "2026-11-24"
    assert source["columns"]["reply"] == "generated"
    assert len(source["sha256"]) == 64
    message = " ".join(imported.notes)
    assert "'prompt' holds the prompts, 'generated' the replies; values: humor, length." in message
    assert "3 replies repeat their prompt" in message
    assert str(tmp_path) not in json.dumps(table.metadata)


@pytest.mark.parametrize("kind", KINDS)
def test_chunk_size_changes_nothing(kind: str, tmp_path: Path, small_steps: None):
    test_every_format_gives_the_same_table(kind, tmp_path)


def test_rows_in_any_order_become_prompts_in_order(tmp_path: Path, small_steps: None):
    rng = np.random.default_rng(4)
    order = rng.permutation(60)
    rows = [{"prompt": f"p{n % 7}", "reply": f"r{n} é\n", "humor": n / 8, "use_case": f"u{n % 2}"} for n in order]
    reports: list[tuple[str, float]] = []
    out = tmp_path / "out.parquet"
    path = write(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    done = import_file(path, out, report=lambda stage, share: reports.append((stage, share)))
    table = load(out)
    assert (done.prompts, done.replies) == (14, 60)
    keys = list(dict.fromkeys((row["use_case"], row["prompt"]) for row in rows))
    assert list(zip(table.use_cases, table.prompts, strict=True)) == keys
    for number, key in enumerate(keys):
        own = [row for row in rows if (row["use_case"], row["prompt"]) == key]
        assert [table.replies[r] for r in range(60)[table.rows(number)]] == [row["reply"] for row in own]
        np.testing.assert_array_equal(table.rewards[table.rows(number), 0], [row["humor"] for row in own])
    assert [report for report in reports if report[0] == "reading"][-1] == ("reading", 1.0)
    assert reports[-1] == ("writing", 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out.parquet"]
    ParquetOracle(out)  # which requires the replies to each prompt to be adjacent


def test_cells_stay_text(tmp_path: Path):
    """Formulas, markup, line ends, quotes and long cells stay text; nothing is evaluated or truncated."""
    texts = ["=1+1", '=HYPERLINK("http://x")', "+cmd|' /C calc'!A0", "@SUM(A1)", "-1", "a\r\nb\x0bc", 'say "hi"']
    texts += ["<script>alert(1)</script>", "é😀\u202eعربي", "x" * 300_000, ""]
    rows = pd.DataFrame({"prompt": "p", "reply": texts, "humor": np.arange(len(texts)) / 4})
    rows.to_csv(tmp_path / "a.csv", index=False)
    table = import_table(tmp_path / "a.csv").table
    assert list(table.replies) == texts
    # Numbers written as formulas are refused and never evaluated.
    with pytest.raises(InputError, match=r"row 2, column 'humor' is '=1\+1', not a number"):
        import_table(write(tmp_path, "b.csv", "prompt,reply,humor\na,x,=1+1\na,y,2\n"))


def test_numbers_in_text_columns_of_parquet_become_text(tmp_path: Path):
    pd.DataFrame({"prompt": [7, 7], "reply": [1.5, 2.0], "humor": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    table = import_table(tmp_path / "a.parquet").table
    assert (table.prompts, table.replies) == (("7",), ("1.5", "2.0"))


def test_weights_are_one_number_per_prompt(tmp_path: Path):
    rows = [reply(often=3), reply(often=3, reply="y"), reply(often=0.5, prompt="b")]
    path = write(tmp_path, "a.jsonl", lines(*rows))
    imported = import_table(path, weight_column="often", values=["humor"])
    assert "'often' how often prompts occur" in imported.notes[0]
    assert imported.table.metadata["source"]["columns"]["weight"] == "often"
    out = tmp_path / "out.parquet"
    import_file(path, out, ColumnChoice(values=("humor",), weight="often"))
    assert pd.read_parquet(out)["weight"].tolist() == [3.0, 3.0, 0.5]
    for odd, message in (
        (4, "row 2, column 'often' differs from an earlier row"),
        (None, "row 2, column 'often' is empty"),
    ):
        rows[1]["often"] = odd
        with pytest.raises(InputError, match=message):
            import_table(write(tmp_path, "b.jsonl", lines(*rows)), weight_column="often", values=["humor"])
    rows[1]["often"], rows[2]["often"] = 3, 0
    with pytest.raises(InputError, match="row 3, column 'often' is 0; expected a weight above 0"):
        import_table(write(tmp_path, "b.jsonl", lines(*rows)), weight_column="often", values=["humor"])


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("held_out", True, False),
        ("Held-Out", "Yes", "no"),
        ("held_out", 1, 0),
        ("held_out", 1.0, None),
        ("split", "test", "train"),
        ("split", "held-out", "TRAIN"),
        ("split", "validation", "training"),
    ],
)
def test_held_out_prompts_stay_held_out(tmp_path: Path, name: str, yes: object, no: object, small_steps: None):
    rows = [
        reply(prompt="b", **{name: no}),
        reply(prompt="a", **{name: yes}),
        reply(prompt="b", reply="y", humor=2, **{name: no}),
    ]
    path = write(tmp_path, "a.jsonl", lines(*rows))
    imported = import_table(path)
    assert imported.table.values == ("humor",)
    assert imported.table.prompts == ("b", "a")
    np.testing.assert_array_equal(imported.table.held_out, [False, True])
    np.testing.assert_array_equal(imported.table.prompt_weights, [1.0, 0.0])
    assert f"{name!r} which of them are held out" in imported.notes[0]
    assert f"{name!r} holds 1 of 2 prompts out: they only check what is promised." in imported.notes
    assert imported.table.metadata["source"]["columns"]["held_out"] == name
    assert preview(path).guess.held_out == name
    assert import_table(path, held_out_column="").table.held_out.size == 0


def test_held_out_prompts_of_a_csv_beside_weights(tmp_path: Path):
    path = write(tmp_path, "a.csv", "prompt,reply,humor,often,keep\na,x,1,3,0\na,y,2,3,0\nb,x,1,5,1\nc,x,1,1,\n")
    table = import_table(path, values=["humor"], weight_column="often", held_out_column="keep").table
    np.testing.assert_array_equal(table.prompt_weights, [3.0, 0.0, 1.0])
    none = import_table(write(tmp_path, "b.csv", "prompt,reply,humor,held_out\na,x,1,false\nb,y,2,no\n"))
    assert none.table.held_out.size == 0
    assert "'held_out' holds no prompt out." in none.notes


def test_other_split_column_holds_nothing_out(tmp_path: Path):
    path = write(tmp_path, "a.jsonl", lines(reply(split="en"), reply(prompt="b", split="fr")))
    imported = import_table(path)
    assert imported.table.held_out.size == 0
    assert "'split' does not say train or test, so no prompt is held out by it." in imported.notes
    assert "Left out: split." in imported.notes
    assert preview(path).guess.held_out == ""
    with pytest.raises(InputError, match=r"row 1, column 'split' is 'en' .and 1 more"):
        import_table(path, held_out_column="split")
    with pytest.raises(InputError, match="has no column 'gone' for the held-out prompts"):
        import_table(path, held_out_column="gone")
    numbers = write(tmp_path, "b.jsonl", lines(reply(split=0), reply(prompt="b", split=1)))
    assert import_table(numbers, values=["split"]).table.values == ("split",)


def test_preview_guesses_and_refuses_nothing(tmp_path: Path):
    imported = preview(write(tmp_path, "a.csv", "asked,Response,humor,note,id\nhow?,x,1.5,good,7\n,y,,=1,8\n"))
    assert imported.kind == "CSV"
    assert imported.columns == ("asked", "Response", "humor", "note", "id")
    assert imported.rows[1] == {"asked": "", "Response": "y", "humor": "", "note": "=1", "id": "8"}
    assert imported.guess == ColumnChoice(("humor",), "", "Response", "", "", "")
    assert imported.numeric == ("humor", "id")
    assert not imported.ours
    with pytest.raises(InputError, match="no rows"):
        preview(write(tmp_path, "b.csv", "prompt,reply,humor\n"))


def test_use_cases_can_be_switched_off(tmp_path: Path):
    path = write(tmp_path, "a.jsonl", lines(reply(use_case="u"), reply(use_case="v")))
    assert import_table(path).table.use_cases == ("u", "v")
    assert import_table(path, use_case_column="").table.use_cases == ("All prompts",)


def test_named_columns_keep_the_requested_order(tmp_path: Path):
    rows = [
        {"asked": "a", "said": "x", "who": "nurses", "text": "no", "b": 1, "a": True, "id": 7, "tokens": 3},
        {"asked": "a", "said": "y", "who": "doctors", "text": "no", "b": 2.5, "a": False, "id": 8, "tokens": 4},
    ]
    path = write(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    columns = {"prompt_column": "asked", "reply_column": "said", "use_case_column": "who"}
    imported = import_table(path, values=["tokens", "a"], **columns)
    assert imported.table.values == ("value_tokens", "a")
    np.testing.assert_array_equal(imported.table.rewards, [[3, 1], [4, 0]])
    # One text in two use cases is two prompts.
    assert imported.table.use_cases == ("nurses", "doctors")
    message = " ".join(imported.notes)
    assert "Left out: text, b, id." in message
    assert "taken as 1 and 0" in message
    assert "the value is called 'value_tokens'" in message
    assert import_table(path, **columns).table.values == ("b", "a")


def test_reply_that_begins_like_its_prompt_is_kept(tmp_path: Path):
    """A single reply that begins like its prompt is no echo; differences in whitespace do not matter."""
    rows = [{"question": "Hi", "answer": text, "humor": i} for i, text in enumerate(("Hi there", "Hello", "Good day"))]
    imported = import_table(write(tmp_path, "a.json", json.dumps(rows)))
    assert imported.table.replies == ("Hi there", "Hello", "Good day")
    rows = [
        {"prompt": "Why , me ?", "generated": text, "humor": 1.5} for text in ("Why, me? So.", "Why , me ?No", "Eh")
    ]
    imported = import_table(write(tmp_path, "b.json", json.dumps(rows)))
    assert imported.table.replies == ("So.", "No", "Eh")
    assert "1 does not and is kept whole, in row 3." in imported.notes
    assert any("humor is the same for every reply" in note for note in imported.notes)


def test_repeated_rows_and_numbers_in_text_are_noted(tmp_path: Path):
    rows = [{"prompt": "a", "reply": "x", "humor": "1.5"}] * 2 + [{"prompt": "a", "reply": "x", "humor": "2e-1"}]
    imported = import_table(write(tmp_path, "a.json", json.dumps(rows)))
    np.testing.assert_array_equal(imported.table.rewards.ravel(), [1.5, 1.5, 0.2])
    message = " ".join(imported.notes)
    assert "1 row repeats another row" in message
    assert "1 reply comes again with other rewards" in message
    assert "numbers written as text" in message


def test_command_writes_a_table_that_can_be_solved(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    original = make_table(prompts=12, candidates=8)
    prompts = np.repeat(original.prompts, 8)
    rows = pd.DataFrame(
        {"prompt": prompts, "reply": original.replies} | dict(zip(original.values, original.rewards.T, strict=True))
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "out.parquet"
    assert main(["import", str(tmp_path / "rows.csv"), "--out", str(out)]) == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "12 prompts, 96 replies, 4 values; per-prompt form." in first.err
    table = load(out)
    assert table.values == original.values
    np.testing.assert_array_equal(table.rewards, original.rewards)
    assert table.metadata["source"]["file"] == "rows.csv"
    assert main(["solve", str(out), "--target", "humor=+0.3sd", "--json"]) == 0
    capsys.readouterr()

    assert main(["import", str(tmp_path / "rows.csv"), "--out", str(out)]) == 2
    assert "is there already. Give --force" in capsys.readouterr().err
    arguments = ["import", str(tmp_path / "rows.csv"), "--out", str(out), "--force", "--values", "humor, positivity"]
    assert main(arguments) == 0
    assert load(out).values == ("humor", "positivity")
    capsys.readouterr()
    assert main(["import", str(out), "--out", str(out), "--force"]) == 2
    assert "--out is the file itself" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none.csv"), "--out", str(tmp_path / "b.parquet")]) == 1
    first = capsys.readouterr()
    assert "There is no file" in first.err
    assert "Traceback" not in first.err
    assert not (tmp_path / "b.parquet").exists()


def test_exported_table_can_be_imported(tmp_path: Path):
    from map_core.data.table_format import save

    original = make_table(prompts=4, candidates=3)
    save(original, tmp_path / "made.parquet")
    restored = import_table(tmp_path / "made.parquet", values=["humor"]).table
    np.testing.assert_array_equal(restored.rewards, original.rewards[:, [2]])
    assert restored.use_cases == original.use_cases
    assert restored.prompts == original.prompts
    done = import_file(tmp_path / "made.parquet", tmp_path / "taken.parquet")
    assert "taken as it is" in done.notes[0]
    imported = load(tmp_path / "taken.parquet")
    assert imported.metadata["sampling"] == original.metadata["sampling"]
    assert (imported.tokens, imported.replies) == (original.tokens, original.replies)
