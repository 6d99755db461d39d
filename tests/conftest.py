"""Fixtures and settings of all tests; the user's own palettes are never touched."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

# Set before torch and numpy are imported, and inherited by every child process: on two cores, processes with several
# threads slow each other down tenfold and more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# transformers loads tensors in several threads, which for a tiny model costs more than the loading itself.
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")
# Levels and palettes in tests refer to this table, whichever is shipped; read when map_core is imported.
os.environ.setdefault("VALUE_PALETTE_DEFAULTS", str(Path(__file__).with_name("defaults")))

import hypothesis
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import app_test, local_script_runner

from map_core import catalog
from map_core.access import audit
from map_core.models.endpoint import MODEL_KEY_HOST
from map_core.store import SETTING
from tests import ROOT
from tests.app_server import address, browser, context, server

__all__ = ["address", "browser", "context", "server"]

# Every run tries the same examples, so a failure belongs to the change under test and comes again. No time limit suits
# machines of every speed.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")

NOT_FAST = {"app", "browser", "gpu", "model", "process", "slow"}
#: Marks of folders whose tests are not fast.
FOLDERS = {
    "pages": "app",
    **dict.fromkeys(("building", "catalog", "custom_values", "engines", "models", "server", "service"), "process"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast all tests without a page, browser, process or model that are not slow."""
    for item in items:
        if (mark := FOLDERS.get(item.path.relative_to(ROOT / "tests").parts[0])) is not None:
            item.add_marker(mark)
        if not NOT_FAST & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.fast)
        if item.get_closest_marker("browser"):
            # A browser test that fails is repeated once; the summary counts it as a rerun.
            item.add_marker(pytest.mark.flaky(reruns=1))
    turns = turns_of_files(items)
    items.sort(key=lambda item: turns[item.path])


def turns_of_files(items: list[pytest.Item]) -> dict[Path, tuple[float, ...]]:
    """Return the order of test files, the smallest first, so that several workers leave no core idle.

    A browser waits half of its time, so browser files are spread evenly among the other long ones, which compute
    meanwhile. Files with only fast tests come last: none is so long that one worker ends with it alone.
    """
    marks: dict[Path, set[str]] = {}
    for item in items:
        marks.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
    kinds: dict[str, list[Path]] = {"browser": [], "long": [], "fast": []}
    for path, names in sorted(marks.items(), key=lambda entry: entry[0].parent != ROOT / "tests"):
        kinds["browser" if "browser" in names else "fast" if not NOT_FAST & names else "long"].append(path)
    turns: dict[Path, tuple[float, ...]] = {path: (1.0, number) for number, path in enumerate(kinds.pop("fast"))}
    for paths in kinds.values():
        turns |= {path: (0.0, (number + 0.5) / len(paths)) for number, path in enumerate(paths)}
    return turns


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and exclude the collected tests and imported libraries."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def _the_key_belongs_to_no_host_yet():
    """Restore the variable with the host of the model's key, which commands set for their child processes."""
    before = os.environ.get(MODEL_KEY_HOST)
    yield
    if before is None:
        os.environ.pop(MODEL_KEY_HOST, None)


@pytest.fixture(scope="session", autouse=True)
def _data_of_the_tests(tmp_path_factory):
    """Point the settings of the app to folders of this run, also for servers that tests start."""
    before = {name: os.environ.get(name) for name in (SETTING, catalog.SETTING, "XDG_DATA_HOME")}
    folder = tmp_path_factory.mktemp("store")
    os.environ["XDG_DATA_HOME"] = str(folder / "data")
    os.environ[SETTING] = f"sqlite:///{folder / 'palettes.sqlite'}"
    os.environ[catalog.SETTING] = str(folder / "tables")
    yield
    audit.close()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def _components_that_are_installed():
    """Scan for component manifests once instead of for every page under test."""
    with pytest.MonkeyPatch.context() as patch:
        name = "scan_component_manifests"
        patch.setattr(manifest_scanner, name, functools.cache(getattr(manifest_scanner, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _loggers_propagate():
    """Let Streamlit's loggers propagate; pytest adds two handlers per phase to each logger that does not."""
    loggers = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    with pytest.MonkeyPatch.context() as patch:
        for logger in loggers:
            if logger.name.startswith("streamlit."):
                patch.setattr(logger, "propagate", True)
        yield


class _SharedScripts(ScriptCache):
    """A cache of byte code for all pages under test; Streamlit starts each run with an empty one."""

    compiled: ClassVar[dict[tuple[str, int, int], Any]] = {}

    def get_bytecode(self, script_path: str) -> Any:
        """Return the byte code of a script, recompiled if the file has changed."""
        status = os.stat(script_path)
        key = (script_path, status.st_mtime_ns, status.st_size)
        if key not in self.compiled:
            self.compiled[key] = super().get_bytecode(script_path)
        return self.compiled[key]


@pytest.fixture(scope="session", autouse=True)
def _scripts_are_compiled_once():
    """Compile each script once, and poll for the end of a run every few milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (local_script_runner, app_test):
            patch.setattr(module, "ScriptCache", _SharedScripts)
        patch.setattr(local_script_runner, "time", SimpleNamespace(time=time.time, sleep=lambda _: time.sleep(0.004)))
        yield


@pytest.fixture(autouse=True)
def _main_module():
    """Restore the main module, which AppTest replaces by the page; spawned processes would run that page."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def one_torch_thread():
    """Run torch on one thread, since sums of floats depend on the number of threads in the last digit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
