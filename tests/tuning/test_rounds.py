"""Tests of tuning in rounds: the targets are reached even with a trainer that falls short or overshoots.

The replies of the model can be enumerated: tuned on lambda it is the tilt by a fraction of lambda, as after a training
that stops early.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.tuned import RECORD
from map_core.tuning.check import LOG_RATIOS
from map_core.tuning.request import TuningRequest
from map_core.tuning.rounds import MOST_UP, Round, gains_of, next_weights, targeted_prompts, tune_in_rounds

VALUES = ("humor", "kindness")
PROMPTS, REPLIES = 6, 600
#: Rewards of all possible replies.
OUTCOMES = np.array([[0.0, 1.0], [1.0, 0.3], [-0.5, 0.8], [2.0, -0.4], [0.5, 0.1], [1.2, 1.5], [-1.0, 0.0]])


def table_of(mass: np.ndarray, spread: float = 0.0) -> RewardTable:
    """Return replies to each prompt in these shares, by largest remainders; prompts differ by twice ``spread``."""
    exact = mass * REPLIES
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: REPLIES - counts.sum()]] += 1
    rewards = np.tile(np.repeat(OUTCOMES, counts, axis=0), (PROMPTS, 1))
    rewards = rewards + np.repeat(spread * (-1.0) ** np.arange(PROMPTS), REPLIES)[:, None]
    return RewardTable(
        values=VALUES,
        rewards=rewards,
        offsets=np.arange(PROMPTS + 1) * REPLIES,
        prompt_ids=tuple(f"p{i}" for i in range(PROMPTS)),
        prompts=tuple(f"Question {i}?" for i in range(PROMPTS)),
        use_cases=("A",) * PROMPTS,
        metadata={LOG_RATIOS: [0.0] * len(rewards)},
    )


def tilt(lam: np.ndarray) -> np.ndarray:
    mass = np.exp(OUTCOMES @ lam)
    return mass / mass.sum()


def level(weights: dict[str, float], fraction: float = 1.0) -> np.ndarray:
    lam = np.array([weights.get(name, 0.0) for name in VALUES])
    return tilt(fraction * lam) @ OUTCOMES


class Trainer:
    """A trainer that writes a record, and whose model is the tilt by a fraction of lambda."""

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction
        self.tuned: list[dict[str, float]] = []

    def tune(self, request: TuningRequest) -> dict:
        self.tuned.append(dict(request.weights))
        request.out.mkdir(exist_ok=True)
        (request.out / "adapter.bin").write_text(json.dumps(request.weights))
        record = {
            "format": 1,
            "weights": dict(request.weights),
            "model": {"name": "toy", "sha256": "a"},
            "sampling": {"temperature": 1.0, "max_new_tokens": 2},
            "settings": {"rank": 1},
            "method": "pairs",
            "table": {"sha256": "", "prompts": PROMPTS},
            "held_out": [],
            "palette": {},
            "values": list(VALUES),
            "evidence": None,
            "p0": None,
        }
        (request.out / RECORD).write_text(json.dumps(record))
        return record

    def answer(self, folder: Path, record: dict, prompts: RewardTable) -> RewardTable:
        lam = np.array([record["weights"].get(name, 0.0) for name in VALUES])
        return table_of(tilt(self.fraction * lam), spread=0.01)  # so that intervals have a width


def run(trainer: Trainer, weights: dict[str, float], targets: dict[str, float], out: Path, rounds: int = 8):
    sentences: list[str] = []
    request = TuningRequest(table_of(np.full(7, 1 / 7)), weights, out)
    record = tune_in_rounds(request, targets, rounds, trainer.tune, trainer.answer, sentences.append)
    return record, sentences


@pytest.mark.parametrize("fraction", [0.4, 0.7, 1.6])
def test_rounds_reach_the_targets_with_a_trainer_that_falls_short_or_overshoots(fraction: float, tmp_path: Path):
    weights = {"humor": 0.8, "kindness": 0.6}
    targets = dict(zip(VALUES, (level(weights)).tolist(), strict=True))
    trainer = Trainer(fraction)
    record, sentences = run(trainer, weights, targets, tmp_path / "out")
    assert record["rounds"][0]["levels"]["humor"] != pytest.approx(targets["humor"], abs=0.05)
    assert "The targets hold." in sentences[-1]
    assert len(trainer.tuned) > 1
    # The weights that are tuned on are lambda divided by the fraction.
    for name in VALUES:
        assert record["tuned_on"][name] == pytest.approx(weights[name] / fraction, rel=0.06)
        assert record["rounds"][-1]["levels"][name] == pytest.approx(targets[name], abs=0.02)
    assert json.loads((tmp_path / "out" / "adapter.bin").read_text()) == trainer.tuned[-1]
    assert record["round"] == len(trainer.tuned)
    assert record["weights"] == weights


def test_an_exact_trainer_needs_one_round(tmp_path: Path):
    weights = {"humor": 0.8}
    targets = {"humor": float(level(weights)[0])}
    record, _ = run(Trainer(1.0), weights, targets, tmp_path / "out")
    assert len(record["rounds"]) == 1
    assert record["rounds"][0]["holds"]


def test_a_weight_that_is_not_needed_any_more_goes_to_zero(tmp_path: Path):
    # Humor costs kindness here; the target of kindness is below its base level.
    own_replies, base = table_of(tilt(np.array([0.5, 0.9]))), level({})
    current = Round(
        {"humor": 0.5, "kindness": 0.9},
        dict(zip(VALUES, level({"humor": 0.5, "kindness": 0.9}).tolist(), strict=True)),
        {"humor": 0.0, "kindness": 0.0},
        {"humor": float(base[0]) + 0.3, "kindness": float(base[1]) - 0.3},
    )
    weights = next_weights(own_replies, current)
    assert set(weights) == {"humor"}
    assert level(weights)[0] == pytest.approx(base[0] + 0.3, abs=0.02)


def test_an_unreachable_level_raises_a_weight_to_a_limit():
    own_replies = table_of(np.full(7, 1 / 7))
    current = Round({}, {"humor": 0.5}, {"humor": 0.0}, {"humor": 50.0})
    scale = own_replies.rewards[:, 0].std()
    assert next_weights(own_replies, current)["humor"] * scale == pytest.approx(MOST_UP, rel=0.05)


def test_a_level_above_the_target_is_a_miss_only_where_the_value_has_a_weight():
    def make_round(weights: dict[str, float], level: float) -> Round:
        return Round(weights, {"humor": level}, {"humor": 0.1}, {"humor": 1.0})

    assert make_round({}, 2.0).holds
    assert not make_round({"humor": 0.5}, 2.0).holds
    assert make_round({"humor": 0.5}, 1.05).holds
    assert make_round({"humor": 0.5}, 0.8).missed("humor") == pytest.approx(0.1)


def test_unread_replies_reduce_the_variance_of_gains():
    lam, rng, first, count = np.array([0.4, 0.3]), np.random.default_rng(3), 4, 16
    base_mass, tuned_mass = np.full(7, 1 / 7), tilt(lam)
    ratio = np.log(tuned_mass / base_mass)
    exact = (tuned_mass - base_mass) @ OUTCOMES

    def sample(mass: np.ndarray, replies: int) -> tuple[RewardTable, np.ndarray]:
        outcomes = rng.choice(7, size=(PROMPTS, replies), p=mass)
        table = replace(
            table_of(mass),
            rewards=OUTCOMES[outcomes.ravel()],
            offsets=np.arange(PROMPTS + 1) * replies,
            metadata={LOG_RATIOS: ratio[outcomes.ravel()].tolist()},
        )
        return table, ratio[outcomes]

    pooled, without_unread = [], []
    for _ in range(200):
        (base, ratios), (own_replies, _) = sample(base_mass, 24), sample(tuned_mass, 8)
        unread = dict(zip(base.prompt_ids, ratios[:, first : first + count], strict=True))
        pooled.append(gains_of(base, own_replies, unread, first).mean(axis=0))
        without_unread.append(gains_of(base, own_replies, {}, first).mean(axis=0))
    assert np.mean(without_unread, axis=0) == pytest.approx(exact, abs=0.03)
    assert np.mean(pooled, axis=0) == pytest.approx(exact, abs=0.03)
    assert np.all(np.std(pooled, axis=0) < 0.6 * np.std(without_unread, axis=0))


def test_a_value_with_a_weight_and_without_a_clear_gain_does_not_hold():
    def make_round(gain: float, weight: float = 0.5) -> Round:
        return Round({"humor": weight}, {"humor": 1.0}, {"humor": 0.1}, {"humor": 1.05}, gains={"humor": gain})

    assert make_round(0.2).holds
    assert not make_round(0.05).holds
    assert make_round(0.05, weight=0.0).holds


def test_the_round_that_misses_least_is_kept_and_a_finished_tuning_is_not_repeated(tmp_path: Path):
    weights = {"humor": 0.8}
    targets = {"humor": float(level(weights)[0])}
    trainer = Trainer(0.2)
    record, _ = run(trainer, weights, targets, tmp_path / "out", rounds=2)
    assert len(record["rounds"]) == record["round"] == 2
    assert not (tmp_path / "out" / "round-3").exists()
    repeated, sentences = run(trainer, weights, targets, tmp_path / "out", rounds=2)
    assert repeated == record
    assert "finished already" in sentences[0]
    assert len(trainer.tuned) == 2


def test_a_finished_tuning_in_rounds_is_repeated_on_request(tmp_path: Path):
    weights, out = {"humor": 0.8}, tmp_path / "out"
    targets = {"humor": float(level(weights)[0])}
    run(Trainer(0.2), weights, targets, out, rounds=3)
    request = TuningRequest(table_of(np.full(7, 1 / 7)), weights, out, fresh=True)
    trainer = Trainer(1.0)
    record = tune_in_rounds(request, targets, 3, trainer.tune, trainer.answer, lambda sentence: None)
    assert len(record["rounds"]) == len(trainer.tuned) == 1
    assert not (out / "round-2").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"other files \(thesis.txt\)"):
        tune_in_rounds(
            TuningRequest(request.table, weights, tmp_path / "mine", fresh=True),
            *(targets, 1, trainer.tune, trainer.answer, lambda sentence: None),
        )


def test_missing_targets_and_a_folder_with_other_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="Rounds need targets"):
        run(Trainer(1.0), {"humor": 1.0}, {}, tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"other files \(thesis.txt\)"):
        run(Trainer(1.0), {"humor": 1.0}, {"humor": 1.0}, tmp_path / "other")


def test_rounds_use_only_the_prompts_that_are_tuned_on():
    table = replace(table_of(np.full(7, 1 / 7)), held_out=np.array([True, False, False, True, False, False]))
    assert targeted_prompts(table).prompt_ids == ("p1", "p2", "p4", "p5")
