"""Promises with a number: a walk by hand, laws, a simulation, the command, and what cannot be."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.confidence.certificate import Certificate, Outcome
from map_core.confidence.certify import certify, certify_held_out, certify_targets
from map_core.confidence.prompt_samples import PromptSample, table_samples
from map_core.confidence.ray_evidence import FACTORS, worst_level
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility.reply_distributions import worst_mix
from map_core.interface.table import Table
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.targets import percentiles
from map_core.text.promise import certificate_headline, certificate_rows, certificate_sentences
from map_core.text.units import Units
from map_core.text.wording import Wording
from tests.populations import certified
from tests.tables import make_table


def held_out(prompts: int = 120, share: int = 3, seed: int = 0) -> RewardTable:
    table = make_table(prompts=prompts, candidates=16, seed=seed)
    return replace(table, held_out=np.arange(prompts) % share == 0)


def certificate(table: RewardTable, targets: list[float], **settings: object) -> tuple[Oracle, Certificate]:
    oracle, seen, new = table_samples(table)
    return oracle, certify_targets(oracle, seen, new, np.array(targets), **settings)  # type: ignore[arg-type]


def straight(prompts: int, spread: float, low: float) -> PromptSample:
    """Prompts of which one has the level ``low`` and the others x plus and minus the spread."""
    signs = np.where(np.arange(prompts) % 2 == 0, 1.0, -1.0)[:, None]

    def at(x: np.ndarray) -> np.ndarray:
        levels = x + spread * signs
        if low < 0:
            levels[0] = low
        return levels

    return PromptSample(at, np.ones((prompts, 1)), np.array([[-9.0], [9.0]]), 4)


def test_the_walk_by_hand():
    """One value, levels s +- 0.1 on 40 new prompts, target 0.5: the bet and the smallest factor, written out."""
    oracle, _, _ = table_samples(held_out())
    one = oracle.standardise(oracle.base)[:1]  # zeros of one value
    seen, new = straight(41, 0.1, -1.0), straight(40, 0.1, 0.0)
    certificate = certify(_OneValue(), seen, new, np.ones(1), np.array([0.5]) + one)  # type: ignore[arg-type]
    assert certificate.outcome is Outcome.CERTIFIED
    assert certificate.first_factor == 2.0

    def shown(s: float) -> bool:
        levels = np.append(s + 0.1 * np.where(np.arange(1, 41) % 2 == 0, 1.0, -1.0), -1.0)
        bet = min(math.sqrt(2 * math.log(20) / 40) / levels.std(), 0.9 / 1.5)
        gaps = s + 0.1 * np.where(np.arange(40) % 2 == 0, 1.0, -1.0) - 0.5
        order = np.random.default_rng(0).permutation(40)
        return bool(np.cumsum(np.log1p(bet * gaps[order])).max() >= math.log(20))

    expected = min(s for s in FACTORS if all(shown(t) for t in FACTORS[s <= FACTORS]))
    assert certificate.factor == expected
    assert 0.55 < expected < 1.0
    assert certificate.promised == pytest.approx([0.5])


class _OneValue:
    """The part of an oracle that the walk asks: targets as they are, and nats."""

    def deviations(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def moments(self, x: np.ndarray) -> _OneValue:
        return self

    def kl(self, x: np.ndarray) -> float:
        return 0.0


def test_a_target_far_below_needs_no_weights_and_one_above_is_lowered():
    _, easy = certificate(held_out(), [np.nan, np.nan, -0.9, np.nan])
    assert (easy.outcome, easy.factor, easy.kl) == (Outcome.CERTIFIED, 0.0, 0.0)
    _, hard = certificate(held_out(), [np.nan, np.nan, 1.2, np.nan])
    assert hard.outcome is Outcome.LOWERED
    assert hard.promised[2] == pytest.approx(1.2 - hard.lowered)
    assert hard.promised[2] < hard.measured[2]
    assert np.isnan(hard.promised[[0, 1, 3]]).all()


def test_what_is_shown_was_shown_by_every_value():
    _, found = certificate(held_out(), [0.1, 0.1, 0.3, np.nan], over_base=True)
    assert found.outcome is Outcome.CERTIFIED
    assert (found.log_evidence[:3] >= math.log(20)).all()
    assert found.kl > 0
    assert (found.measured[:3] > found.promised[:3]).all()


def test_gains_are_shown_with_smaller_weights_than_levels():
    targets = [np.nan, np.nan, 0.4, np.nan]
    _, levels = certificate(held_out(240), targets)
    _, gains = certificate(held_out(240), targets, over_base=True)
    assert (levels.outcome, gains.outcome) == (Outcome.CERTIFIED, Outcome.CERTIFIED)
    assert gains.factor < levels.factor


def test_strict_clips_nothing_and_shows_less():
    targets = [np.nan, np.nan, 1.2, np.nan]
    _, loose = certificate(held_out(240), targets, over_base=True)
    _, strict = certificate(held_out(240), targets, over_base=True, strict=True)
    assert strict.clipped == 0
    assert (loose.outcome, strict.outcome) == (Outcome.CERTIFIED, Outcome.LOWERED)
    assert strict.lowered > loose.lowered


def test_a_promise_is_for_the_candidates_that_are_drawn():
    table = held_out()
    _, seen, new = table_samples(table, candidates=4)
    assert new.candidates == seen.candidates == 4
    assert len(new.mass) == 40
    # Few candidates reach less with the same weights, and the mean over subsets is the exact one.
    assert new.at(np.full(4, 2.0))[:, 2].mean() < table_samples(table)[2].at(np.full(4, 2.0))[:, 2].mean()
    with pytest.raises(InputError, match="promise for 17 candidates"):
        table_samples(table, candidates=17)


def test_numbers_of_another_mix_of_prompts_by_hand():
    """Levels 0 and 1 evenly: the worst mix within 0.130812 nats is (3/2, 1/2), as v ~ exp(-m log 3), level 1/4."""
    levels, mass = np.array([0.0, 1.0]), np.ones(2)
    theta, worst = worst_level(levels, mass, 0.130812)
    assert theta == pytest.approx(1 / math.log(3), abs=1e-3)
    assert worst == pytest.approx(0.25, abs=1e-6)
    # What is bet on has the mean 0 at the worst level itself, and with another theta it has less.
    for other in (theta, 0.5, 2.0):
        mean = np.mean(-other * np.expm1(0.130812 - (levels - 0.25) / other))
        assert mean <= 1e-6
        assert (mean > -1e-5) == (other == theta)
    rng = np.random.default_rng(0)
    levels, mass = rng.normal(size=60), rng.uniform(0.2, 2.0, 60)
    for rho in (0.01, 0.3):
        assert worst_level(levels, mass, rho)[1] == pytest.approx(worst_mix(levels, mass / mass.sum(), rho)[1])


def test_a_palette_for_any_mix_of_prompts_is_promised_under_any_mix():
    table = held_out(240)
    opened = Table(table, MemoryOracle.of(table))
    plain, targets, _ = opened.asked({"humor": "+0.3sd"})
    mixed, of_mix, _ = opened.asked({"humor": "+0.3sd"}, {"any_mix": 0.05})
    assert any(column.mix for column in mixed.rewards.derived)
    once = certify_held_out(plain.rewards, plain.oracle, targets)
    certificate = certify_held_out(mixed.rewards, mixed.oracle, of_mix, any_mix=0.05)
    less = certify_held_out(plain.rewards, plain.oracle, targets, any_mix=0.05)
    assert once is not None
    assert certificate is not None
    assert less is not None
    # The mixes have no targets of their own; their weights make up for the worse mix that is promised.
    assert np.flatnonzero(~np.isnan(certificate.targets)).tolist() == [table.index("humor")]
    assert certificate.outcome is Outcome.CERTIFIED
    assert certificate.kl > once.kl
    assert less.forecast[table.index("humor")] < once.forecast[table.index("humor")] * less.factor / once.factor
    said = certificate_sentences(certificate, Wording(numbers=False))[-1]
    assert "under other mixes of them (as far as the palette asks)" in said


def test_a_cohort_is_promised_for_the_weights_that_its_prompts_get():
    table = held_out(120)
    uneven = replace(table, held_out=np.isin(np.arange(120), np.flatnonzero(np.arange(120) % 3 == 0)[:30]))
    opened = Table(uneven, MemoryOracle.of(uneven))
    name = f"humor@{table.use_cases[0]}"
    asked, _, _ = opened.asked({name: "+0.4sd"})
    oracle, _, new = table_samples(asked.rewards)
    place = oracle.values.index(name)
    (column,) = asked.rewards.derived
    weights = np.zeros(len(oracle.values))
    weights[place] = 0.7  # lambda_G
    levels = oracle.rewards_at(new.at(weights * oracle.scale))[:, place]
    held = np.flatnonzero(uneven.held_out)
    members = np.array([table.use_cases[i] == table.use_cases[0] for i in held])
    assert members.mean() != pytest.approx(column.share)
    for i, level in zip(held[members], levels[members], strict=True):
        rewards = table.rewards[table.rows(int(i)), table.index("humor")]
        odds = np.exp(0.7 / column.share * (rewards - rewards.max()))
        assert level == pytest.approx(odds @ rewards / odds.sum())
    assert (new.mass[:, place] > 0).tolist() == members.tolist()
    without = replace(uneven, held_out=uneven.held_out & (np.array(table.use_cases) != table.use_cases[0]))
    with pytest.raises(InputError, match="None of the new prompts is of"):
        table_samples(Table(without, MemoryOracle.of(without)).asked({name: "+0.4sd"})[0].rewards)


def test_what_is_certain_is_not_lowered_for_what_is_not():
    """Of two targets the one with little spread stays whole where the other is lowered."""
    _, found = certificate(held_out(), [0.05, np.nan, 1.0, np.nan], over_base=True)
    assert found.outcome is Outcome.LOWERED
    lowered = (found.targets - found.promised)[[0, 2]]
    assert lowered.max() == pytest.approx(found.lowered)
    assert lowered.min() < found.lowered
    assert (lowered >= 0).all()
    assert "The hardest to show is" in " ".join(certificate_sentences(found, names=list("abcd")))


def test_certified_implies_held():
    """Palettes on tables drawn from a population: at most 5% of what is promised is false of all prompts."""
    certificates = certified(tables=60, prompts=96, new=96, over_base=True, seed=1)
    assert certificates.shown > 40
    assert certificates.broken <= 6  # 5% of 60 is 3; more than 6 has a probability of 3% at that rate


def test_what_cannot_be_certified_says_why():
    table = held_out()
    with pytest.raises(InputError, match="holds out no prompts"):
        table_samples(make_table())
    with pytest.raises(InputError, match="were solved on"):
        table_samples(table, make_table(prompts=40))
    with pytest.raises(InputError, match="expected 8 or more"):
        table_samples(replace(table, held_out=np.arange(120) < 3))
    with pytest.raises(InputError, match="No value has a target"):
        certificate(table, [np.nan] * 4)


def test_words_for_people_have_no_figures_of_the_method():
    table = held_out()
    oracle, seen, new = table_samples(table)
    units = Units(oracle, percentiles(table), "percentile", table.values, Wording(numbers=False))
    for target, outcome in ((-0.9, Outcome.CERTIFIED), (0.3, Outcome.CERTIFIED), (1.2, Outcome.LOWERED)):
        certificate = certify_targets(
            oracle, seen, new, np.array([np.nan, np.nan, target, np.nan]), over_base=target < 1
        )
        said = " ".join([certificate_headline(certificate), *certificate_sentences(certificate, units.wording)])
        assert certificate.outcome is outcome
        assert "drafts" in said
        assert not re.search(r"deviation|candidate|weights|lambda|nats", said)
        header, ((place, cells),) = certificate_rows(certificate, units)
        assert (place, len(cells)) == (2, len(header))
        assert float(cells[2]) <= float(cells[1])
    assert "only in part" in said


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.parquet"
    save(held_out(), path)
    targets = ["--target", "humor=+0.3sd", "--target", "positivity@Stories=-0.3sd"]
    assert main(["certify", str(path), *targets, "--over-base", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["outcome"] == "certified"
    assert described["promised"]["humor"] == pytest.approx(described["asked"]["humor"])
    assert described["measured"]["humor"] > described["promised"]["humor"]
    assert described["candidates"] == 16
    assert main(["certify", str(path), "--target", "humor=+0.3sd"]) == 0
    assert "chosen among 16 candidates" in capsys.readouterr().out
    assert main(["certify", str(path), "--target", "humor=+0.2sd", "--any-mix", "0.02", "--over-base"]) == 0
    assert "other mixes of them (within 0.02 nats of theirs)" in capsys.readouterr().out
    assert main(["certify", str(path), "--target", "humor=99"]) == 0
    assert "this is the nearest one" in capsys.readouterr().out
    # Fresh replies of a file: other prompts, with a column of their own numbers.
    other = make_table(prompts=40, candidates=8, seed=5)
    save(replace(other, prompts=tuple(f"Another {text}" for text in other.prompts)), tmp_path / "fresh.parquet")
    fresh = ["--fresh", str(tmp_path / "fresh.parquet")]
    assert main(["certify", str(path), *targets, *fresh, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == 8
    assert main(["certify", str(path), "--target", "humor=1", "--level", "2"]) == 2
    assert "expected a number between 0 and 1" in capsys.readouterr().err
