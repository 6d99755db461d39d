"""Tests of the weights of a generator: per visitor, respecting locked targets."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.feasibility import Assessment
from map_core.palettes.palette import ALL, Palette, Target
from pages.view.compare import generator, pinned
from pages.view.compare.pinned import PinnedPalette
from pages.view.session import palette_cache
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from tests.pages.test_palette_cache import make_scene


@pytest.fixture(autouse=True)
def _nothing_is_cached():
    generator._steering_weights.clear()


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def assessed(scene: Scene, targets: tuple[float, ...], *locked: int) -> Assessment:
    """Return an assessed palette with targets for the first values, some of them locked."""
    wanted = np.full(len(scene.names), np.nan)
    wanted[: len(targets)] = targets
    return scene.assess(wanted, np.isin(np.arange(len(scene.names)), locked))


def levels(scene: Scene, assessment: Assessment, candidates: int) -> np.ndarray:
    """Return the forecast levels of the weights, in standard deviations above base."""
    return scene.oracle.standardise(generator.steering_weights(scene, assessment, candidates).levels)


@pytest.mark.parametrize("candidates", [4, 16])
def test_locks_change_the_weights_of_equal_targets(scene: Scene, candidates: int):
    locks: tuple[tuple[int, ...], ...] = ((0,), (1,), (), (0, 1))
    palettes = [assessed(scene, (1.0, 1.0), *locked) for locked in locks]
    assert {palette.verdict for palette in palettes} == {Verdict.OUT_OF_REACH}
    one_after_the_other = [levels(scene, palette, candidates) for palette in palettes]
    for palette, weights in zip(palettes, one_after_the_other, strict=True):
        generator._steering_weights.clear()
        np.testing.assert_allclose(weights, levels(scene, palette, candidates), atol=1e-9)
    assert len({tuple(weights.round(3)) for weights in one_after_the_other}) == (4 if candidates == 16 else 2)


def test_palette_with_a_verdict_only_shares_no_weights(scene: Scene):
    unlocked = assessed(scene, (1.0, 1.0))
    moving = scene.assess(unlocked.targets, unlocked.locked, closest=False)
    assert generator.steering_weights(scene, moving, 16).by_value == {}
    assert generator.steering_weights(scene, unlocked, 16).by_value


def test_locked_target_is_met_with_fewer_candidates(scene: Scene):
    assert levels(scene, assessed(scene, (0.8, 1.2)), 4)[0] < 0.5
    locked = assessed(scene, (0.8, 1.2), 0)
    assert levels(scene, locked, 4)[0] == pytest.approx(0.8, abs=1e-6)
    assert "must not be lowered" not in generator.steering_weights(scene, locked, 4).note


def test_locked_target_out_of_reach_of_few_candidates_is_lowered_with_a_note(scene: Scene):
    best = float(scene.oracle.best(np.eye(len(scene.names))[0])[0])
    high = assessed(scene, (0.8 * best,), 0)
    assert high.verdict is not Verdict.OUT_OF_REACH
    steering = generator.steering_weights(scene, high, 2)
    assert steering.by_value
    assert "not even the targets that must not be lowered can be met" in steering.note


def test_locked_targets_that_the_whole_table_cannot_meet_leave_no_weights(scene: Scene):
    impossible = assessed(scene, (1.2, 1.2), 0, 1)
    for candidates in (4, 16):
        steering = generator.steering_weights(scene, impossible, candidates)
        assert steering.by_value == {}
        assert steering.note == "Nothing near your palette is possible, so there are no weights to steer by."


def test_a_pinned_palette_keeps_its_locked_targets(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    first, second = scene.table.values[:2]
    locked = Palette(ALL, {first: Target(85.0, locked=True), second: Target(85.0)})
    pins = (PinnedPalette("Locked", locked), PinnedPalette("Unlocked", locked.with_target(first, Target(85.0))))
    monkeypatch.setattr(pinned, "pinned_palettes", lambda: pins)
    monkeypatch.setattr(scenes, "load", lambda use_case: scene)
    assessment = palette_cache.assessed_palette(scene, locked).assessment
    assert assessment.verdict is Verdict.OUT_OF_REACH
    own, with_lock, without = (column.weights.by_value for column in pinned.columns(scene, assessment, 16))
    assert with_lock == own
    assert without != own
