"""Tests of the layering: imports never point upwards, and the lowest floors load no heavy library."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests import ROOT

#: Packages of map_core from the lowest floor up; those on one line do not import each other.
FLOORS = (
    "errors",
    "core",
    "access",
    "data models",
    "oracle",
    "solver",
    "palettes",
    "feasibility",
    "scoring",
    "engines",
    "generation",
    "service",
    "store",
    "custom_values",
    "building",
    "catalog",
    "analysis",
    "groups",
    "confidence",
    "calibration preference",
    "studies",
    "text",
    "figures",
    "interface",
    "tuning",
    "report",
    "server",
    "testing",
    "cli",
    "__main__",
)
#: Modules whose names the root of map_core loads lazily.
ROOT_NAMES = {"errors", "interface"}
#: The floors of the modules that pages share, below the pages themselves.
VIEWS = (
    "shell",
    "session",
    "about choose groups palette studies tables tradeoffs values",
    "compare",
    "palettes",
    "tune",
)


@cache
def imports(path: Path) -> frozenset[str]:
    """Return every module that a file imports, anywhere in the file, type-only imports included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def package(name: str, root: str) -> str:
    """Return the package of a module below the root; "" for the root itself and for other modules."""
    return name.removeprefix(f"{root}.").split(".")[0] if name.startswith(f"{root}.") else ""


def module(path: Path) -> str:
    """Return the dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floors(lines: tuple[str, ...]) -> dict[str, int]:
    """Return each package's floor, counted from the lowest."""
    return {name: number for number, line in enumerate(lines) for name in line.split()}


CORE = sorted((ROOT / "map_core").rglob("*.py"))
PAGES = sorted((ROOT / "pages" / "view").rglob("*.py"))


def imported(paths: list[Path], wrong: Callable[[str], bool]) -> list[str]:
    """Return a line for each forbidden import in these files."""
    return [f"{path.relative_to(ROOT)}: {name}" for path in paths for name in sorted(imports(path)) if wrong(name)]


def upwards(path: Path, root: str, floor: dict[str, int]) -> list[str]:
    """Return what a file imports from its own floor or above; of the root, all but the public interface."""
    own_package, wrong = package(module(path), root), []
    for name in sorted(imports(path)):
        target_package = package(name, root)
        if target_package not in floor:  # another library, or a name of the root itself
            continue
        if (
            target_package not in ROOT_NAMES
            if not own_package
            else target_package != own_package and floor[target_package] >= floor[own_package]
        ):
            wrong.append(f"{path.relative_to(ROOT)}: {name}")
    return wrong


def test_imports_never_point_upwards():
    assert [line for path in CORE for line in upwards(path, "map_core", floors(FLOORS))] == []
    assert [line for path in PAGES for line in upwards(path, "pages.view", floors(VIEWS))] == []


def test_upward_import_is_detected():
    solver = ROOT / "map_core" / "solver" / "newton.py"
    assert upwards(solver, "map_core", floors(("solver", "oracle core", "errors", "data")))
    assert upwards(ROOT / "map_core" / "__init__.py", "map_core", {"interface": 0}) == []


def test_map_core_imports_neither_streamlit_nor_pages():
    assert imported(CORE, lambda name: name.split(".")[0] in {"streamlit", "pages", "app", "tests"}) == []


def test_what_pages_share_imports_no_page():
    pages = {f"pages.{page.stem}" for page in (ROOT / "pages").glob("*.py")}
    assert imported(PAGES, pages.__contains__) == []


def test_laws_are_imported_by_tests_only():
    others = [path for path in CORE if path.parent.name != "testing"]
    assert imported(others, lambda name: name.split(".")[0] == "pytest" or "map_core.testing" in name) == []


def test_every_package_has_its_floor():
    for folder, lines in ((ROOT / "map_core", FLOORS), (ROOT / "pages" / "view", VIEWS)):
        existing = {path.parent.name for path in folder.glob("*/__init__.py")}
        existing |= {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
        assert existing == set(floors(lines))


def test_no_import_cycles():
    known = {module(path): path for path in (*CORE, *PAGES)}
    asks = defaultdict(set)
    for name, path in known.items():
        asks[name] = {other for other in imports(path) if other in known and other != name}
        # `from package import module` depends on the module; the package is only initialised.
        asks[name] -= {
            other for other in asks[name] if any(module_name.startswith(f"{other}.") for module_name in asks[name])
        }
    remaining = dict(asks)
    while free := [name for name, others in remaining.items() if not others & remaining.keys()]:
        for name in free:
            del remaining[name]
    assert not remaining, f"these import each other in a circle, or one that does: {sorted(remaining)}"


def test_solver_loads_no_model_library():
    ground = "oracle solver palettes feasibility analysis groups confidence studies.reproduce data.importing"
    modules = [
        module(path)
        for name in ground.split()
        for path in sorted((ROOT / "map_core").joinpath(*name.split(".")).glob("*.py"))
        if path.stem not in ("torch_oracle", "ray_oracle")
    ]
    heavy = {"torch", "transformers", "openvino", "openvino_genai", "streamlit", "plotly", "ray"}
    modules += ["map_core", "map_core.cli.solve"]
    code = f"import sys, {', '.join(modules)}\nprint(*{heavy!r} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
