"""Tests of the shipped default: the embedded table, its presets, labels and study, and the examples that use it.

All other tests run on the table of ``tests/defaults``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, standardised
from map_core.palettes.presets import Preset, presets
from map_core.palettes.targets import percentiles
from map_core.scoring import DEFAULT_VALUES
from map_core.studies.delivery import fingerprint
from map_core.studies.delivery import study as studies
from tests import ROOT

ASSETS = ROOT / "assets"
TABLE = table_format.load(ASSETS / "default.parquet")
USE_CASES = (ALL, *TABLE.use_case_names)


def offered(use_case: str) -> tuple[Preset, ...]:
    return presets(TABLE.values, TABLE.values, use_case, ASSETS / "presets.json")


def test_table_has_the_built_in_values_and_is_small() -> None:
    assert TABLE.values == DEFAULT_VALUES
    assert (ASSETS / "default.parquet").stat().st_size < 8_000_000


@pytest.mark.parametrize("use_case", USE_CASES)
def test_each_preset_is_reachable(use_case: str) -> None:
    part = TABLE.select(None if use_case == ALL else use_case)
    oracle = MemoryOracle.of(part)
    for preset in offered(use_case):
        targets = standardised(preset.palette, part.values, oracle, percentiles(part))
        assert assess(oracle, targets).verdict is Verdict.REACHABLE, preset.name


@pytest.mark.parametrize("use_case", USE_CASES)
def test_each_use_case_has_some_presets_with_descriptions(use_case: str) -> None:
    offers = offered(use_case)
    assert 4 <= len(offers) <= 6
    assert len({preset.name for preset in offers}) == len(offers)
    for preset in offers:
        assert preset.what.endswith(".")
        assert preset.what.count(".") == 1
        assert preset.palette.use_case == use_case
        assert tuple(preset.palette.targets) == TABLE.values
        assert any(not target.free for target in preset.palette.targets.values())


def test_presets_refer_to_this_table_only() -> None:
    content = json.loads((ASSETS / "presets.json").read_text(encoding="utf-8"))
    assert set(content) == set(USE_CASES)
    named = {name for group in content.values() for preset in group for name in preset["targets"]}
    assert named <= set(TABLE.values)


def test_study_of_delivery_belongs_to_this_table() -> None:
    assert studies.load(ASSETS / "delivery.json").made["table"] == fingerprint(TABLE)


def _shipped() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VALUE_PALETTE_DEFAULTS"}


def test_examples_of_the_public_interface_run_on_it() -> None:
    code = """
import doctest
import map_core
from map_core import errors
from map_core.interface import palettes, sampling, table, tradeoffs, training
for module in (map_core, errors, palettes, sampling, table, tradeoffs, training):
    failed, tried = doctest.testmod(module)
    assert failed == 0 and tried > 0, module
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=_shipped(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
