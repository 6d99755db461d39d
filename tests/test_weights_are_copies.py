"""Tests that prompt weights equal copies: a table with weights or held-out prompts gives the numbers of copies.

Everywhere a number is shown: targets, verdicts, trade-offs, groups, portraits, figures, reports, quality, studies.
Repeating all replies to a prompt changes nothing either, per prompt. Known exception: a prompt that occurs often is one
prompt of evidence, so copies make error bars narrower, and trust in few replies larger, where weights do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import map_core as vp
from map_core.analysis.baselines import compare_baselines, win_rates
from map_core.analysis.drift import drift
from map_core.analysis.frontier import frontier, surface
from map_core.analysis.frontier_spread import spread_frontier
from map_core.analysis.sensitivity import local_sensitivity, sensitivity_curve
from map_core.analysis.sequential import sequential_path
from map_core.confidence import confidence
from map_core.confidence.table_quality import advise, choosing_variance
from map_core.core.types import Form
from map_core.data.distribution import Percentiles, typical_candidates
from map_core.data.reward_table import RewardTable
from map_core.feasibility import AttainableLevels, assess, smallest_conflict
from map_core.feasibility.nearest import nearest
from map_core.feasibility.ranges import smoothed_ranges
from map_core.figures import pair_grid, plane, sweep
from map_core.figures import surface as space
from map_core.figures import value_profile as portraits
from map_core.groups import Group, max_min, nash, satisfaction
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.palette import ALL, Palette, Target
from map_core.palettes.targets import resolve
from map_core.report import ReportOptions, as_dict, compute_report
from map_core.report.sample_replies import draw_samples
from map_core.scoring.pairwise import choose_pairs
from map_core.scoring.profile import extreme_replies, value_profile
from map_core.solver.newton import solve
from map_core.studies.delivery import cross_fit_delivery, deliver, graded_palettes
from map_core.studies.reproduce import random_palettes
from map_core.studies.reproduce.published_solver import published_solver
from map_core.text.units import Units
from map_core.text.verdict import verdict_text
from tests.weighted_pairs import PAIRS, of_counts

pytestmark = pytest.mark.slow

Shown = Callable[[RewardTable, Oracle], Any]
#: Targets that are reachable on all tables.
ASKED = {"humor": "+0.1sd", "kindness": "+0.05sd"}
PERCENTILES = {"humor": "p62", "kindness": "p7.5", "stars": "p55"}
X = np.array([0.5, 0.2, 0.0])
#: Fields of results that depend on the computation or on the number of prompts and replies.
EVIDENCE = {"ess", "pooled", "carrying_all", "prompts", "replies", "passes", "steps", "gap", "residual", "redundant"}
EVIDENCE |= {
    "error",
    "attainable",
    "verdict",
    "trusted",
    "nearest",
    "significant",
    "same_prompts",
    "closest",
    "pooled_ess",
}
EVIDENCE |= {"samples", "provenance", "confidence"}


def targets(table: RewardTable, oracle: Oracle) -> np.ndarray:
    return oracle.standardise(resolve(ASKED, table, oracle))


def units(table: RewardTable, oracle: Oracle, unit: Any = "percentile") -> Units:
    return Units(oracle, Percentiles(table, oracle.form), unit, table.values)


def position(table: RewardTable, oracle: Oracle) -> plane.PalettePosition:
    d = targets(table, oracle)
    return plane.PalettePosition(d, solve(oracle, d).levels)


def common(table: RewardTable, oracle: Oracle) -> Any:
    wishes = [resolve({name: level}, table, oracle) for name, level in (("humor", "p70"), ("kindness", "p70"))]
    groups = [Group(name, oracle.standardise(wish)) for name, wish in zip("ab", wishes, strict=True)]
    palettes = [max_min(oracle, groups, 0.1), nash(oracle, groups, 0.1)]
    return [(satisfaction(groups, palette.solution.levels), palette.solution.levels) for palette in palettes]


def moved(table: RewardTable, oracle: Oracle) -> Any:
    """Return levels on this table and on one with slightly kinder replies."""
    kinder = replace(table, rewards=table.rewards + np.array([0.0, 0.3, 0.0]))
    result = drift(table, kinder, np.asarray(resolve(ASKED, table, oracle)), oracle.form)
    return result.base.before, result.base.after, result.held.before, result.held.after, result.short, result.held_kl


def delivered(table: RewardTable, oracle: Oracle) -> Any:
    """Return the delivery of palettes on as many other replies to the same prompts."""
    others = replace(table, rewards=table.rewards @ np.array([[1.1, 0.2, 0.0], [0.0, 0.8, 0.0], [0.1, 0.0, 1.0]]))
    (result,) = deliver(table, others, [np.asarray(resolve(ASKED, table, oracle))])
    return result.forecast, result.realised, result.base, result.weights, result.wins, result.kl_realised


def report(table: RewardTable, oracle: Oracle) -> Any:
    palette = Palette(ALL, {name: Target(60.0, free=name != "humor") for name in table.values})
    options = ReportOptions(draws=0, samples=0)
    data = as_dict(compute_report(table, palette, date=datetime(2026, 1, 1, tzinfo=UTC), wanted=options))
    ends = ("_low", "_high", "_error")
    return [{k: v for k, v in row.items() if not k.endswith(ends) and "trust" not in k} for row in data["values"]]


SHOWN: dict[str, Shown] = {
    "base": lambda table, oracle: (oracle.base, oracle.scale, oracle.constant),
    "form": lambda table, oracle: table.form,
    "targets": lambda table, oracle: np.asarray(resolve(PERCENTILES, table, oracle)),
    "verdict": lambda table, oracle: assess(oracle, targets(table, oracle)),
    "verdict's words": lambda table, oracle: [
        line.text
        for line in verdict_text(
            assess(oracle, targets(table, oracle)), oracle, None, None, table.values, units(table, oracle).percentile
        ).lines
    ],
    "out of reach": lambda table, oracle: assess(oracle, np.array([4.0, 4.0, np.nan]), closest=False),
    "highest": lambda table, oracle: AttainableLevels(oracle).highest(targets(table, oracle), 0),
    "ranges": lambda table, oracle: AttainableLevels(oracle).ranges(targets(table, oracle)),
    "faders": lambda table, oracle: smoothed_ranges(oracle, targets(table, oracle)).ranges,
    "nearest": lambda table, oracle: nearest(oracle, targets(table, oracle), budget=0.01).targets,
    "conflict": lambda table, oracle: smallest_conflict(AttainableLevels(oracle), np.array([1.5, 1.5, np.nan])),
    "prices": lambda table, oracle: local_sensitivity(solve(oracle, targets(table, oracle))).price,
    "sensitivity": lambda table, oracle: sensitivity_curve(oracle, targets(table, oracle), 0, points=4),
    "frontier": lambda table, oracle: frontier(oracle, (0, 1), [0.1], directions=5),
    "surface": lambda table, oracle: surface(oracle, (0, 1, 2), [0.1]),
    "lines": lambda table, oracle: spread_frontier(oracle, (0, 1), [0.1], lines=4),
    "sequence": lambda table, oracle: sequential_path(oracle, targets(table, oracle), rounds=2),
    "baselines": lambda table, oracle: compare_baselines(table, targets(table, oracle), form=oracle.form, count=4),
    "win rates": lambda table, oracle: win_rates(table, X, oracle.form),
    "groups": common,
    "drift": moved,
    "portraits": lambda table, oracle: [
        (made.edges, made.quartiles, dict(made.correlations), made.length, made.constant)
        for made in map(value_profile, [table] * 3, table.values)
    ],
    "histogram": lambda table, oracle: value_profile(table, "humor").shares,
    "examples": lambda table, oracle: [
        sorted({(round(rung.standardised, 9), round(rung.percentile, 9)) for rung in value_profile(table, name).rungs})
        for name in ("humor", "kindness")
    ],
    "plane": lambda table, oracle: plane.plane(
        table, units(table, oracle, "reward"), (0, 1), None, position(table, oracle)
    ),
    "plane in percentiles": lambda table, oracle: plane.plane(
        table, units(table, oracle), (0, 1), frontier(oracle, (0, 1), [0.1], directions=5), position(table, oracle)
    ),
    "pair": lambda table, oracle: pair_grid.pair_cell(
        units(table, oracle), (0, 1), frontier(oracle, (0, 1), [0.1], directions=5), position(table, oracle), (0, 102)
    ),
    "space": lambda table, oracle: space.space(
        units(table, oracle), surface(oracle, (0, 1, 2), [0.1]), position(table, oracle)
    ),
    "sweep": lambda table, oracle: sweep.levels(
        sweep.SweepData(sensitivity_curve(oracle, targets(table, oracle), 0, points=4), units(table, oracle), 0.2)
    ),
    "spread": lambda table, oracle: portraits.spread(value_profile(table, "humor"), "Humor", "#123456"),
    "report": report,
    "advice": lambda table, oracle: advise(table, oracle, targets(table, oracle)).now.margin,
    "published solver": lambda table, oracle: published_solver(
        table.without_held_out().rewards,
        table.without_held_out().offsets,
        np.asarray(resolve(ASKED, table, oracle)),
        form=oracle.form,
        prompt_weights=table.without_held_out().prompt_weights,
    ).weights.astype(np.float32),
    "random palettes": lambda table, oracle: random_palettes(table, oracle, 2, 3, seed=1),
    "interface": lambda table, oracle: [
        (made.levels, made.weights, made.kl, made.margin, made.targets, made.table.base)
        for made in [vp.assess(vp.Table(table, oracle), ASKED)]
    ],
}
#: Quantities that depend on the number of replies, which repetition changes.
OF_REPLIES: dict[str, Shown] = {
    "most nats": lambda table, oracle: oracle.log_candidates,
    "replies a prompt": lambda table, oracle: typical_candidates(table),
    "that carry the weight": lambda table, oracle: oracle.effective_sample_size(X).per_prompt,
    "of": lambda table, oracle: oracle.effective_sample_size(X).candidates,
    "choosing": lambda table, oracle: choosing_variance(table, oracle, X),
}
#: Quantities that need equal numbers of replies per prompt; others are subsampled at random.
OF_EVEN_TABLES: dict[str, Shown] = {
    "delivery": delivered,
}


def numbers(result: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number and word in a result with its position."""
    if isinstance(result, go.Figure):
        drawn = [
            {name: trace[name] for name in ("x", "y", "z", "marker.size") if name in trace} for trace in result.data
        ]
        yield from numbers([drawn, result.layout.xaxis.range, result.layout.yaxis.range], where)
    elif is_dataclass(result) and not isinstance(result, Enum):
        for field in fields(result):
            if field.name not in EVIDENCE:
                yield from numbers(getattr(result, field.name), f"{where}.{field.name}")
    elif isinstance(result, dict):
        for key, entry in result.items():
            yield from numbers(entry, f"{where}[{key!r}]")
    elif isinstance(result, list | tuple):
        for number, entry in enumerate(result):
            yield from numbers(entry, f"{where}[{number}]")
    else:
        yield where, result


