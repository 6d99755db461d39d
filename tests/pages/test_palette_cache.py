"""Tests of the cache of assessed palettes: once per palette, without blocking other viewers, and freed after use."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target
from pages.view.session import palette_cache, palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import garbage
from tests.tables import make_table
from tests.waiting import until

SECONDS = 30


def make_scene(seed: int = 3) -> Scene:
    table = make_table(prompts=24, candidates=16, seed=seed)
    names = tuple(table.values)
    return Scene((f"test {seed}", 0.0, None), table, MemoryOracle.of(table), names, tuple("" for _ in names))


def at(scene: Scene, percentile: float) -> Palette:
    return Palette(ALL, {name: Target(percentile, free=j > 1) for j, name in enumerate(scene.table.values)})


class Blocked:
    """A fake assessment that blocks for one palette until released; others pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, percentile: float, scene: Scene) -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        self.targets = palette_state.standardised(scene, at(scene, percentile))
        self.calls = 0
        assess = scenes.assess

        def blocking(oracle, targets, **options):
            self.calls += 1
            if np.array_equal(targets, self.targets, equal_nan=True):
                self.begun.set()
                assert self.released.wait(SECONDS)
            return assess(oracle, targets, **options)

        monkeypatch.setattr(scenes, "assess", blocking)


def test_viewers_do_not_wait_for_each_others_palettes(monkeypatch):
    scene = make_scene()
    blocked = Blocked(monkeypatch, 55.0, scene)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(palette_cache.assessed_palette, scene, at(scene, 55.0))
        assert blocked.begun.wait(SECONDS)
        second = pool.submit(palette_cache.assessed_palette, scene, at(scene, 60.0)).result(SECONDS)
        moving = scene.assess(palette_state.standardised(scene, at(scene, 58.0)), closest=False)
        assert second.assessment.solution is not None
        assert moving.solution is not None
        assert not first.done()
        blocked.released.set()
        assert first.result(SECONDS).assessment.solution is not None


def test_palette_of_two_viewers_is_assessed_once(monkeypatch):
    scene = make_scene()
    blocked = Blocked(monkeypatch, 55.0, scene)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(palette_cache.assessed_palette, scene, at(scene, 55.0))
        assert blocked.begun.wait(SECONDS)
        second = pool.submit(palette_cache.assessed_palette, scene, at(scene, 55.0))
        blocked.released.set()
        assert first.result(SECONDS).assessment is second.result(SECONDS).assessment
    assert blocked.calls == 1


def test_failed_palette_is_retried(monkeypatch):
    scene = make_scene()
    with monkeypatch.context() as patch:
        patch.setattr(scenes, "assess", lambda *arguments, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            palette_cache.assessed_palette(scene, at(scene, 55.0))
    assert palette_cache._known(scene, at(scene, 55.0)) is None
    assert palette_cache.assessed_palette(scene, at(scene, 55.0)).assessment.solution is not None


def test_cache_of_a_table_is_bounded(monkeypatch):
    scene = make_scene()
    monkeypatch.setattr(palette_cache, "MAX_REMEMBERED", 2)
    for percentile in (52.0, 54.0, 56.0):
        palette_cache.assessed_palette(scene, at(scene, percentile))
    known = [palette_cache._known(scene, at(scene, percentile)) is not None for percentile in (52.0, 54.0, 56.0)]
    assert known == [False, True, True]


def test_unused_table_is_freed_with_its_results():
    scene = make_scene(seed=4)
    palette_cache.assessed_palette(scene, at(scene, 55.0))
    oracle, gone = weakref.ref(scene.oracle), weakref.ref(scene)
    del scene
    gc.collect()
    assert gone() is None
    assert oracle() is None


class Cycle:
    """An object that only references itself."""

    def __init__(self) -> None:
        self.own = self


def test_frozen_garbage_is_freed_at_the_next_load():
    cycle = Cycle()
    gone = weakref.ref(cycle)
    try:
        garbage.freeze_loaded()
        del cycle
        gc.collect()
        assert gone() is not None, "a collection passes over what is frozen"
        garbage.freeze_loaded()
        assert gone() is None
    finally:
        gc.freeze()


def test_reference_cycles_of_visits_are_freed_within_seconds():
    class Left:
        """An object in a reference cycle."""

    unreachable = Left()
    unreachable.itself = unreachable  # type: ignore[attr-defined]
    freed = weakref.ref(unreachable)
    del unreachable
    ended = garbage.collect_regularly(0.05)
    try:
        until(lambda: freed() is None, message="the cycle is freed")
    finally:
        ended.set()
