"""Tests of certified promises: by hand, general properties, a simulation, the command, and bad input."""

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
    oracle, known_prompts, new_prompts = table_samples(table)
    return oracle, certify_targets(oracle, known_prompts, new_prompts, np.array(targets), **settings)  # type: ignore[arg-type]


def linear_sample(prompts: int, spread: float, low: float) -> PromptSample:
    """Return prompts with the levels x plus and minus the spread; the first one has the level ``low`` if negative."""
    signs = np.where(np.arange(prompts) % 2 == 0, 1.0, -1.0)[:, None]

    def at(x: np.ndarray) -> np.ndarray:
        levels = x + spread * signs
        if low < 0:
            levels[0] = low
        return levels

    return PromptSample(at, np.ones((prompts, 1)), np.array([[-9.0], [9.0]]), 4)


def test_certified_factor_by_hand():
    """One value, levels s +- 0.1 on 40 new prompts, target 0.5: the bet and the smallest factor, written out."""
    oracle, _, _ = table_samples(held_out())
    zero = oracle.standardise(oracle.base)[:1]  # zeros of one value
    known_prompts, new_prompts = linear_sample(41, 0.1, -1.0), linear_sample(40, 0.1, 0.0)
    certificate = certify(_OneValue(), known_prompts, new_prompts, np.ones(1), np.array([0.5]) + zero)  # type: ignore[arg-type]
    assert certificate.outcome is Outcome.CERTIFIED
    assert certificate.first_factor == 2.0

    def is_shown(s: float) -> bool:
        levels = np.append(s + 0.1 * np.where(np.arange(1, 41) % 2 == 0, 1.0, -1.0), -1.0)
        bet = min(math.sqrt(2 * math.log(20) / 40) / levels.std(), 0.9 / 1.5)
        gaps = s + 0.1 * np.where(np.arange(40) % 2 == 0, 1.0, -1.0) - 0.5
        order = np.random.default_rng(0).permutation(40)
        return bool(np.cumsum(np.log1p(bet * gaps[order])).max() >= math.log(20))

    expected = min(s for s in FACTORS if all(is_shown(t) for t in FACTORS[s <= FACTORS]))
    assert certificate.factor == expected
    assert 0.55 < expected < 1.0
    assert certificate.promised == pytest.approx([0.5])


class _OneValue:
    """A stub of the oracle with the methods that certify() calls: it returns targets unchanged, and 0 nats."""

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


def test_certificate_needs_evidence_for_every_value():
    _, result = certificate(held_out(), [0.1, 0.1, 0.3, np.nan], over_base=True)
    assert result.outcome is Outcome.CERTIFIED
    assert (result.log_evidence[:3] >= math.log(20)).all()
    assert result.kl > 0
    assert (result.measured[:3] > result.promised[:3]).all()


def test_gains_are_shown_with_smaller_weights_than_levels():
    targets = [np.nan, np.nan, 0.4, np.nan]
    _, for_levels = certificate(held_out(240), targets)
    _, for_gains = certificate(held_out(240), targets, over_base=True)
    assert (for_levels.outcome, for_gains.outcome) == (Outcome.CERTIFIED, Outcome.CERTIFIED)
    assert for_gains.factor < for_levels.factor


def test_strict_mode_clips_nothing_and_certifies_less():
    targets = [np.nan, np.nan, 1.2, np.nan]
    _, loose = certificate(held_out(240), targets, over_base=True)
    _, strict = certificate(held_out(240), targets, over_base=True, strict=True)
    assert strict.clipped == 0
    assert (loose.outcome, strict.outcome) == (Outcome.CERTIFIED, Outcome.LOWERED)
    assert strict.lowered > loose.lowered


def test_promise_depends_on_the_number_of_candidates():
    table = held_out()
    _, known_prompts, new_prompts = table_samples(table, candidates=4)
    assert new_prompts.candidates == known_prompts.candidates == 4
    assert len(new_prompts.mass) == 40
    # With the same weights, fewer candidates reach lower levels; the mean over subsets is exact.
    assert new_prompts.at(np.full(4, 2.0))[:, 2].mean() < table_samples(table)[2].at(np.full(4, 2.0))[:, 2].mean()
    with pytest.raises(InputError, match="promise for 17 candidates"):
        table_samples(table, candidates=17)


