"""Files of other people become tables, and what cannot be used is refused by row and column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from map_core.command_line import main
from map_core.errors import InputError
from map_core.glossary import Form
from map_core.importing import import_table
from map_core.rewards import load
from tests.tables import make_table

ROWS = [
    {"prompt": "How are you?", "generated": "How are you?\nFine, thanks.", "humor": 0.5, "length": 3},
    {"prompt": "Tell a joke", "generated": "Tell a joke: knock knock", "humor": 2.5, "length": 4},
    {"prompt": "How are you?", "generated": "How are you? You tell me.", "humor": 1.25, "length": 1},
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(mark: str = ",", comma: bool = False) -> str:
    lines = [mark.join(ROWS[0])]
    for row in ROWS:
        cells = [f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row.values()]
        lines.append(mark.join(cell.replace(".", ",") if comma and cell[0] != '"' else cell for cell in cells))
    return "\n".join(lines) + "\n"


def parquet(folder: Path) -> Path:
    pd.DataFrame(ROWS).to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


KINDS = {
    "Parquet": parquet,
    "JSON list": lambda folder: write(folder, "rows.json", json.dumps(ROWS, indent=1)),
    "JSON lines": lambda folder: write(folder, "rows.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
    "CSV": lambda folder: write(folder, "rows.csv", as_csv()),
    "CSV of Windows": lambda folder: write(folder, "rows.csv", as_csv().replace("\n", "\r\n").replace("?\r", "?")),
    "CSV with a byte order mark": lambda folder: write(folder, "rows.csv", as_csv().encode("utf-8-sig")),
    "CSV in UTF-16": lambda folder: write(folder, "rows.csv", as_csv().encode("utf-16")),
    "CSV of Excel in Europe": lambda folder: write(folder, "rows.txt", as_csv(";", comma=True)),
    "CSV with tabs": lambda folder: write(folder, "rows.tsv", as_csv("\t")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_table(kind: str, tmp_path: Path):
    path = KINDS[kind](tmp_path)
    found = import_table(path, date="2026-11-24")
    table = found.table
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
    said = " ".join(found.notes)
    assert "'prompt' holds the prompts, 'generated' the replies; values: humor, length." in said
    assert "3 replies repeat their prompt" in said
    assert str(tmp_path) not in json.dumps(table.metadata)


def test_named_columns_in_the_order_asked_for(tmp_path: Path):
    rows = [
        {"asked": "a", "said": "x", "who": "nurses", "text": "no", "b": 1, "a": True, "id": 7, "tokens": 3},
        {"asked": "a", "said": "y", "who": "doctors", "text": "no", "b": 2.5, "a": False, "id": 8, "tokens": 4},
    ]
    path = write(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    columns = {"prompt_column": "asked", "reply_column": "said", "use_case_column": "who"}
    found = import_table(path, values=["tokens", "a"], **columns)
    assert found.table.values == ("value_tokens", "a")
    np.testing.assert_array_equal(found.table.rewards, [[3, 1], [4, 0]])
    # One text in two use cases is two prompts.
    assert found.table.use_cases == ("nurses", "doctors")
    said = " ".join(found.notes)
    assert "Left out: text, b, id." in said
    assert "taken as 1 and 0" in said
    assert "the value is called 'value_tokens'" in said
    assert import_table(path, **columns).table.values == ("b", "a")


def test_a_reply_keeps_what_is_its_own(tmp_path: Path):
    """One reply that happens to begin like its prompt does not repeat it; spaces that were moved do not count."""
    rows = [{"question": "Hi", "answer": text, "humor": i} for i, text in enumerate(("Hi there", "Hello", "Good day"))]
    found = import_table(write(tmp_path, "a.json", json.dumps(rows)))
    assert found.table.replies == ("Hi there", "Hello", "Good day")
    rows = [
        {"prompt": "Why , me ?", "generated": text, "humor": 1.5} for text in ("Why, me? So.", "Why , me ?No", "Eh")
    ]
    found = import_table(write(tmp_path, "b.json", json.dumps(rows)))
    assert found.table.replies == ("So.", "No", "Eh")
    assert "1 do not and are kept whole, in rows 3." in found.notes
    assert any("humor is the same for every reply" in note for note in found.notes)


def test_repeated_rows_and_numbers_in_text_are_said(tmp_path: Path):
    rows = [{"prompt": "a", "reply": "x", "humor": "1.5"}] * 2 + [{"prompt": "a", "reply": "x", "humor": "2e-1"}]
    found = import_table(write(tmp_path, "a.json", json.dumps(rows)))
    np.testing.assert_array_equal(found.table.rewards.ravel(), [1.5, 1.5, 0.2])
    said = " ".join(found.notes)
    assert "1 rows repeat another row" in said
    assert "1 replies come again with other rewards" in said
    assert "numbers written as text" in said


def reply(**columns: object) -> dict[str, object]:
    return {"prompt": "a", "reply": "x", "humor": 1.0} | columns


def lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "is empty"),
        ("a.csv", " \n", "is empty"),
        ("a.json", "[]", "no rows"),
        ("a.csv", "prompt,reply,humor\n", "no rows"),
        ("a.json", '[{"prompt": "a"', "is no JSON"),
        ("a.json", "[1, 2]", "Entry 1 of .* is 1; expected an object"),
        ("a.jsonl", lines(reply()) + "\n{oops}", "Line 2 of .* is no JSON"),
        ("a.jsonl", lines(reply(), [1]), "Line 2 of .* is .1.; expected an object"),
        ("a.parquet", "hello", "not a Parquet file"),
        ("a.csv", b"prompt,reply,humor\nd\xe9j\xe0,x,1\n", "not text in UTF-8 .byte 0xe9 at position 20"),
        ("a.bin", b"\x00\x01\x02\x00", "neither Parquet nor text"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,z,2\n", "cannot be read as CSV .*3 columns"),
        ("a.csv", "prompt,reply,humor,humor\na,x,1,2\n", "column 'humor' twice"),
        ("a.csv", "just some words\nand more\n", "known to hold the prompt.*--prompt-column"),
        ("a.csv", "prompt,humor\na,1\n", "known to hold the reply: prompt, humor.*--reply-column"),
        ("a.csv", "prompt,reply,note\na,x,b\n", "no column of numbers"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,\n", "row 2, column 'humor' is empty"),
        ("a.csv", "prompt,reply,humor\na,x,85%\na,y,90%\n", "row 1, column 'humor' is '85%' with a percent sign"),
        ("a.csv", 'prompt,reply,humor\na,x,1\na,y,"1,5"\n', "row 2, column 'humor' is '1,5', no number"),
        ("a.csv", "prompt;reply;humor\na;x;1,5\na;y;1.5\n", "row 1, column 'humor' is '1,5', no number"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,nan\na,z,nan\n", "row 2.*nan, not a finite number .and 1 more .*3"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,inf\n", "row 2, column 'humor' is inf"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,1e200\n", "row 2, column 'humor' is 1e200, too large"),
        ("a.csv", b"\xfe\xff", "is empty"),
        ("a.csv", "prompt,reply,humor\na,x,1\n ,y,2\n", "row 2, column 'prompt' is empty"),
        ("a.jsonl", lines(reply(), reply(humor=None)), "row 2, column 'humor' is empty"),
        ("a.jsonl", lines(reply(), {"prompt": "a", "reply": "y"}), "row 2, column 'humor' is empty"),
        ("a.jsonl", lines(reply(), reply(humor=float("nan"))), "row 2, column 'humor' is nan"),
        ("a.jsonl", lines(reply(), reply(humor=10**400)), "row 2, column 'humor'"),
        ("a.jsonl", lines(reply(), reply(humor="funny")), "row 2, column 'humor' is 'funny', no number"),
        ("a.jsonl", lines(reply(), reply(humor={"x": 1})), "row 2, column 'humor'"),
        ("a.jsonl", lines(reply(), reply(reply=None)), "row 2, column 'reply' is empty"),
        ("a.jsonl", lines(reply(prompt=[{"role": "user"}])), "row 1, column 'prompt' is .*; expected text"),
        ("a.jsonl", '{"prompt": "\\ud800", "reply": "x", "humor": 1}', "half a character"),
        ("a.json", lines({"prompt": {"0": "a"}, "reply": {"0": "x"}, "humor": {"0": 1}}), "no column of numbers"),
    ],
)
def test_what_cannot_be_used(name: str, content: str | bytes, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        import_table(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": ["wit"]}, "no column 'wit'; it has prompt, generated, humor, length"),
        ({"values": []}, "No values are named"),
        ({"values": ["humor", "humor"]}, "'humor' is named twice"),
        ({"values": ["prompt"]}, "'prompt' holds text"),
        ({"prompt_column": "asked"}, "no column 'asked' for the prompt"),
        ({"reply_column": "said"}, "no column 'said' for the reply"),
        ({"use_case_column": "who"}, "no column 'who' for the use case"),
        ({"prompt_column": "prompt", "use_case_column": "prompt"}, "'prompt' is taken already"),
        ({"reply_column": "generated", "use_case_column": "generated"}, "'generated' is taken already"),
    ],
)
def test_columns_that_are_not_there(options: dict, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        import_table(KINDS["CSV"](tmp_path), **options)


def test_the_command_writes_a_table_that_solves(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = make_table(prompts=12, candidates=8)
    prompts = np.repeat(made.prompts, 8)
    rows = pd.DataFrame(
        {"prompt": prompts, "reply": made.replies} | dict(zip(made.values, made.rewards.T, strict=True))
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "out.parquet"
    assert main(["import", str(tmp_path / "rows.csv"), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "12 prompts, 96 replies, 4 values; per-prompt form." in shown.err
    table = load(out)
    assert table.values == made.values
    np.testing.assert_array_equal(table.rewards, made.rewards)
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
    shown = capsys.readouterr()
    assert "There is no file" in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "b.parquet").exists()


def test_a_table_of_our_own_can_be_read_again(tmp_path: Path):
    from map_core.rewards import save

    made = make_table(prompts=4, candidates=3)
    save(made, tmp_path / "made.parquet")
    again = import_table(tmp_path / "made.parquet", values=["humor"]).table
    np.testing.assert_array_equal(again.rewards, made.rewards[:, [2]])
    assert again.use_cases == made.use_cases
    assert again.prompts == made.prompts
