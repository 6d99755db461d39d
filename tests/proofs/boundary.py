"""Palettes along the boundary of the attainable set through all sentences of the page; fails if one has no words.

    python -m tests.proofs.boundary --palettes 100000

A walk takes random targets and one value: as high as it can be beside them to a tenth of a percentile, and a tenth
beyond; and there every value in turn at 0, at 100, at the base model's own level, and at levels that no reply has. Each
palette is answered as while a fader
moves (verdict, price, best of n, faders, example); of every hundredth the page at rest is said as well (ranges, nearest
palette, repairs, conflict, how sure it is). Constraint: the page's own path, the embedded table, one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from map_core.confidence import confidence
from map_core.palettes.palette import Palette, Target
from map_core.text.wording import NUMBERS, PLAIN
from pages.view.palette import example, faders, verdict
from pages.view.session import live_answer
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene
from tests.pages.test_boundary import check, edges, open_scene, shown

#: Levels beyond all replies, in units of reward.
BEYOND_ALL = (1e9, -1e9, 1e100)


@dataclass
class Walk:
    """The counts of a walk."""

    palettes: int = 0
    at_rest: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def around(scene: Scene, count: int, seed: int) -> Iterator[Palette]:
    """Return palettes at the boundary, one step beside it, and with one value at each end of its range."""
    rng, values = np.random.default_rng(seed), scene.table.values
    for at, beyond in edges(scene, count, seed):
        yield from (at, beyond)
        for name in values:
            for target in (Target(0.0), Target(100.0), Target(99.0, float(rng.choice(BEYOND_ALL)))):
                yield at.with_target(name, target)
            yield at.with_target(name, replace(at.targets[name], keep=True, free=False))
        yield replace(at, targets={name: replace(at.targets[name], locked=bool(rng.random() < 0.5)) for name in values})


def walk(palettes: int, seed: int = 0, rest_every: int = 100, most_failures: int = 20) -> Walk:
    """Compute the answers of this many palettes.

    Args:
        palettes: their number.
        seed: of the random targets.
        rest_every: the page at rest is computed for one of this many.
        most_failures: the walk ends at this number.
    """
    scene, met = open_scene(), Walk()
    previous: LiveAnswer | None = None
    for palette in around(scene, palettes, seed):
        wording = (NUMBERS, PLAIN)[met.palettes % 2]
        try:
            previous = live_answer.compute_answer(scene, palette, previous, moving=True, wording=wording)
            check([faders.fader_data(previous), verdict.verdict_data(previous), example.example_data(previous, 0)])
            met.verdicts[previous.assessment.verdict.name] += 1
            if met.palettes % rest_every == 0:
                page_content = shown(scene, palette)
                check(
                    live_answer.confidence_sentence(confidence(scene.oracle, page_content.assessment.targets, draws=20))
                )
                met.at_rest += 1
        except Exception:
            previous = None
            met.failures.append(f"{palette.to_query()['palette']}\n{traceback.format_exc(limit=-3)}")
            if len(met.failures) >= most_failures:
                break
        met.palettes += 1
        if met.palettes % 5000 == 0:
            print(f"{met.palettes:,} palettes, {len(met.failures)} without an answer", file=sys.stderr, flush=True)
        if met.palettes >= palettes:
            break
    return met


def main() -> None:
    """Walk and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--palettes", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    met = walk(options.palettes, options.seed)
    print(f"{met.palettes:,} palettes, {met.at_rest:,} of them at rest, {(time.monotonic() - began) / 60:.0f} minutes")
    print(", ".join(f"{name.lower()} {count:,}" for name, count in met.verdicts.most_common()))
    print(f"without an answer: {len(met.failures)}")
    for failure in met.failures:
        print(failure)
    sys.exit(bool(met.failures))


if __name__ == "__main__":
    main()
