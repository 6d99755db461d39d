"""Tests of the entries of the session state: defined once, typed, and used through their keys only."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

from pages.view.shell.session_keys import Key, KeyFamily
from tests import ROOT

VIEW = sorted((ROOT / "pages" / "view").rglob("*.py"))
PAGES = [*sorted((ROOT / "pages").glob("*.py")), ROOT / "app.py", *VIEW]
HOME = ROOT / "pages" / "view" / "shell" / "session_keys.py"


@pytest.mark.parametrize("path", [path for path in PAGES if path != HOME], ids=lambda path: path.stem)
def test_no_other_module_uses_the_session_state(path: Path):
    names = [node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)]
    assert "session_state" not in names


def test_names_are_unique():
    names: list[str] = []
    for path in VIEW:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        defined = {
            node.target.id for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.AnnAssign)
        }
        for name in defined:
            entry = getattr(module, name)
            if isinstance(entry, Key):
                names.append(entry.name)
            elif isinstance(entry, KeyFamily):
                names.append(entry.pattern)
    assert len(names) > 90
    assert [name for name, count in Counter(names).items() if count > 1] == []
