"""Tests that the tilt is the optimum of every method, unless rewards are whitened, on a model with few replies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from map_core.core.types import SamplingSettings
from map_core.tuning.losses import LOSSES, loss_of_base
from map_core.tuning.policy import Policy, ReplyBatch
from map_core.tuning.settings import TuningMethod, TuningSettings
from tests.lazy import LazyModule, requires
from tests.tuning.toy_policy import (
    BASE,
    END,
    LENGTH,
    OUTCOMES,
    PROMPT,
    REWARDS,
    WEIGHTS,
    distribution_of,
    divergence,
    examples,
    tilted,
    toy_policy,
)

pytestmark = requires("requirements-tune.txt", "trl", "peft")
offline_training, online_training = (LazyModule(f"map_core.tuning.{name}") for name in ("offline", "online"))
OFFLINE = list(LOSSES)
GAINS = REWARDS @ WEIGHTS
TILT = tilted(GAINS)


def whitened(gains: np.ndarray) -> np.ndarray:
    """Return rewards divided by their standard deviation, as many trainers do."""
    return gains / np.sqrt((BASE * (gains - BASE @ gains) ** 2).sum())


def policy_at(distribution: np.ndarray, temperature: float = 1.0) -> Policy:
    """Return a policy with a distribution, and with the base model as its reference."""
    model = toy_policy(distribution)
    return Policy(model, toy_policy(BASE).requires_grad_(False), (END,), temperature)


def gradient(method: TuningMethod, distribution: np.ndarray, gains: np.ndarray) -> float:
    """Return the largest entry of a loss's gradient over all 64 base replies."""
    policy, base_examples = policy_at(distribution), examples(gains)
    batch = ReplyBatch.of(base_examples, range(len(base_examples.replies)))
    loss = LOSSES[method](
        policy.log_probs(policy.model, batch), policy.base_log_probs(batch), torch.tensor(base_examples.gains).float()
    )
    loss.backward()
    return float(policy.model.lm_head.weight.grad.abs().max())


def trained(method: TuningMethod, gains: np.ndarray, folder, steps: int = 120) -> np.ndarray:
    """Return the distribution that training from p0 reaches."""
    policy = policy_at(BASE)
    settings = TuningSettings(method, steps=steps, prompts=1, replies=64, learning_rate=0.1, rank=0)
    offline_training.offline_trainer(policy, [examples(gains)], settings, folder).train()
    return distribution_of(policy.model)


def test_the_toy_has_the_distribution_that_it_was_made_with():
    assert pytest.approx(1.0) == TILT.sum()
    for distribution in (BASE, TILT):
        policy, base_examples = policy_at(distribution), examples(GAINS)
        log_probs = policy.log_probs(policy.model, ReplyBatch.of(base_examples, range(64))).exp().tolist()
        by_outcome = {
            (reply, bool(end)): p
            for reply, end, p in zip(base_examples.replies, base_examples.finished, log_probs, strict=True)
        }
        assert [by_outcome[outcome] for outcome in OUTCOMES] == pytest.approx(distribution, rel=1e-5)
        assert distribution_of(policy.model) == pytest.approx(distribution, rel=1e-5)


@pytest.mark.parametrize("method", OFFLINE)
def test_the_gradient_is_zero_at_the_tilt_and_not_at_similar_distributions(method: TuningMethod):
    assert gradient(method, TILT, GAINS) < 1e-6
    assert gradient(method, BASE, GAINS) > 1e-2
    assert gradient(method, TILT, whitened(GAINS)) > 1e-2
    assert gradient(method, TILT, 10 * GAINS) > 1e-2  # the tilt for beta 0.1


def test_the_loss_of_the_base_model_is_computed_without_a_model():
    policy, base_examples = policy_at(BASE), examples(GAINS)
    batch = ReplyBatch.of(base_examples, range(64))
    log_probs, gains = policy.base_log_probs(batch), torch.tensor(base_examples.gains).float()
    for method in (TuningMethod.PAIRS, TuningMethod.DPO):
        loss = LOSSES[method](log_probs, log_probs, gains).item()
        base_loss = loss_of_base(method, [base_examples.gains])
        assert loss == pytest.approx(base_loss, rel=1e-5)
    assert loss_of_base(TuningMethod.DISTILL, [base_examples.gains]) is None


