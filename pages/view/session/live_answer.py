"""Compute everything that the page Set shows of one palette, in the few milliseconds between two moves of a fader.

What takes longer (repairs, the probability of the verdict) is computed in the background once no fader moves, and shown
when it is there. Constraint: the results are frozen; the parts of the page only draw them.

A fader's move is answered in this order: ``assets/desk.js`` (the fader) and ``assets/channel.js`` (the socket),
:mod:`pages.view.shell.live_channel` (the server's end of it), :mod:`pages.view.palette.drag_session` (one viewer's
page), :mod:`pages.view.palette.faders` (changes to a palette), this module (the answer), and back the same way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.analysis.sensitivity import LocalSensitivity, local_sensitivity
from map_core.confidence import Confidence, confidence
from map_core.core.jobs import Job
from map_core.core.types import Verdict
from map_core.feasibility import Assessment, AttainableLevels
from map_core.feasibility.limits import Limits, limits
from map_core.feasibility.ranges import SmoothedRanges, smoothed_ranges
from map_core.feasibility.repairs import Repairs, repairs
from map_core.palettes.palette import Palette
from map_core.text import protections, sentences, verdict
from map_core.text.protections import NOTHING_BEYOND, BeyondAverages
from map_core.text.verdict import VerdictText
from map_core.text.wording import NUMBERS, Wording
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import background
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import Key

LIVE: Key[LiveAnswer | None] = Key("live", None)

#: Seconds between two computations of ranges and nearest palette, while a fader moves: they take longer than a verdict.
RANGE_SECONDS = 0.35
#: Step of the central difference for a percentile's slope, in standard deviations.
SLOPE_STEP = 0.02
#: Draws of the bootstrap behind the probability of a verdict.
DRAWS = 200
#: Background jobs on a palette at rest: the limits of each value, the repairs, and how sure the verdict is.
JOBS = ("most", "ways", "sure")


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """A palette and what follows from it.

    Args:
        scene: the table.
        palette: that is answered.
        assessment: of the palette.
        prices: derivatives at the solution; None when out of reach.
        errors: (value,) half of each level's error bar, in standard deviations; None when unknown.
        reach: the range of each value with the other targets.
        answer: the same in words.
        when: time at which the ranges were computed, in seconds of a monotonic clock.
        hasty: ranges and nearest palette are those of an earlier palette.
        wording: of the answer.
    """

    scene: Scene
    palette: Palette
    assessment: Assessment
    prices: LocalSensitivity | None
    errors: np.ndarray | None
    reach: SmoothedRanges
    answer: VerdictText
    when: float
    hasty: bool
    wording: Wording = NUMBERS

    @property
    def levels(self) -> np.ndarray | None:
        """(value,) realised levels, or those of the nearest palette when out of reach; None when there are none."""
        if self.assessment.solution is not None:
            return self.assessment.solution.levels
        return None if self.assessment.nearest is None else self.assessment.nearest.solution.levels

    @property
    def weights(self) -> np.ndarray:
        """(value,) x of the palette, or of the nearest one; all 0 when there are none."""
        nearest = self.assessment.nearest
        solution = self.assessment.solution or (nearest.solution if nearest else None)
        return np.zeros(len(self.scene.names)) if solution is None else solution.weights


def current_answer(scene: Scene, palette: Palette, moving: bool = False) -> LiveAnswer:
    """Return the answer to this viewer's palette; from the session where nothing changed.

    Args:
        scene: the table.
        palette: of this viewer.
        moving: a fader is being dragged, as in :func:`compute_answer`.
    """
    last, wording = LIVE.get(), wordings.current()
    same = last is not None and last.scene is scene and last.palette == palette and last.wording == wording
    if last is not None and same and (moving or not last.hasty):
        return last
    assessment = None if moving else palette_state.current_assessment(scene, palette)
    live = compute_answer(scene, palette, last, moving, assessment, wording)
    LIVE.set(live)
    return live


def compute_answer(
    scene: Scene,
    palette: Palette,
    last: LiveAnswer | None,
    moving: bool = False,
    assessment: Assessment | None = None,
    wording: Wording | None = None,
) -> LiveAnswer:
    """Return the answer to a palette, given the previous answer.

    Args:
        scene: the table.
        palette: to answer.
        last: the previous answer.
        moving: a fader is being dragged. Verdict, weights and levels are exact all the same; ranges, and the nearest
            palette of one that is out of reach, are those of the previous answer.
        assessment: the verdict with the nearest palette, where it is known.
        wording: of the answer; that of the previous one by default, else with numbers.
    """
    wording = wording or (last.wording if last is not None else NUMBERS)
    last = last if last is not None and _have_same_columns(last.scene, scene) else None
    previous = last if moving and last is not None and last.scene is scene else None
    if assessment is None:
        locked = palette_state.locked(scene, palette)
        assessment = scene.assess(palette_state.standardised(scene, palette), locked, closest=previous is None)
    solution = assessment.solution
    prices = None if solution is None else local_sensitivity(solution)
    errors = None if solution is None else verdict.level_errors(scene.oracle, solution)
    if previous is not None:
        ranges, when = previous.reach, previous.when
        if solution is None and assessment.nearest is None and previous.assessment.solution is None:
            assessment = replace(assessment, nearest=previous.assessment.nearest)
    else:
        ranges = smoothed_ranges(scene.oracle, assessment.targets, last.reach if last else None)
        when = time.monotonic()
    text = verdict.verdict_text(
        assessment,
        scene.oracle,
        prices,
        errors,
        scene.names,
        scene.percentile,
        ranges.ranges[:, 1],
        wording,
        beyond_averages(scene, palette),
    )
    return LiveAnswer(scene, palette, assessment, prices, errors, ranges, text, when, previous is not None, wording)


def beyond_averages(scene: Scene, palette: Palette) -> BeyondAverages:
    """Return what the columns beyond the table's values stand for, for the texts."""
    if (aim := scene.aim) is None:
        return NOTHING_BEYOND
    return protections.beyond_averages(aim, palette, scene.names)