def test_worst_mix_of_prompts_by_hand():
    """Levels 0 and 1 evenly: the worst mix within 0.130812 nats is (3/2, 1/2), as v ~ exp(-m log 3), level 1/4."""
    levels, mass = np.array([0.0, 1.0]), np.ones(2)
    theta, worst = worst_level(levels, mass, 0.130812)
    assert theta == pytest.approx(1 / math.log(3), abs=1e-3)
    assert worst == pytest.approx(0.25, abs=1e-6)
    # The variable that is bet on has mean 0 at the worst level, and a lower mean for any other theta.
    for trial_theta in (theta, 0.5, 2.0):
        mean = np.mean(-trial_theta * np.expm1(0.130812 - (levels - 0.25) / trial_theta))
        assert mean <= 1e-6
        assert (mean > -1e-5) == (trial_theta == theta)
    rng = np.random.default_rng(0)
    levels, mass = rng.normal(size=60), rng.uniform(0.2, 2.0, 60)
    for rho in (0.01, 0.3):
        assert worst_level(levels, mass, rho)[1] == pytest.approx(worst_mix(levels, mass / mass.sum(), rho)[1])


def test_palette_for_any_mix_is_certified_under_any_mix():
    table = held_out(240)
    table_interface = Table(table, MemoryOracle.of(table))
    plain, targets, _ = table_interface.asked({"humor": "+0.3sd"})
    with_mixes, targets_with_mixes, _ = table_interface.asked({"humor": "+0.3sd"}, {"any_mix": 0.05})
    assert any(column.mix for column in with_mixes.rewards.derived)
    plain_certificate = certify_held_out(plain.rewards, plain.oracle, targets)
    certificate = certify_held_out(with_mixes.rewards, with_mixes.oracle, targets_with_mixes, any_mix=0.05)
    any_mix_certificate = certify_held_out(plain.rewards, plain.oracle, targets, any_mix=0.05)
    assert plain_certificate is not None
    assert certificate is not None
    assert any_mix_certificate is not None
    # Mixes have no targets of their own; their weights compensate for the worse mix that the promise covers.
    assert np.flatnonzero(~np.isnan(certificate.targets)).tolist() == [table.index("humor")]
    assert certificate.outcome is Outcome.CERTIFIED
    assert certificate.kl > plain_certificate.kl
    assert (
        any_mix_certificate.forecast[table.index("humor")]
        < plain_certificate.forecast[table.index("humor")] * any_mix_certificate.factor / plain_certificate.factor
    )
    sentence = certificate_sentences(certificate, Wording(numbers=False))[-1]
    assert "under other mixes of them (as far as the palette asks)" in sentence


def test_cohort_is_certified_with_the_weights_of_its_prompts():
    table = held_out(120)
    uneven = replace(table, held_out=np.isin(np.arange(120), np.flatnonzero(np.arange(120) % 3 == 0)[:30]))
    table_interface = Table(uneven, MemoryOracle.of(uneven))
    name = f"humor@{table.use_cases[0]}"
    with_cohort, _, _ = table_interface.asked({name: "+0.4sd"})
    oracle, _, new_prompts = table_samples(with_cohort.rewards)
    column_index = oracle.values.index(name)
    (column,) = with_cohort.rewards.derived
    weights = np.zeros(len(oracle.values))
    weights[column_index] = 0.7  # lambda_G
    levels = oracle.rewards_at(new_prompts.at(weights * oracle.scale))[:, column_index]
    held_out_prompts = np.flatnonzero(uneven.held_out)
    members = np.array([table.use_cases[i] == table.use_cases[0] for i in held_out_prompts])
    assert members.mean() != pytest.approx(column.share)
    for i, level in zip(held_out_prompts[members], levels[members], strict=True):
        rewards = table.rewards[table.rows(int(i)), table.index("humor")]
        odds = np.exp(0.7 / column.share * (rewards - rewards.max()))
        assert level == pytest.approx(odds @ rewards / odds.sum())
    assert (new_prompts.mass[:, column_index] > 0).tolist() == members.tolist()
    without_cohort = replace(uneven, held_out=uneven.held_out & (np.array(table.use_cases) != table.use_cases[0]))
    with pytest.raises(InputError, match="None of the new prompts is of"):
        table_samples(Table(without_cohort, MemoryOracle.of(without_cohort)).asked({name: "+0.4sd"})[0].rewards)


