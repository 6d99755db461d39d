"""The edge of what can be had, on the embedded table: whatever the page computes of it can be said and be sent.

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

#: The palette that the page once could not answer, and others that ask for all there is, for more, or for nothing.
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
#: Words for a number that is none, and zeros with a sign.
UNSAYABLE = re.compile(
    r"(?<![a-z])[p+−-]?(inf|nan|infinity)(?![a-z])|(?<![\d.])[−-]0(\.0+)?(?![\d.])|p-", re.IGNORECASE
)
#: What an example shows of the table: texts of a model, in which any words may stand.
FROM_THE_TABLE = {"prompt", "base", "base_nodes", "base_whole", "aligned", "aligned_nodes", "aligned_whole"}
DIRECTIONS = 30


def open_scene() -> Scene:
    """Return the embedded table as a visit has it."""
    table = table_format.load(DEFAULT_TABLE)
    oracle, names = MemoryOracle.of(table), tuple(table.values)
    return Scene(("test", 0.0, None), table, oracle, names, tuple("" for _ in names))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return open_scene()


def standardised(scene: Scene, palette: Palette) -> np.ndarray:
    return palettes.standardised(palette, scene.table.values, scene.oracle, scene.percentiles)


def last_true(true: Callable[[int], bool], first: int, low: int, high: int) -> int:
    """The last whole number at which something holds, of ``low`` to ``high``: it holds below and not above."""
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
    """Palettes that can be had, one value a tenth of a percentile below where they no longer can, and those beyond."""
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
            continue  # the others alone cannot be had

        def at(tenths: int, name: str = values[j], targets: dict[str, Target] = targets) -> Palette:
            return Palette(ALL, targets | {name: Target(tenths / 10)})

        def attainable(tenths: int, at: Callable[[int], Palette] = at, levels: AttainableLevels = levels) -> bool:
            return levels.margin(standardised(scene, at(tenths))).attainable

        tenths = last_true(attainable, math.floor(10 * scene.percentile(j, top)), 0, 1000)
        count -= 1
        yield at(tenths), at(min(tenths + 1, 1000))


def check(told: object) -> None:
    """All of it can be sent, and everything that the page itself says is words and numbers."""
    sent = json.dumps(told, allow_nan=False, ensure_ascii=False)
    text = json.dumps(json.loads(sent, object_hook=_own_words), ensure_ascii=False)
    found = UNSAYABLE.search(text)
    assert found is None, text[max(found.start() - 80, 0) : found.end() + 20]


def _own_words(part: dict[str, object]) -> dict[str, object]:
    return {key: one for key, one in part.items() if key not in FROM_THE_TABLE} if set(part) >= FROM_THE_TABLE else part


def shown(scene: Scene, palette: Palette) -> live_answer.LiveAnswer:
    """What the page shows of a palette at rest, with its repairs."""
    seen = live_answer.compute_answer(scene, palette, None)
    check([faders.fader_data(seen), verdict.verdict_data(seen), example.example_data(seen, 0)])
    locked = np.zeros(len(scene.names), dtype=bool)
    mended = repairs(AttainableLevels(scene.oracle), seen.assessment, locked)
    ways = repair_texts(mended, seen.assessment, scene.names, scene.percentile)
    check([(way.label, way.meaning) for way in ways])
    check(conflict_sentence(mended, seen.assessment, scene.names, scene.percentile))
    return seen


@pytest.mark.parametrize("address", NAMED.values(), ids=list(NAMED))
def test_palettes_at_the_ends_have_an_answer(scene, address):
    seen = shown(scene, Palette.from_query({"palette": address}, scene.table.values))
    check(live_answer.confidence_sentence(confidence(scene.oracle, seen.assessment.targets, draws=20)))


def test_the_edge_and_one_step_beyond_have_an_answer_while_a_hand_moves(scene):
    free = Palette(ALL, {name: Target(50.0, free=True) for name in scene.table.values})
    page = DragSession("desk", live_answer.compute_answer(scene, free, None), prompt=0, viewer="nobody")
    verdicts = []
    for number, pair in enumerate(edges(scene, DIRECTIONS, seed=1)):
        for palette in pair:
            changes = {
                name: {"percentile": target.percentile} for name, target in palette.targets.items() if not target.free
            }
            told = page.answer(number, changes)
            check(told)
            verdicts.append(told["answer"]["verdict"])
    assert verdicts.count(Verdict.ON_PAPER) >= DIRECTIONS / 2, "the edge is where few replies carry the weight"
    assert verdicts.count(Verdict.OUT_OF_REACH) >= DIRECTIONS / 2, "a tenth beyond is out of reach"


def test_the_edge_and_one_step_beyond_have_an_answer_at_rest(scene):
    for pair in edges(scene, 2, seed=2):
        for palette in pair:
            shown(scene, palette)
