"""Tests of faders and sentences of targets beyond averages, and of moving them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.palette import ALL, Palette, Target
from map_core.text.wording import NUMBERS, PLAIN
from pages.view.palette import faders, protect, protection_faders, verdict
from pages.view.session import aimed_scene, live_answer, palette_state
from pages.view.session.scene import Scene
from tests.tables import USE_CASES, make_table

EVERY = "positivity>=p20@*"
TABLE = make_table(prompts=24, candidates=32, seed=3)


def scene_of(palette: Palette, name: str = "promises") -> Scene:
    plain = Scene((name, 0.0, None), TABLE, MemoryOracle.of(TABLE), TABLE.values, ("",) * len(TABLE.values))
    return aimed_scene.counted(plain, palette)


def palette_of(columns: dict[str, float | str], beside: Beside | None = None, high: float = 60.0) -> Palette:
    targets = {name: Target(high, free=j > 1) for j, name in enumerate(TABLE.values)}
    return Palette(ALL, targets, columns, beside or Beside())


@pytest.mark.parametrize("wording", [NUMBERS, PLAIN])
def test_one_fader_for_every_use_case_shows_the_lowest(wording):
    palette = palette_of({EVERY: 0.9})
    scene = scene_of(palette)
    live = live_answer.compute_answer(scene, palette, None, wording=wording)
    data = faders.fader_data(live)
    assert len(data["faders"]) == len(TABLE.values) + 1
    fader = data["faders"][-1]
    levels = scene.oracle.rewards_at(live.levels)[scene.plain :]
    assert fader["percentile"] == 90.0
    assert fader["level"] == pytest.approx(100 * levels.min(), abs=0.01)
    assert fader["level"] >= 90 - 1e-3
    assert f"you get {wording.level(fader['level'], share=True)}" in fader["said"]
    assert "p9" not in fader["said"]
    if data["predict"] is not None:
        assert len(data["predict"]) == len(data["faders"])


def test_moved_share_changes_the_palette_and_invalid_messages_do_not():
    palette = palette_of({EVERY: "0.9"})  # as read from an address
    scene = scene_of(palette)
    moved, sentence = faders.apply_changes(scene, palette, {EVERY: {"percentile": 95}})
    assert moved.columns == {EVERY: 0.95}
    weakest = "the base model's weakest fifth"
    assert sentence == f"At least 95 of 100 replies no worse on positivity than {weakest}, in every use case."
    for message in ({"percentile": 90}, {"percentile": 101}, {"percentile": None}, {"free": True}, {"locked": True}):
        assert faders.apply_changes(scene, palette, {EVERY: message}) == (palette, "")
    assert faders.apply_changes(scene, palette, {"positivity>=p30": {"percentile": 95}}) == (palette, "")


def test_answer_during_a_drag_uses_the_columns_from_its_start():
    palette = palette_of({EVERY: 0.85})
    scene = scene_of(palette)
    before = live_answer.compute_answer(scene, palette, None)
    moved, _ = faders.apply_changes(scene, palette, {EVERY: {"percentile": 92}})
    answer = live_answer.compute_answer(scene, moved, before, moving=True)
    rested = live_answer.compute_answer(scene_of(moved), moved, answer)
    np.testing.assert_allclose(answer.assessment.solution.kl, rested.assessment.solution.kl, rtol=1e-6)
    assert answer.answer.headline == rested.answer.headline


def test_verdict_names_the_target_and_not_its_columns():
    palette = palette_of({EVERY: 1.0}, Beside(no_cohort_below_base="use_case"), high=90.0)
    live = live_answer.compute_answer(scene_of(palette), palette, None, wording=PLAIN)
    assert live.assessment.verdict is not Verdict.REACHABLE
    content = verdict.verdict_data(live)
    positions = {line["value"] for line in content["lines"]}
    assert len([j for j in positions if j >= live.scene.plain]) <= 1
    assert content["sentence"].count("positivity above") <= 1


def test_targets_are_counted_as_set():
    palette = palette_of({EVERY: 0.85}, Beside(no_worse_tail=("humor",)), high=52.0)
    live = live_answer.compute_answer(scene_of(palette), palette, None)
    assert live.answer.sentence.startswith("All 4 targets")


def test_a_repair_sets_one_use_case():
    palette = palette_of({EVERY: 0.95})
    scene = scene_of(palette)
    j = scene.aim.asked[0].members[1]
    lowered = protection_faders.with_place(scene, palette, j, 88.0)
    assert lowered.columns == {EVERY: 0.95, f"positivity>=p20@{USE_CASES[1]}": 0.88}
    assert protection_faders.with_place(scene, palette, 0, 55.0).targets[TABLE.values[0]].percentile == 55.0


def test_targets_without_prompts_are_reported_and_the_others_count():
    palette = palette_of({"humor@Nowhere": "p50", EVERY: 0.85})
    scene = scene_of(palette)
    assert [column.name for column in scene.aim.asked] == [EVERY]
    assert len(scene.problems) == 1
    assert "Nowhere" in scene.problems[0]
    assert palette_state.standardised(scene, palette).shape == (len(scene.table.values),)


def test_targets_on_levels_reuse_the_scene():
    palette = palette_of({})
    plain = Scene(("x", 0.0, None), TABLE, MemoryOracle.of(TABLE), TABLE.values, ("",) * len(TABLE.values))
    assert aimed_scene.counted(plain, palette) is plain
    assert aimed_scene.counted(plain, replace(palette, columns={EVERY: 0.9})) is not plain


@pytest.mark.parametrize(
    ("before", "chosen", "label", "sentence"),
    [
        (None, True, "use_case", "No use case below its original level."),
        (None, "home_language", "home_language", "No entry of home language below its original level."),
        ("use_case", False, None, "Use cases may pay for each other."),
        ("home_language", None, None, "Entries of home language may pay for each other."),
    ],
)
def test_step_names_the_cohorts_kept_at_base(monkeypatch, before, chosen, label, sentence):
    steps = []
    palette = palette_of({}, Beside(no_cohort_below_base=before))
    monkeypatch.setattr(protect, "NO_LOSER", SimpleNamespace(get=lambda: chosen))
    monkeypatch.setattr(palette_state, "history", lambda: SimpleNamespace(now=palette))
    monkeypatch.setattr(palette_state, "apply", lambda *step: steps.append(step))
    protect._on_no_loser()
    ((changed, what),) = steps
    assert (changed.beside.no_cohort_below_base, what) == (label, sentence)