@pytest.mark.parametrize("method", OFFLINE)
def test_training_from_the_base_model_reaches_the_tilt(method: TuningMethod, tmp_path):
    assert divergence(TILT, BASE) > 0.15
    reached = trained(method, GAINS, tmp_path / "a")
    assert divergence(reached, TILT) < 0.02
    assert divergence(TILT, reached) < 0.02
    # A whitened reward does not reach it, so this test can fail.
    assert divergence(trained(method, whitened(GAINS), tmp_path / "b"), TILT) > 0.02


@pytest.mark.parametrize("method", OFFLINE)
def test_a_constant_and_a_rescaled_value_with_a_rescaled_weight_change_nothing(method: TuningMethod, tmp_path):
    plain = trained(method, GAINS, tmp_path / "a", steps=20)
    shifted = trained(method, (REWARDS + np.array([1e4, -3.0])) @ WEIGHTS, tmp_path / "b", steps=20)
    rescaled = trained(method, (REWARDS * [1000.0, 0.01]) @ (WEIGHTS / [1000.0, 0.01]), tmp_path / "c", steps=20)
    assert shifted == pytest.approx(plain, abs=1e-4)
    assert rescaled == pytest.approx(plain, abs=1e-4)


def test_the_temperature_is_part_of_the_model():
    """At temperature T the model whose logits are T log p has the distribution p."""
    model = toy_policy(TILT)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.7)
    policy, base_examples = Policy(model, toy_policy(BASE), (END,), 0.7), examples(GAINS)
    log_probs = policy.log_probs(model, ReplyBatch.of(base_examples, [0, 6]))
    assert log_probs.exp().tolist() == pytest.approx([TILT[0], TILT[1]], rel=1e-5)


def test_a_reply_ends_by_any_of_the_tokens_that_end_a_turn():
    policy = policy_at(BASE)
    with_two_ends = Policy(policy.model, policy.reference, (1, END), 1.0)
    batch = ReplyBatch.of(examples(GAINS), [0])
    probability = policy.log_probs(policy.model, batch).exp().item()
    first_b = sum(p for (tokens, _), p in zip(OUTCOMES, BASE, strict=True) if tokens[:1] == (1,))
    assert with_two_ends.log_probs(policy.model, batch).exp().item() == pytest.approx(probability + first_b, rel=1e-5)


# Online: TRL's trainer with the same model.


def toy_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<end>": END, "?": PROMPT}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<end>")


def online(
    start: np.ndarray, folder, weights=(0.8, 0.6), rewards=REWARDS, *, steps=1, rate=1e-9, replies=16, **options
):
    """Return TRL's trainer of a model with a distribution, and with the base model as its reference."""
    toy_policy(BASE, folder / "base")
    model = toy_policy(start)
    model.config._name_or_path = str(folder / "base")
    settings = TuningSettings(TuningMethod.RLOO, steps=steps, prompts=4, replies=replies, learning_rate=rate, rank=0)
    sampling = SamplingSettings(max_new_tokens=LENGTH)

    def value(column: int):
        def reward(prompts, completions, completion_ids, **columns) -> list[float]:
            outcomes = [(tuple(t for t in ids if t != END), END in ids) for ids in completion_ids]
            return [float(rewards[OUTCOMES.index(outcome), column]) for outcome in outcomes]

        reward.__name__ = f"value_{column}"
        return reward

    arguments = online_training.rloo_settings(
        settings, sampling, weights, folder / "out", **({"max_grad_norm": 1e9} | options)
    )
    import transformers

    from tests.tuning.toy_model import ToyPolicy

    transformers.ToyPolicy = ToyPolicy  # TRL looks there; its first import replaces the lazy module of transformers
    return online_training.rloo_trainer(model, toy_tokenizer(), ["?"] * 4, [value(0), value(1)], arguments)