def _have_same_columns(before: Scene, scene: Scene) -> bool:
    """Return whether two scenes have the same columns, so that one's ranges are a start for the other's."""
    if before is scene:
        return True
    return scene.aim is not None and before.key[0] == scene.key[0] and before.table.values == scene.table.values


def with_ranges(live: LiveAnswer) -> LiveAnswer:
    """Return the answer with up-to-date ranges and, where it is needed, nearest palette."""
    if live.assessment.verdict is not Verdict.REACHABLE:
        return compute_answer(live.scene, live.palette, live)
    ranges = smoothed_ranges(live.scene.oracle, live.assessment.targets, live.reach)
    return replace(live, reach=ranges, when=time.monotonic(), hasty=False)


def predictions(live: LiveAnswer) -> list[list[float]] | None:
    """Return (fader, fader) first-order changes of each level per change of each target, both in percentiles."""
    solution, prices = live.assessment.solution, live.prices
    if solution is None or prices is None or not prices.active.any():
        return None
    size = len(live.scene.names)
    rise = np.array([slope(live.scene, k, float(solution.levels[k])) for k in range(size)])
    reached = np.zeros((size, size))
    for j in map(int, np.flatnonzero(prices.active)):
        reached[:, j] = rise * prices.levels[:, j] / max(slope(live.scene, j, float(live.assessment.targets[j])), 1e-9)
    if (aim := live.scene.aim) is not None:  # a fader of several columns moves all and shows the lowest
        groups = [[j] for j in range(aim.plain)] + [list(asked.members) for asked in aim.asked]
        rows = [lowest(live, group) for group in groups]
        reached = np.stack([reached[rows][:, group].sum(axis=1) for group in groups], axis=1)
    return (np.round(np.nan_to_num(np.clip(reached, -5, 5)), 3) + 0.0).tolist()  # no -0.0


def lowest(live: LiveAnswer, members: Sequence[int]) -> int:
    """Return the column with the lowest level among several, in replies of 100 or percentiles."""
    if (levels := live.levels) is None:
        return members[0]
    return min(members, key=lambda j: live.scene.percentile(j, float(levels[j])))


def slope(scene: Scene, value: int, level: float) -> float:
    """Return the percentiles per standard deviation at a level."""
    return (scene.percentile(value, level + SLOPE_STEP) - scene.percentile(value, level - SLOPE_STEP)) / (
        2 * SLOPE_STEP
    )


def limits_job(live: LiveAnswer) -> Job:
    """Return the job for the limits of each value with the other targets, for a palette at rest."""
    scene, targets = live.scene, live.assessment.targets

    def work(job: Job) -> Limits:
        return limits(scene.oracle, targets)

    return background.job("most", (scene.key, targets.tobytes()), work)


def repairs_job(live: LiveAnswer) -> Job | None:
    """Return the job for the repairs of a palette at rest; None for a reachable one."""
    scene, assessment = live.scene, live.assessment
    if assessment.verdict is Verdict.REACHABLE:
        return None
    locked = palette_state.locked(scene, live.palette)

    def work(job: Job) -> Repairs:
        all_repairs = repairs(AttainableLevels(scene.oracle), assessment, locked)
        return all_repairs if scene.aim is None else scene.aim.of_targets(all_repairs)

    return background.job("ways", (scene.key, assessment.targets.tobytes(), locked.tobytes()), work)


def confidence_job(live: LiveAnswer) -> Job | None:
    """Return the job for the probability of the verdict; None without targets and on fewer than 4 prompts."""
    scene, targets = live.scene, live.assessment.targets
    if scene.oracle.counted_prompts < 4 or np.isnan(targets).all():
        return None

    def work(job: Job) -> Confidence:
        return confidence(scene.oracle, targets, draws=DRAWS)

    return background.job("sure", (scene.key, targets.tobytes()), work)


def confidence_sentence(confidence: Confidence) -> str:
    """Return the probability of the verdict in one sentence."""
    # No sample of prompts makes anything certain.
    chance = sentences.chance(min(confidence.probability[confidence.verdict], 0.999))
    return (
        f'"{sentences.HEADLINES[confidence.verdict]}" holds on new prompts of this kind with a probability of {chance}.'
    )