def check(quantity: Shown, pair: tuple[RewardTable, RewardTable], form: Form) -> None:
    weighted_numbers, copied_numbers = (list(numbers(quantity(table, MemoryOracle.of(table, form)))) for table in pair)
    assert [where for where, _ in weighted_numbers] == [where for where, _ in copied_numbers]
    for (where, number), (_, copied) in zip(weighted_numbers, copied_numbers, strict=True):
        if isinstance(number, np.ndarray | float) and np.asarray(number).dtype.kind == "f":
            single = np.asarray(number).dtype == np.float32
            np.testing.assert_allclose(number, copied, rtol=1e-5, atol=2e-4 if single else 2e-6, err_msg=where)
        else:
            assert np.array_equal(number, copied), where


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("pair", PAIRS)
def test_weights_give_the_numbers_of_copies(pair: str, name: str) -> None:
    check(SHOWN[name], PAIRS[pair], Form.PER_PROMPT)


#: In the pooled form repeating the replies to one prompt changes the distribution.
POOLED_PAIRS = ("weights", "shares", "held out")


@pytest.mark.parametrize("name", [name for name in SHOWN if name not in ("advice", "portraits")])
@pytest.mark.parametrize("pair", POOLED_PAIRS)
def test_weights_give_the_numbers_of_copies_when_pooled(pair: str, name: str) -> None:
    check(SHOWN[name], PAIRS[pair], Form.POOLED)