def gradient_norm(start: np.ndarray, folder, *arguments, **options) -> float:
    """Return the gradient's norm in one step, as the trainer logs it."""
    trainer = online(start, folder, *arguments, **options)
    assert constants.HF_HUB_DISABLE_TELEMETRY  # else TRL would report its use
    trainer.train()
    (row,) = [row for row in trainer.state.log_history if "grad_norm" in row]
    assert {"rewards/value_0/mean", "rewards/value_1/mean"} <= set(row)
    return float(row["grad_norm"])


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of TRL, about names of transformers
def test_online_the_gradient_is_zero_at_the_tilt_on_every_draw(tmp_path):
    assert gradient_norm(TILT, tmp_path / "tilt") < 1e-5
    assert gradient_norm(BASE, tmp_path / "base") > 1e-2
    shifted = gradient_norm(TILT, tmp_path / "shift", rewards=REWARDS + np.array([7.0, -3.0]))
    rescaled = gradient_norm(TILT, tmp_path / "scale", (0.8 / 100, 0.6 * 4), REWARDS * [100.0, 0.25])
    assert max(shifted, rescaled) < 1e-5
    assert gradient_norm(TILT, tmp_path / "beta", beta=0.1) > 1e-2
    scaled = whitened(REWARDS @ WEIGHTS)[:, None] * [1.0, 0.0]
    assert gradient_norm(TILT, tmp_path / "white", (1.0, 0.0), scaled) > 1e-2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_online_training_from_the_base_model_reaches_the_tilt(tmp_path):
    trainer = online(BASE, tmp_path, steps=80, rate=0.05, replies=32)
    trainer.train()
    assert divergence(distribution_of(trainer.model), TILT) < 0.02
    json.dumps(trainer.state.log_history, default=str)


# The base model of the trainer.


@pytest.mark.parametrize(("top_p", "top_k"), [(0.6, 0), (1.0, 1), (0.6, 2)])
def test_the_divergence_of_a_truncated_table_is_that_of_its_distribution(top_p: float, top_k: int):
    """KL(table || base model) by enumerating all replies, with the table's distribution truncated at each token."""
    from map_core.tuning.sampling import cut_mass

    policy, base_examples = policy_at(BASE), examples(GAINS)
    outcomes = list(zip(base_examples.replies, base_examples.finished.tolist(), strict=True))
    numbers = [outcomes.index(outcome) for outcome in OUTCOMES]
    sampling = SamplingSettings(top_p=top_p, top_k=top_k, max_new_tokens=LENGTH)
    log_masses = cut_mass(policy, ReplyBatch.of(base_examples, numbers), sampling).numpy()
    conditionals = policy.model.lm_head.weight.detach().double().softmax(0).numpy()
    expected, truncated = [], []
    for (tokens, ended), p in zip(OUTCOMES, BASE, strict=True):
        state, mass, possible = 0, 1.0, True
        for token in (*tokens, END)[: LENGTH if not ended else None]:
            order = np.argsort(-conditionals[:, state])[: top_k or None]
            shares = conditionals[order, state] / conditionals[order, state].sum()
            words = order[: int(np.sum(np.cumsum(shares) - shares < top_p))]
            possible &= token in words
            mass *= conditionals[words, state].sum()
            state = 2 * state + token + 1 if token != END else state
        expected.append(np.log(mass))
        truncated.append(p / mass if possible else 0.0)
    assert log_masses == pytest.approx(expected, abs=1e-6)
    table = np.array(truncated)
    assert table.sum() == pytest.approx(1.0)
    support = table > 0
    kl = float((table[support] * np.log(table[support] / BASE[support])).sum())
    assert -float((table * log_masses).sum()) == pytest.approx(kl, abs=1e-6)
    assert kl > 0.05


def test_prompts_are_scheduled_in_epochs_or_by_their_weights():
    from map_core.tuning.offline import Schedule

    prompts = [examples(GAINS) for _ in range(5)]
    settings = TuningSettings(steps=5, prompts=2, replies=4)
    drawn = [id(Schedule(prompts, settings)[number][0]) for number in range(10)]
    assert len(set(drawn[:5])) == len(set(drawn[5:])) == 5
    rows = [Schedule(prompts, settings)[number][1] for number in range(10)]
    assert rows == [Schedule(prompts, settings)[number][1] for number in range(10)]
    assert all(len(set(chosen)) == 4 for chosen in rows)
    assert len({tuple(chosen) for chosen in rows}) > 5
    weighted = Schedule(prompts, TuningSettings(steps=100, prompts=1), np.array([0.0, 1.0, 3.0, 0.0, 0.0]))
    counts = [sum(weighted[number][0] is prompt for number in range(100)) for prompt in prompts]
    assert counts[0] == counts[3] == counts[4] == 0
    assert 10 < counts[1] < 45
