"""The house holds: imports never point upwards, and the ground floors load no heavy library."""

from __future__ import annotations
from tests import ROOT

import ast
import subprocess
import sys
from pathlib import Path

import pytest

#: From the ground up; modules of one floor may know each other.
FLOORS = (
    {"errors", "amounts"},
    {"glossary", "terms", "spreadsheet", "replacing", "parent"},
    {"rewards"},
    {"importing", "hands", "judgements"},
    {"oracle"},
    {"dual"},
    {"batch"},
    {"targets", "certificate", "trust", "rays"},
    {"nearest"},
    {"feasibility", "palette", "presets", "reach", "effective_range", "likely", "choice"},
    {"repairs", "frontier", "sensitivity", "confidence", "sequence", "orders", "baselines"},
    {"fan", "steps"},
    {"groups", "drift", "aim"},
    {"blends"},
    {"reproduce"},
    {"delivery"},
    {"values", "generate"},
    {"prompts", "parts", "portrait"},
    {"build", "jobs", "answering", "store", "tables", "quality", "own_values"},
    {"words", "judging", "answer", "changes", "groups_in_words", "member_in_words", "quality_in_words", "figures"},
    {"serve", "report"},
    {"command_line"},
    {"__main__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(path: Path) -> str:
    """The floor that a file belongs to: its module or package below map_core."""
    return path.relative_to(ROOT / "map_core").parts[0].removesuffix(".py")


FILES = sorted((ROOT / "map_core").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_never_point_upwards(path: Path):
    if part(path) == "__init__":
        assert not any(name.startswith("map_core") for name in imports(path))
        return
    here = FLOOR[part(path)]
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] == "map_core" and len(pieces) > 1:
            assert FLOOR[pieces[1]] <= here, f"{path} imports {name} from a floor above"
        assert pieces[0] not in {"streamlit", "pages", "app", "tests"}, f"{path} imports {name}"


def test_the_solver_loads_no_model_library():
    ground = (
        "dual batch feasibility frontier sensitivity confidence sequence baselines groups drift reproduce importing"
    )
    modules = [
        *(f"map_core.{name}" for name in ground.split()),
        "map_core.oracle.parquet",
        "map_core.cli.solve",
    ]
    heavy = {"torch", "transformers", "openvino_genai", "streamlit", "plotly", "ray"}
    code = f"import sys, {', '.join(modules)}\nprint(*{heavy!r} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