@pytest.mark.parametrize("name", OF_REPLIES)
@pytest.mark.parametrize("pair", POOLED_PAIRS)
def test_counts_of_replies_agree_with_copies(pair: str, name: str) -> None:
    check(OF_REPLIES[name], PAIRS[pair], Form.PER_PROMPT)


@pytest.mark.parametrize("name", OF_EVEN_TABLES)
@pytest.mark.parametrize("pair", POOLED_PAIRS)
def test_studies_count_weights_as_copies(pair: str, name: str) -> None:
    check(OF_EVEN_TABLES[name], PAIRS[pair], Form.PER_PROMPT)


def test_palettes_of_a_study_ignore_held_out_prompts() -> None:
    """They depend on which palettes are trusted, and so on the evidence."""
    check(
        lambda table, oracle: [palette.targets for palette in graded_palettes(table, 5)],
        PAIRS["held out"],
        Form.PER_PROMPT,
    )


def test_halves_count_as_their_prompts_do() -> None:
    """The delivery over both halves is that of their prompts, each counted by its weight."""
    table = replace(of_counts([4] * 8), weights=np.array([5.0, 1, 1, 2, 9, 1, 3, 1]))
    plain = of_counts([4] * 8)
    fresh = replace(plain, rewards=plain.rewards * 1.2)
    nothing = np.full(3, np.nan)
    result = cross_fit_delivery(table, fresh, [nothing], halvings=2)
    counted = replace(fresh, weights=table.weights)
    for field, of in (("start", table), ("base", counted), ("scale", counted)):
        own = MemoryOracle.of(of)
        expected = own.scale if field == "scale" else own.base
        np.testing.assert_allclose(getattr(result, field), expected)
    # Without targets the weights are 0 and levels are those of the base model, over halves of unequal weight.
    np.testing.assert_allclose(result.forecast[0], MemoryOracle.of(table).base)
    np.testing.assert_allclose(result.realised[0], MemoryOracle.of(counted).base)
    apart = replace(table, held_out=np.arange(8) % 4 == 1)
    counted_prompts = np.flatnonzero(apart.counted).tolist()
    weighted_result, copied_result = (
        cross_fit_delivery(half, fresh.take(counted_prompts), [nothing], halvings=2)
        for half in (apart, table.take(counted_prompts))
    )
    np.testing.assert_allclose(weighted_result.realised, copied_result.realised)
    np.testing.assert_allclose(cross_fit_delivery(apart, fresh, [nothing], halvings=2).realised, copied_result.realised)


