"""Tests of palettes as JSON lines: round trips, readable by the commands, and errors with the line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver, WeightsSource
from map_core.cli import serve
from map_core.cli.inputs import open_table, read_palettes
from map_core.data import table_format
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target, standardised
from map_core.palettes.targets import percentiles
from map_core.server.steering import Steering
from map_core.store import jsonl
from map_core.store.jsonl import NamedPalette, palette_line, parse_palettes, unique_names
from tests.tables import VALUES, make_table

TABLE = make_table()
ORACLE = MemoryOracle.of(TABLE)
WARM = Palette(
    ALL,
    {
        "helpfulness": Target(70.0, locked=True),
        "harmlessness": Target(50.0, keep=True),
        "humor": Target(55.0, 2.5),
        "positivity": Target(40.0, free=True),
    },
)


def test_palette_round_trips():
    written = NamedPalette("Warm <b>ü", WARM, "violet", "Of the\nboard.")
    text = palette_line(written, TABLE, ORACLE)
    assert "\n" not in text
    assert parse_palettes(f"\n{text}\n\n", TABLE, ORACLE) == (written,)


def test_the_commands_read_the_same_levels(tmp_path):
    table_format.save(TABLE, tmp_path / "table.parquet")
    stories = Palette("Stories", WARM.targets)
    part = TABLE.select("Stories")
    texts = [
        palette_line(NamedPalette("Warm", WARM), TABLE, ORACLE),
        palette_line(NamedPalette("Stories", stories), part, MemoryOracle.of(part)),
    ]
    (tmp_path / "palettes.jsonl").write_text("\n".join(texts), encoding="utf-8")
    opened = open_table(tmp_path / "table.parquet", None, None)
    _, (first, second) = read_palettes(opened, (), tmp_path / "palettes.jsonl")
    np.testing.assert_allclose(first.targets, standardised(WARM, VALUES, ORACLE, percentiles(TABLE)))
    assert first.record["name"] == "Warm"
    assert first.locked.tolist() == second.locked.tolist() == [True, False, False, False]
    # Levels refer to its own use case, whatever part of the table the command opens.
    assert second.levels[0] == pytest.approx(percentiles(part).level(0, 70.0))
    assert np.isnan(second.levels[3])


@pytest.mark.parametrize("palette", [None, 3, {}, {"targets": []}, {"targets": {"humor": {"locked": "yes"}, "x": 1}}])
def test_invalid_locks_lock_nothing(tmp_path, palette):
    table_format.save(TABLE, tmp_path / "table.parquet")
    line = {"targets": {"humor": "p70"}, "palette": palette}
    (tmp_path / "palettes.jsonl").write_text(json.dumps(line), encoding="utf-8")
    _, (read,) = read_palettes(open_table(tmp_path / "table.parquet", None, None), (), tmp_path / "palettes.jsonl")
    assert not read.locked.any()


def test_a_server_keeps_the_locked_targets_of_a_saved_palette(tmp_path):
    table_format.save(TABLE, tmp_path / "table.parquet")
    far = Palette(ALL, {"helpfulness": Target(80.0, locked=True), "harmlessness": Target(95.0)})
    free = far.with_target("helpfulness", Target(80.0))
    lines = [palette_line(NamedPalette(name, palette), TABLE, ORACLE) for name, palette in (("A", far), ("B", free))]
    (tmp_path / "palettes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    opened, levels, locked = serve._read_named_palettes(
        open_table(tmp_path / "table.parquet", None, None), tmp_path / "palettes.jsonl"
    )
    steering = Steering("m", GenerationWeightsSolver(opened.table), levels, locked=locked)
    with_lock, without = steering.aim("A"), steering.aim("B")
    assert with_lock.facts.source is without.facts.source is WeightsSource.NEAREST
    assert with_lock.targets["helpfulness"] == pytest.approx(levels["A"][0])
    assert without.targets["helpfulness"] < levels["B"][0] - 1e-3


def test_targets_as_people_write_them():
    line = '{"targets": {"humor": "p70", "helpfulness": 0.25}}'
    (parsed,) = parse_palettes(line, TABLE, ORACLE)
    assert parsed.name == "Palette 1"
    assert parsed.palette.targets["humor"].percentile == pytest.approx(70.0)
    assert parsed.palette.targets["helpfulness"].level == 0.25
    assert parsed.palette.targets["positivity"].free
    assert tuple(parsed.palette.targets) == VALUES


def test_repeated_names_are_numbered():
    assert unique_names(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no palette"),
        ("\n \n", "holds no palette"),
        ("nonsense", "Line 1 of the file is no JSON"),
        ("[1]", "Entry 1 of the file is 1"),
        ("3", "Line 1 of the file is 3"),
        ("{}", "Line 1: Targets are None"),
        ('{"targets": {"wit": 1}}', "Line 1:"),
        ('{"targets": {"humor": "high"}}', "The target of humor is 'high'"),
        ('{"palette": {"targets": {"wit": {"percentile": 50}}}}', "'wit' is no value of this table"),
        ('{"palette": 3}', "Line 1: The palette is 3"),
        ('{"palette": {"use_case": "War", "targets": {}}}', "'War' is no use case of this table"),
        ('{"targets": {"humor": 1}}\n{"targets": 5}', "Line 2: Targets are 5"),
        ('{"targets": {"humor": 1}}\n' + "[" * 100_000, "Line 2 of the file is no JSON"),
    ],
)
def test_invalid_palette_is_refused_with_its_line(text, message):
    with pytest.raises(InputError) as refused:
        parse_palettes(text, TABLE, ORACLE)
    assert message in str(refused.value)


def test_a_file_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(jsonl, "MAX_CHARACTERS", 10)
    with pytest.raises(InputError, match="at most 10"):
        parse_palettes(json.dumps({"targets": {}}), TABLE, ORACLE)


def test_shares_and_use_cases_round_trip():
    targets = {"humor": "p60", "humor>=p20": 0.95, "helpfulness@Stories": "p55"}
    (read,) = parse_palettes(json.dumps({"targets": targets}), TABLE, ORACLE)
    assert read.palette.columns == {"humor>=p20": 0.95, "helpfulness@Stories": "p55"}
    line = palette_line(read, TABLE, ORACLE)
    assert json.loads(line)["targets"]["humor>=p20"] == 0.95
    assert parse_palettes(line, TABLE, ORACLE) == (read,)


def test_impossible_share_is_reported():
    with pytest.raises(InputError, match="from 0 to 1"):
        parse_palettes(json.dumps({"targets": {"humor>=p20": 7}}), TABLE, ORACLE)