def test_certain_targets_are_lowered_less_than_uncertain_ones():
    """Of two targets, the one with little spread is lowered less than the other."""
    _, result = certificate(held_out(), [0.05, np.nan, 1.0, np.nan], over_base=True)
    assert result.outcome is Outcome.LOWERED
    lowered = (result.targets - result.promised)[[0, 2]]
    assert lowered.max() == pytest.approx(result.lowered)
    assert lowered.min() < result.lowered
    assert (lowered >= 0).all()
    assert "The hardest to show is" in " ".join(certificate_sentences(result, names=list("abcd")))


def test_certified_levels_hold_in_the_population():
    """Tables are sampled from a population: at most 5% of the certified promises fail on all its prompts."""
    certificates = certified(tables=60, prompts=96, new=96, over_base=True, seed=1)
    assert certificates.shown > 40
    assert certificates.broken <= 6  # 5% of 60 is 3; more than 6 has a probability of 3% at that rate


def test_error_messages_of_impossible_certificates():
    table = held_out()
    with pytest.raises(InputError, match="holds out no prompts"):
        table_samples(make_table())
    with pytest.raises(InputError, match="were solved on"):
        table_samples(table, make_table(prompts=40))
    with pytest.raises(InputError, match="expected 8 or more"):
        table_samples(replace(table, held_out=np.arange(120) < 3))
    with pytest.raises(InputError, match="No value has a target"):
        certificate(table, [np.nan] * 4)


def test_plain_wording_has_no_technical_terms():
    table = held_out()
    oracle, known_prompts, new_prompts = table_samples(table)
    units = Units(oracle, percentiles(table), "percentile", table.values, Wording(numbers=False))
    for target, outcome in ((-0.9, Outcome.CERTIFIED), (0.3, Outcome.CERTIFIED), (1.2, Outcome.LOWERED)):
        certificate = certify_targets(
            oracle, known_prompts, new_prompts, np.array([np.nan, np.nan, target, np.nan]), over_base=target < 1
        )
        text = " ".join([certificate_headline(certificate), *certificate_sentences(certificate, units.wording)])
        assert certificate.outcome is outcome
        assert "drafts" in text
        assert not re.search(r"deviation|candidate|weights|lambda|nats", text)
        header, ((value, cells),) = certificate_rows(certificate, units)
        assert (value, len(cells)) == (2, len(header))
        assert float(cells[2]) <= float(cells[1])
    assert "only in part" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.parquet"
    save(held_out(), path)
    targets = ["--target", "humor=+0.3sd", "--target", "positivity@Stories=-0.3sd"]
    assert main(["certify", str(path), *targets, "--over-base", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["outcome"] == "certified"
    assert output["promised"]["humor"] == pytest.approx(output["asked"]["humor"])
    assert output["measured"]["humor"] > output["promised"]["humor"]
    assert output["candidates"] == 16
    assert main(["certify", str(path), "--target", "humor=+0.3sd"]) == 0
    assert "chosen among 16 candidates" in capsys.readouterr().out
    assert main(["certify", str(path), "--target", "humor=+0.2sd", "--any-mix", "0.02", "--over-base"]) == 0
    assert "other mixes of them (within 0.02 nats of theirs)" in capsys.readouterr().out
    assert main(["certify", str(path), "--target", "humor=99"]) == 0
    assert "this is the nearest one" in capsys.readouterr().out
    # Fresh replies from a file: other prompts, with their own number of candidates.
    other_table = make_table(prompts=40, candidates=8, seed=5)
    save(
        replace(other_table, prompts=tuple(f"Another {text}" for text in other_table.prompts)),
        tmp_path / "fresh.parquet",
    )
    fresh = ["--fresh", str(tmp_path / "fresh.parquet")]
    assert main(["certify", str(path), *targets, *fresh, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == 8
    assert main(["certify", str(path), "--target", "humor=1", "--level", "2"]) == 2
    assert "expected a number between 0 and 1" in capsys.readouterr().err