def test_weights_add_no_evidence() -> None:
    """The exception: copies would narrow error bars without more evidence."""
    weighted, copied = PAIRS["weights"]
    bars = [
        confidence(oracle, targets(table, oracle), draws=40)
        for table, oracle in ((table, MemoryOracle.of(table)) for table in (weighted, copied))
    ]
    assert [bar.prompts for bar in bars] == [6, 12]
    np.testing.assert_allclose(bars[0].levels.estimate, bars[1].levels.estimate, atol=1e-6)
    widths = [bar.levels.high - bar.levels.low for bar in bars]
    assert np.all(widths[0] > widths[1])


def test_held_out_prompts_are_no_evidence_of_a_drift() -> None:
    errors = []
    for table in PAIRS["held out"]:
        kinder = replace(table, rewards=table.rewards * 1.1)
        drifted = drift(table, kinder, np.asarray(resolve(ASKED, table, MemoryOracle.of(table))))
        errors.append((drifted.base.error, drifted.held.error, drifted.base.real, drifted.missed))
    for error, error_without_held_out in zip(*errors, strict=True):
        np.testing.assert_allclose(error, error_without_held_out, atol=1e-6)


def test_held_out_replies_are_no_extremes_and_no_examples() -> None:
    plain = of_counts([6] * 5)
    rewards = plain.rewards.copy()
    rewards[6:12] += np.array([[50.0], [-50.0]] * 3)  # the second prompt has the best and the worst replies
    table = replace(plain, rewards=rewards, held_out=np.arange(5) == 1)
    counted_rows = set(range(30)) - set(range(6, 12))
    for name in table.values:
        rows = [*value_profile(table, name).rungs, *(row for end in extreme_replies(table, name) for row in end)]
        assert {example.row for example in rows} <= counted_rows
        assert len(rows) > 6
    oracle = MemoryOracle.of(table)
    samples = draw_samples(table, oracle, X, wanted=5)
    assert {sample.example.prompt for sample in samples} == set(table.prompts) - {table.prompts[1]}
    for seed in range(3):
        pairs = choose_pairs(table, table.rewards[:, 0], 40, seed)
        assert {row for pair in pairs for row in (pair.first, pair.second)} <= counted_rows
    flattened = np.where(np.repeat(table.counted, 6)[:, None], 1.0, rewards)
    flat = replace(table, rewards=np.column_stack([flattened[:, 0], rewards[:, 1:]]))
    assert value_profile(flat, "humor").constant
    assert flat.notes[0].startswith("humor is the same for every reply")
