"""Tests of third-party Parquet tables: every command reads the same values and prompts, or refuses the file."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.cli import main
from map_core.data import table_columns, table_file, table_format
from map_core.data.importing import import_table
from map_core.errors import InputError
from tests.tables import make_table

PROMPTS = ["How?", "How?", "Why?", "Why?"]
REPLIES = ["a", "b", "c", "d"]
HUMOR = [0.0, 1.0, 2.0, 4.0]


def written(path: Path, **columns: Any) -> Path:
    """Write a Parquet file of two prompts with two replies each, with columns added or replaced."""
    pq.write_table(pa.table({"prompt": PROMPTS, "reply": REPLIES, "humor": HUMOR} | columns), path)
    return path


#: Possible contents of a column of the format, or of an additional one.
CELLS: dict[str, Any] = {
    "integers": [1, 2, 3, 4],
    "small integers": pa.array([1, 2, 3, 4], pa.int8()),
    "large integers": pa.array([1, 2, 2**63, 4], pa.uint64()),
    "floats": [0.5, 1.5, 2.5, 3.5],
    "half floats": pa.array(np.array([0.5, 1.5, 2.5, 3.5], dtype=np.float16)),
    "not a number": [0.5, float("nan"), 2.5, 3.5],
    "infinity": [0.5, float("inf"), 2.5, 3.5],
    "decimals": [Decimal("0.5"), Decimal("1.5"), Decimal("2.5"), Decimal("3.5")],
    "booleans": [True, False, True, False],
    "text": ["w", "x", "y", "z"],
    "numbers as text": ["1", "2", "3", "4"],
    "n/a": ["n/a", "1", "2", "n/a"],
    "lists": [[1], [2, 3], [], [4]],
    "lists of text": [["a"], ["b"], [], ["c"]],
    "structs": [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}],
    "dates": [datetime.date(2026, 1, day) for day in (1, 2, 3, 4)],
    "times": pa.array([1, 2, 3, 4], pa.timestamp("ms")),
    "categories": pa.array(["u", "v", "u", "v"]).dictionary_encode(),
    "long text": pa.array(["u", "v", "w", "x"], pa.large_string()),
    "bytes": [b"a", b"b", b"c", b"d"],
    "nothing": pa.nulls(4),
}
COLUMNS = (*table_format.table_schema((), {}, True).names, "extra", "__index_level_0__", "Unnamed: 0", "idx", "")


def with_nulls(cells: Any) -> pa.Array:
    """Return the same cells with the second missing."""
    array = pa.array(cells) if isinstance(cells, list) else cells
    return pa.concat_arrays([array[:1], pa.nulls(1, array.type), array[2:]])


@pytest.mark.parametrize("nulls", [False, True], ids=["whole", "with an empty cell"])
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("column", COLUMNS)
def test_loading_equals_importing_or_both_refuse(column: str, kind: str, nulls: bool, tmp_path: Path) -> None:
    """Where the file keeps to the format it is read as it stands, and an import gives the same rewards."""
    cells = with_nulls(CELLS[kind]) if nulls else CELLS[kind]
    path = written(tmp_path / "table.parquet", **{column: cells})
    outcomes: list[Any] = []
    for read in (table_file.load, lambda file: import_table(file, weight_column=weight_of(file)).table):
        try:
            outcomes.append(read(path))
        except InputError:  # and no other exception
            outcomes.append(None)
    table, loaded = outcomes
    assert (table is None) == (loaded is None)
    if table is None or loaded is None:
        return
    assert table.values == loaded.values
    rows = [sorted(zip(each.replies, each.rewards.tolist(), strict=True)) for each in (table, loaded)]
    assert rows[0] == rows[1]  # candidates by their number, or as the file has them
    np.testing.assert_array_equal(table.weights, loaded.weights)
    np.testing.assert_array_equal(table.held_out, loaded.held_out)
    assert "" not in table.values
    assert not any("Left out: ," in sentence or ": ." in sentence for sentence in table.reading)


def weight_of(path: Path) -> str | None:
    """Return the column of weights, which the format knows by name and an import has to be given."""
    schema = pq.read_schema(path)
    named = "weight" in schema.names and table_columns.is_number(schema.field("weight").type)
    return "weight" if named else None


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ({"__index_level_0__": [3, 5, 7, 8]}, ("humor",)),
        ({"Unnamed: 0": [0, 1, 2, 3], "Unnamed: 0.1": [0, 1, 2, 3]}, ("humor",)),
        ({"safe": CELLS["booleans"]}, ("humor", "safe")),
        ({"humor": CELLS["decimals"]}, ("humor",)),
        ({"tokens": [5, 6, 7, 8]}, ("humor",)),
        ({"log_prob": [[-0.5], [-1.0], [-0.1], [-2.0]]}, ("humor",)),
        ({"log_prob": CELLS["n/a"]}, ("humor",)),
        ({"candidate": ["first", "second", "first", "second"]}, ("humor",)),
        ({"prompt": [1, 1, 2, 2]}, ("humor",)),
    ],
)
def test_columns_read_and_their_notes(columns: dict[str, Any], values: tuple[str, ...], tmp_path: Path) -> None:
    table = table_file.load(written(tmp_path / "table.parquet", **columns))
    assert table.values == values
    assert len(table.prompts) == 2
    np.testing.assert_allclose(table.rewards[:, 0], HUMOR if "humor" not in columns else [0.5, 1.5, 2.5, 3.5])
    assert "was not written by this app" in table.reading[0]


@pytest.mark.parametrize("column", ["prompt", "reply", "use_case"])
def test_empty_text_cell_is_refused_with_its_row(column: str, tmp_path: Path) -> None:
    cells = {"prompt": PROMPTS, "reply": REPLIES, "use_case": ["u"] * 4}[column]
    path = written(tmp_path / "table.parquet", **{column: pa.array([*cells[:2], None, cells[3]])})
    with pytest.raises(InputError, match=rf"row 3, column '{column}' is empty"):
        table_file.load(path)


@pytest.mark.parametrize("ids", [["0", "0", "0", "0"], [7, 7, 7, 7]], ids=["text", "numbers"])
def test_a_prompt_is_its_id_and_its_text(ids: list[Any], tmp_path: Path) -> None:
    table = table_file.load(written(tmp_path / "table.parquet", prompt_id=ids))
    assert table.prompts == ("How?", "Why?")
    assert table.candidates.tolist() == [2, 2]
    assert "one prompt_id comes with several prompts" in table.reading[0]
    same = table_file.load(written(tmp_path / "same.parquet", prompt_id=["a", "a", "b", "b"]))
    assert same.prompt_ids == ("a", "b")
    assert not same.reading


def test_concatenated_tables_are_refused_or_give_two_prompts(tmp_path: Path) -> None:
    """With the metadata kept, an id of two texts is refused; without, each text is a prompt."""
    for number, seed in enumerate((1, 2)):
        table = make_table(prompts=2, candidates=2, seed=seed)
        table_format.save(table, tmp_path / f"{number}.parquet")
    tables = [pq.read_table(tmp_path / f"{number}.parquet") for number in (0, 1)]
    second = tables[1].set_column(1, "prompt", pa.array(["Another?", "Another?", "More?", "More?"]))
    pq.write_table(pa.concat_tables([tables[0], second]), tmp_path / "kept.parquet")
    with pytest.raises(InputError, match=r"candidate of a prompt twice|comes with two prompts"):
        table_file.load(tmp_path / "kept.parquet")
    frame = pd.concat([tables[0].to_pandas(), second.to_pandas()])
    frame.to_parquet(tmp_path / "lost.parquet")
    table = table_file.load(tmp_path / "lost.parquet")
    assert len(table.prompts) == 4
    assert table.candidates.tolist() == [2, 2, 2, 2]


def test_column_added_to_a_table_is_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.parquet"
    table_format.save(make_table(prompts=3, candidates=2, values=("humor",), seed=1), path)
    data = pq.read_table(path)
    data = data.append_column("reward", pa.array(np.arange(6.0))).append_column("remark", pa.array(["?"] * 6))
    pq.write_table(data, path)
    table = table_file.load(path)
    assert table.values == ("humor", "reward")
    assert table.reading == (
        "'reward' was added to the file after it was built, and is taken as a value.",
        "Left out, because they hold no numbers: 'remark'.",
    )
    assert main(["import", str(path), "--out", str(tmp_path / "again.parquet")]) == 0
    assert "'reward' was added to the file" in capsys.readouterr().err
    assert table_format.load(tmp_path / "again.parquet").values == ("humor", "reward")


def test_table_with_changed_types_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table_format.save(make_table(prompts=2, candidates=2, seed=1), path)
    data = pq.read_table(path)
    data = data.set_column(data.column_names.index("tokens"), "tokens", pa.array([1, 2, 3, 4]))
    pq.write_table(data, path)
    with pytest.raises(InputError, match="'tokens' holds int64 and not lists of token numbers"):
        table_file.load(path)


def test_every_command_prints_notes_about_a_third_party_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "scored.parquet", safe=CELLS["booleans"], tokens=[1, 2, 3, 4])
    for command in (
        ["solve", "--target", "safe=0.6"],
        ["report", "--target", "safe=0.6", "--out", str(tmp_path / "r.html")],
    ):
        main([command[0], str(path), *command[1:]])
        error = capsys.readouterr().err
        assert "is read as an import reads it: 'tokens' holds int64 and not lists of token numbers; 'safe'" in error
        assert "Left out: tokens." in error
        assert "Traceback" not in error


def test_texts_constant_per_prompt_define_cohorts(tmp_path: Path):
    table = make_table(prompts=4, candidates=3)
    labelled = replace(table, labels={"language": ("de", "en", "de", "en")})
    table_format.save(labelled, tmp_path / "table.parquet")
    read = table_format.load(tmp_path / "table.parquet")
    assert read.labels == labelled.labels
    assert read.labels_of("language") == ("de", "en", "de", "en")
    assert read.take([1, 2]).labels == {"language": ("en", "de")}
    assert not any("language" in note for note in read.reading)


def test_texts_that_differ_between_replies_are_left_out(tmp_path: Path):
    table = make_table(prompts=4, candidates=3)
    data = table_format.as_arrow(table)
    data = data.append_column("judge", pa.array([f"note {i}" for i in range(data.num_rows)]))
    pq.write_table(data, tmp_path / "table.parquet")
    read = table_format.load(tmp_path / "table.parquet")
    assert read.labels == {}
    assert any("'judge'" in note for note in read.reading)


def test_labels_need_an_entry_per_prompt():
    with pytest.raises(InputError, match="label 'language' has 1 entries; expected 4"):
        replace(make_table(prompts=4, candidates=3), labels={"language": ("de",)})
