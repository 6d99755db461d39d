"""Tests of lookalikes: prompts with invisible differences are merged or kept apart as the user decides."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.cli import main
from map_core.data import table_file
from map_core.data.importing import import_table, preview, readers, writer
from map_core.data.importing.lookalikes import Lookalikes, visible
from map_core.data.importing.questions import UnansweredError
from map_core.errors import InputError

PLAIN = "Café one:\nsweet fruit?"
ALIKE = {
    "a no-break space": PLAIN.replace(" ", "\u00a0"),
    "a thin space": PLAIN.replace(" ", "\u2009"),
    "a zero-width space": PLAIN.replace("one", "o\u200bne"),
    "a byte order mark": f"\ufeff{PLAIN}",
    "a soft hyphen": PLAIN.replace("sweet", "sw\u00adeet"),
    "a direction mark": f"{PLAIN}\u200e",
    "a joiner with nothing to join": f"{PLAIN}\u200d",
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "line ends of an old Mac": PLAIN.replace("\n", "\r"),
    "accents by themselves": unicodedata.normalize("NFD", PLAIN),
    "spaces at a line's end": PLAIN.replace("\n", " \n"),
    "spaces at the end": f"{PLAIN}  ",
    "a line end at the end": f"{PLAIN}\n",
    "an escape": f"{PLAIN}\x1b",
}
SEEN = ("café one:\nsweet fruit?", "Café one: sweet fruit?", "Cafe one:\nsweet fruit?", "Café  one:\nsweet fruit?")


@pytest.mark.parametrize("kind", ALIKE)
def test_invisible_differences(kind: str) -> None:
    assert ALIKE[kind] != PLAIN
    assert visible(ALIKE[kind])[0] == visible(PLAIN)[0]
    assert visible(ALIKE[kind])[1] != 0


@pytest.mark.parametrize("text", [*SEEN, "x\u00b2", "👨\u200d👩", "می\u200cخواهم", "\tCafé"])
def test_visible_differences(text: str) -> None:
    plain = text.replace("\u00b2", "2").replace("\u200d", "").replace("\u200c", "")
    assert visible(text)[0] != visible(plain if plain != text else PLAIN)[0]


def test_normalisation_is_idempotent() -> None:
    rng = np.random.default_rng(5)
    letters = [
        "a",
        "é",
        "e\u0301",
        " ",
        "\u00a0",
        "\u200b",
        "\r\n",
        "\n",
        "\t",
        "\u200d",
        "\ufeff",
        "👩",
        "가",
        "\u1112\u1161",
    ]
    for _ in range(300):
        text = "".join(rng.choice(letters, 6))
        once = visible(text)[0]
        assert visible(once) == (once, 0)


def rows(prompts: list[str], **columns: list[object]) -> list[dict[str, object]]:
    return [
        {"prompt": prompt, "reply": f"r{k}", "humor": k} | {name: cells[k] for name, cells in columns.items()}
        for k, prompt in enumerate(prompts)
    ]


def lines(folder: Path, content: list[dict[str, object]]) -> Path:
    path = folder / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    return path


@pytest.mark.parametrize("kind", ALIKE)
def test_command_refuses_until_an_option_decides(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = lines(tmp_path, rows([PLAIN, ALIKE[kind], "Why?", PLAIN])), tmp_path / "o.parquet"
    assert main(["import", str(path), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "2 prompts look like another one" in error
    assert "as in rows 1 and 2: 2 prompts in all where they are merged or 3 prompts where they are kept apart." in error
    assert "Say which: --lookalikes merge or --lookalikes apart." in error
    assert not out.exists()
    merged = import_table(path, lookalikes="merge")
    assert merged.table.prompts == (PLAIN, "Why?")
    assert merged.table.replies == ("r0", "r1", "r3", "r2")
    assert "3 prompts are 2, since those that look alike are merged." in merged.notes
    apart = import_table(path, lookalikes="apart")
    assert apart.table.prompts == (PLAIN, ALIKE[kind], "Why?")
    assert apart.table.candidates.tolist() == [2, 1, 1]
    assert "1 prompt looks like an earlier one and is kept apart." in apart.notes


def test_chunk_size_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lines(tmp_path, rows(["Why?", ALIKE["a no-break space"], PLAIN, "Why?", *ALIKE.values()]))
    table = import_table(path, lookalikes="merge").table
    monkeypatch.setattr(readers, "ROWS", 2)
    monkeypatch.setattr(writer, "PARTITION", 1)
    pieces = import_table(path, lookalikes="merge").table
    assert pieces.prompts == table.prompts == ("Why?", ALIKE["a no-break space"])
    assert pieces.replies == table.replies
    assert pieces.candidates.tolist() == [2, len(ALIKE) + 2]


def test_ids_distinguish_lookalikes(tmp_path: Path) -> None:
    path = lines(tmp_path, rows([PLAIN, f"{PLAIN} "], prompt_id=["a", "b"]))
    assert import_table(path).table.prompt_ids == ("a", "b")
    with pytest.raises(UnansweredError, match="--lookalikes"):
        import_table(lines(tmp_path, rows([PLAIN, f"{PLAIN} "], prompt_id=["a", "a"])))


def test_use_cases_distinguish_lookalikes(tmp_path: Path) -> None:
    path = lines(tmp_path, rows([PLAIN, f"{PLAIN} "], use_case=["u", "v"]))
    assert len(import_table(path).table.prompts) == 2


def test_merged_prompts_have_one_weight(tmp_path: Path) -> None:
    prompts = [PLAIN, f"{PLAIN} ", "Why?"]
    equal = import_table(lines(tmp_path, rows(prompts, weight=[2, 2, 5])), lookalikes="merge").table
    assert equal.weights.tolist() == [2, 5]
    with pytest.raises(InputError, match="row 2, column 'weight' differs from that of an earlier prompt"):
        import_table(lines(tmp_path, rows(prompts, weight=[2, 3, 5])), lookalikes="merge")
    flags = import_table(lines(tmp_path, rows(prompts, held_out=[True, True, False])), lookalikes="merge").table
    assert flags.held_out.tolist() == [True, False]


def test_third_party_table_must_be_imported_before_a_solve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "a.parquet", tmp_path / "o.parquet"
    columns = {"prompt": [PLAIN] * 2 + [f"{PLAIN} "] * 2, "reply": list("abcd"), "humor": [0.0, 1.0, 2.0, 4.0]}
    pq.write_table(pa.table(columns), path)
    assert main(["solve", str(path), "--target", "humor=1.5"]) != 0
    assert "--lookalikes apart. These are options of import: import the file first." in capsys.readouterr().err
    assert main(["import", str(path), "--out", str(out), "--lookalikes", "merge"]) == 0
    assert "1 prompt, 4 replies, 1 value" in capsys.readouterr().err
    assert main(["solve", str(out), "--target", "humor=1.75"]) == 0
    assert len(table_file.load(out).prompts) == 1


def test_left_out_column_in_which_prompts_differ_is_a_question(tmp_path: Path) -> None:
    content = rows(["How?", "How?", "Why?"], passage=["Rain.", "Sun.", ""])
    with pytest.raises(UnansweredError) as raised:
        import_table(lines(tmp_path, content))
    (question,) = raised.value.questions
    assert question.option == "--context-column"
    assert [answer.gives for answer in question.answers] == ["3 prompts with it", "2 prompts without it"]
    assert "--context-column passage or --context-column ''" in str(raised.value)
    out = ["--out", str(tmp_path / "o.parquet"), "--force"]
    for column, prompts in (("passage", ("How?\n\nRain.", "How?\n\nSun.", "Why?")), ("", ("How?", "Why?"))):
        assert main(["import", str(lines(tmp_path, content)), *out, f"--context-column={column}"]) == 0
        assert table_file.load(tmp_path / "o.parquet").prompts == prompts
    same = rows(["How?", "How?", "Why?"], passage=["Rain.", "Rain.", ""])
    assert len(import_table(lines(tmp_path, same)).table.prompts) == 2


def test_author_is_no_part_of_the_prompt(tmp_path: Path) -> None:
    content = rows(["How?", "How?", "Why?"], persona=["a pirate", "a nurse", "a pirate"])
    with pytest.raises(UnansweredError, match="the column 'persona' is in no prompt"):
        import_table(lines(tmp_path, content))
    content = rows(["How?", "How?", "Why?"], user=["ann", "ben", "ann"])
    assert len(import_table(lines(tmp_path, content)).table.prompts) == 2


def test_a_system_message_is_a_turn_of_the_prompt(tmp_path: Path) -> None:
    path = lines(tmp_path, rows(["How?", "How?", "How?"], system=["Be brief.", "Be kind.", ""]))
    imported = import_table(path)
    assert imported.table.prompts == ("System: Be brief.\n\nUser: How?", "System: Be kind.\n\nUser: How?", "How?")
    assert "'system' the system message before each prompt" in imported.notes[0]
    assert preview(path).guess.system == "system"


def test_all_distinct_prompts_are_kept(tmp_path: Path) -> None:
    finder = Lookalikes()
    for text in (PLAIN, "Why?", *ALIKE.values()):
        finder.add("u", text, "")
    assert (finder.count, finder.merged) == (len(ALIKE) + 2, 2)
    assert finder.first_alike.tolist() == [0, 1, *[0] * len(ALIKE)]


def test_all_open_questions_are_asked_together(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt;reply;elo;rating\nHow?;a;900;1,500\nHow?\u00a0;b;1,200;2,500\n")
    with pytest.raises(UnansweredError) as raised:
        import_table(path)
    assert [question.option for question in raised.value.questions] == ["--decimal", "--lookalikes"]
    answers = [answer.gives for answer in raised.value.questions[0].answers]
    assert answers == ["1200 with a decimal point", "1.200 with a decimal comma"]
