"""Tests of the scripts of components, which are concatenated with shared ones into one module."""

from __future__ import annotations

import ast
import re

import pytest

from tests import ROOT

_DECLARED = re.compile(r"^(?:export )?(?:default )?(?:async )?(?:const|let|var|function|class) (\w+)", re.MULTILINE)


def joined() -> dict[str, tuple[str, ...]]:
    """Return the scripts that precede that of each component, by its name."""
    scripts = {}
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "component.register":
                options = {option.arg: ast.literal_eval(option.value) for option in node.keywords if option.arg}
                if options.get("isolated") is False:
                    scripts[ast.literal_eval(node.args[0])] = options.get("scripts", ("nodes",))
    return scripts


@pytest.mark.parametrize(("name", "shared"), joined().items())
def test_concatenated_scripts_declare_each_name_once(name: str, shared: tuple[str, ...]) -> None:
    text = "".join((ROOT / "assets" / f"{script}.js").read_text(encoding="utf-8") for script in (*shared, name))
    declared = _DECLARED.findall(text)
    assert len(declared) > 5
    assert [name for name in declared if declared.count(name) > 1] == []


def test_components_of_the_palette_are_covered() -> None:
    assert {"desk", "answer", "example"} <= set(joined())
