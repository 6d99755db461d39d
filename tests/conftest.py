"""Fixtures of more than one file of tests, and what holds for all of them: a person's own palettes are left alone."""

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

# Before torch and numpy are imported, and for every process that a test starts: two processes whose threads wait for
# each other on two cores stall each other by ten times and more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# transformers reads a model's tensors in several threads, which for a tiny model costs more than to read them.
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")
# Levels and palettes that tests name are those of this table, whatever is shipped; read when map_core is imported.
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
#: Folders whose tests are not fast, and why.
FOLDERS = {
    "pages": "app",
    **dict.fromkeys(("building", "catalog", "custom_values", "engines", "models", "server", "service"), "process"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast what runs no page and no browser, starts no process, needs no model and is not slow."""
    for item in items:
        if (mark := FOLDERS.get(item.path.relative_to(ROOT / "tests").parts[0])) is not None:
            item.add_marker(mark)
        if not NOT_FAST & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.fast)
        if item.get_closest_marker("browser"):
            # What a browser has not shown in time is looked at once more; the summary counts it as a rerun.
            item.add_marker(pytest.mark.flaky(reruns=1))
    turns = turns_of_files(items)
    items.sort(key=lambda item: turns[item.path])


def turns_of_files(items: list[pytest.Item]) -> dict[Path, tuple[float, ...]]:
    """Return when the tests of a file run, the smallest first, so that several processes leave no processor idle.

    A browser waits half of its time, so files that drive one are spread evenly among the other long ones, which compute
    meanwhile. Files with fast tests alone come at the end: none is so long that a process ends with it by itself.
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
    """Collect garbage seldom, and leave ten thousand collected tests and the libraries they import out of it."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def _the_key_belongs_to_no_host_yet():
    """A command that is given a model says whose the key is, for the processes that it starts; a test is no command."""
    before = os.environ.get(MODEL_KEY_HOST)
    yield
    if before is None:
        os.environ.pop(MODEL_KEY_HOST, None)


@pytest.fixture(scope="session", autouse=True)
def _data_of_the_tests(tmp_path_factory):
    """The settings of the app name places of this run, for servers that tests start as well."""
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
    """Streamlit reads what every package says of itself once, and not for every page under test."""
    with pytest.MonkeyPatch.context() as patch:
        name = "scan_component_manifests"
        patch.setattr(manifest_scanner, name, functools.cache(getattr(manifest_scanner, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _loggers_propagate():
    """Streamlit's loggers hand records on: pytest gives each that does not two handlers, in every phase of a test."""
    loggers = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    with pytest.MonkeyPatch.context() as patch:
        for logger in loggers:
            if logger.name.startswith("streamlit."):
                patch.setattr(logger, "propagate", True)
        yield


class _SharedScripts(ScriptCache):
    """Byte code of scripts for all pages under test; Streamlit begins each run of one with none."""

    compiled: ClassVar[dict[tuple[str, int, int], Any]] = {}

    def get_bytecode(self, script_path: str) -> Any:
        """Return the byte code of a script, compiled anew where the file has changed."""
        status = os.stat(script_path)
        key = (script_path, status.st_mtime_ns, status.st_size)
        if key not in self.compiled:
            self.compiled[key] = super().get_bytecode(script_path)
        return self.compiled[key]


@pytest.fixture(scope="session", autouse=True)
def _scripts_are_compiled_once():
    """Each script is compiled once, and whether a run has ended is asked for every few milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (local_script_runner, app_test):
            patch.setattr(module, "ScriptCache", _SharedScripts)
        patch.setattr(local_script_runner, "time", SimpleNamespace(time=time.time, sleep=lambda _: time.sleep(0.004)))
        yield


@pytest.fixture(autouse=True)
def _main_module():
    """Streamlit makes a page that it tests the main module; processes that are spawned later would run that page."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def one_torch_thread():
    """Sums of floats depend on how many threads share them: what is compared to the last digit is made by one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
