"""Tests along the boundary of what is attainable on the embedded table: every answer can be formatted and sent.

Random values are asked for beside random others, one of them as high as it can be had to a tenth of a percentile, where
weights and prices grow without bound, and then a tenth beyond; ``python -m tests.proofs.boundary`` walks a hundred
thousand of them. Constraint: it is the page's own path, from a palette to the JSON that a browser reads; nothing is
left out because it is not finite.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from map_core.confidence import confidence
from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.feasibility import AttainableLevels
from map_core.feasibility.repairs import repairs
from map_core.oracle import MemoryOracle
from map_core.palettes import palette as palettes
from map_core.palettes.palette import ALL, Palette, Target
from map_core.text.repairs import conflict_sentence, repair_texts
from pages.view.palette import example, faders, verdict
from pages.view.palette.drag_session import DragSession
from pages.view.session import live_answer
from pages.view.session.scene import DEFAULT_TABLE, Scene

#: A palette that once crashed the page, and others at the maximum, beyond it, or without targets.
NAMED = {
    "once a fault": "helpfulness:p60;kindness:p92.7;humor:p41",
    "a price that no float holds": "helpfulness:p50.5;positivity:p70.7;diversity:p100;plain_language:p66.8",
    "a root between two floats": "helpfulness:p74;kindness:p63.2;humor:p80;coherence:p58.1;diversity:p38.8",
    "all of one": "helpfulness:p100",
    "none of one": "helpfulness:p0",
    "all as they are": "helpfulness:keep;kindness:keep;humor:keep;positivity:keep;coherence:keep;diversity:keep",
    "all of all": "helpfulness:p100;kindness:p100;humor:p100;positivity:p100;coherence:p100;diversity:p100",
    "a level beyond all replies": "helpfulness:p60;humor:p60=1e9",
}
#: Non-finite numbers and signed zeros in text.
UNSAYABLE = re.compile(
    r"(?<![a-z])[p+−-]?(inf|nan|infinity)(?![a-z])|(?<![\d.])[−-]0(\.0+)?(?![\d.])|p-", re.IGNORECASE
)
#: Parts of an example that are texts of the table, which may contain any words.
FROM_THE_TABLE = {"prompt", "base", "base_nodes", "base_whole", "aligned", "aligned_nodes", "aligned_whole"}
DIRECTIONS = 30


def open_scene() -> Scene:
    """Return the scene of the embedded table."""
    table = table_format.load(DEFAULT_TABLE)
    oracle, names = MemoryOracle.of(table), tuple(table.values)
    return Scene(("test", 0.0, None), table, oracle, names, tuple("" for _ in names))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return open_scene()


def standardised(scene: Scene, palette: Palette) -> np.ndarray:
    return palettes.standardised(palette, scene.table.values, scene.oracle, scene.percentiles)


def last_true(true: Callable[[int], bool], first: int, low: int, high: int) -> int:
    """Return the last integer from ``low`` to ``high`` at which a monotone condition holds."""
    step, at = 1, min(max(first, low), high)
    below, above = low, high + 1
    while above - below > 1:
        if true(at):
            below, at = at, at + step
        else:
            above, at = at, at - step
        step *= 2
        if not below < at < above:
            at = (below + above) // 2
    return below


def edges(scene: Scene, count: int, seed: int) -> Iterator[tuple[Palette, Palette]]:
    """Return palettes with one value at its highest attainable tenth of a percentile, and those one step beyond."""
    rng, values = np.random.default_rng(seed), scene.table.values
    base = [scene.percentile(j, 0.0) for j in range(len(values))]
    while count:
        j = int(rng.integers(len(values)))
        targets = {name: Target(50.0, free=True) for name in values}
        for i in np.flatnonzero(rng.random(len(values)) < 0.4):
            targets[values[i]] = Target(round(float(rng.uniform(base[i], min(base[i] + 35, 99.0))), 1))
        targets[values[j]] = Target(50.0, free=True)
        levels = AttainableLevels(scene.oracle)
        top = levels.highest(standardised(scene, Palette(ALL, targets)), j)
        if math.isnan(top):
            continue  # the other targets alone are not attainable

        def at(tenths: int, name: str = values[j], targets: dict[str, Target] = targets) -> Palette:
            return Palette(ALL, targets | {name: Target(tenths / 10)})

        def attainable(tenths: int, at: Callable[[int], Palette] = at, levels: AttainableLevels = levels) -> bool:
            return levels.margin(standardised(scene, at(tenths))).attainable

        tenths = last_true(attainable, math.floor(10 * scene.percentile(j, top)), 0, 1000)
        count -= 1
        yield at(tenths), at(min(tenths + 1, 1000))


def check(content: object) -> None:
    """Check that an answer can be sent, and that the page's own texts have finite numbers."""
    sent = json.dumps(content, allow_nan=False, ensure_ascii=False)
    text = json.dumps(json.loads(sent, object_hook=_own_words), ensure_ascii=False)
    match = UNSAYABLE.search(text)
    assert match is None, text[max(match.start() - 80, 0) : match.end() + 20]


def _own_words(part: dict[str, object]) -> dict[str, object]:
    return (
        {key: entry for key, entry in part.items() if key not in FROM_THE_TABLE}
        if set(part) >= FROM_THE_TABLE
        else part
    )


def shown(scene: Scene, palette: Palette) -> live_answer.LiveAnswer:
    """Return the content of the page for a palette at rest, with its repairs."""
    answer = live_answer.compute_answer(scene, palette, None)
    check([faders.fader_data(answer), verdict.verdict_data(answer), example.example_data(answer, 0)])
    locked = np.zeros(len(scene.names), dtype=bool)
    mended = repairs(AttainableLevels(scene.oracle), answer.assessment, locked)
    repair_list = repair_texts(mended, answer.assessment, scene.names, scene.percentile)
    check([(way.label, way.meaning) for way in repair_list])
    check(conflict_sentence(mended, answer.assessment, scene.names, scene.percentile))
    return answer


@pytest.mark.parametrize("address", NAMED.values(), ids=list(NAMED))
def test_extreme_palettes_have_an_answer(scene, address):
    answer = shown(scene, Palette.from_query({"palette": address}, scene.table.values))
    check(live_answer.confidence_sentence(confidence(scene.oracle, answer.assessment.targets, draws=20)))


def test_boundary_palettes_have_an_answer_while_a_fader_moves(scene):
    free = Palette(ALL, {name: Target(50.0, free=True) for name in scene.table.values})
    page = DragSession("desk", live_answer.compute_answer(scene, free, None), prompt=0, viewer="nobody")
    verdicts = []
    for number, pair in enumerate(edges(scene, DIRECTIONS, seed=1)):
        for palette in pair:
            changes = {
                name: {"percentile": target.percentile} for name, target in palette.targets.items() if not target.free
            }
            content = page.answer(number, changes)
            check(content)
            verdicts.append(content["answer"]["verdict"])
    assert verdicts.count(Verdict.ON_PAPER) >= DIRECTIONS / 2, "the edge is where few replies carry the weight"
    assert verdicts.count(Verdict.OUT_OF_REACH) >= DIRECTIONS / 2, "a tenth beyond is out of reach"


def test_boundary_palettes_have_an_answer_at_rest(scene):
    for pair in edges(scene, 2, seed=2):
        for palette in pair:
            shown(scene, palette)
