"""Tests of token-level advantages: their loss has its optimum at the tilt, with less noise than distillation."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from map_core.errors import InputError
from map_core.tuning.policy import Policy, ReplyBatch
from map_core.tuning.settings import TuningMethod, TuningSettings
from map_core.tuning.token_values import TokenValueFit, TokenValues, Trajectory, advantages
from tests.lazy import LazyModule, requires
from tests.tuning.test_laws import GAINS, TILT, whitened
from tests.tuning.toy_policy import (
    BASE,
    END,
    LENGTH,
    OUTCOMES,
    WORDS,
    divergence,
    examples,
    toy_policy,
)

if TYPE_CHECKING:
    from tests.tuning.toy_model import ToyPolicy

pytestmark = requires("requirements-tune.txt", "trl", "peft")
advantage, toy_model = LazyModule("map_core.tuning.advantage"), LazyModule("tests.tuning.toy_model")
SETTINGS = TuningSettings(TuningMethod.ADVANTAGE, steps=120, prompts=1, replies=64, learning_rate=0.1, value_replies=64)


def tabular(distribution: np.ndarray, trained: bool = True) -> ToyPolicy:
    plain = toy_policy(distribution)
    model = toy_model.TabularPolicy(toy_model.ToyConfig())
    model.model = toy_model.TabularBody(plain.model, plain.lm_head.weight.detach().T.clone())
    head = nn.Linear(WORDS + model.config.hidden_size, WORDS, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.cat([torch.eye(WORDS), torch.zeros(WORDS, model.config.hidden_size)], 1))
    model.lm_head = head.requires_grad_(False)
    return model.requires_grad_(trained).eval() if not trained else model.eval()


def policy_at(distribution: np.ndarray, stops=(END,)) -> Policy:
    return Policy(tabular(distribution), tabular(BASE, trained=False), stops, 1.0)


def outcome_distribution(policy: Policy) -> np.ndarray:
    """Return the distribution over outcomes, by enumerating them."""
    base_examples = examples(GAINS)
    outcomes = list(zip(base_examples.replies, base_examples.finished.tolist(), strict=True))
    batch = ReplyBatch.of(base_examples, [outcomes.index(outcome) for outcome in OUTCOMES])
    return policy.log_probs(policy.model, batch).exp().detach().double().numpy()


class ExactValues:
    """The exact values of beginnings, by enumerating all continuations."""

    explained = 1.0

    def __init__(self, gains: np.ndarray, error: float = 0.0) -> None:
        self.gains, self.error = gains, error

    def log_values(self, trajectory: Trajectory) -> np.ndarray:
        nodes = [int(row[WORDS:].argmax()) for row in trajectory.hidden]  # in the tree
        values = [self._value(node) for node in nodes]
        if trajectory.finished:
            values.append(float(self.gains[self._outcome(nodes[-1], True)]))
        return np.array(values) + self.error * np.sin([*nodes, 7 * trajectory.finished][: len(values)])

    def _words(self, node: int) -> tuple[int, ...]:
        words: list[int] = []
        while node:
            words.append((node - 1) % 2)
            node = (node - 1) // 2
        return tuple(reversed(words))

    def _outcome(self, node: int, ended: bool) -> int:
        return OUTCOMES.index((self._words(node), ended))

    def _value(self, node: int) -> float:
        words = self._words(node)
        inside = np.array([tokens[: len(words)] == words for tokens, _ in OUTCOMES])
        return float(np.log((BASE * np.exp(self.gains))[inside].sum() / BASE[inside].sum()))


def step_gradient(distribution: np.ndarray, gains: np.ndarray, folder, values=None, trace: float = 0.0) -> float:
    """Return the largest entry of the loss's gradient over all 64 base replies."""
    policy, base_examples = policy_at(distribution), examples(gains)
    base_examples = replace(base_examples, gains=gains_of_rows(gains))
    settings = replace(SETTINGS, trace=trace)
    trainer = advantage.advantage_trainer(policy, [base_examples], settings, values or ExactValues(gains), folder)
    trainer.compute_loss(policy.model, {"examples": base_examples, "rows": list(range(64))}).backward()
    return float(policy.model.model.table.grad.abs().max())


def gains_of_rows(gains: np.ndarray) -> np.ndarray:
    base_examples = examples(gains)
    outcomes = list(zip(base_examples.replies, base_examples.finished.tolist(), strict=True))
    return np.array([gains[OUTCOMES.index(outcome)] for outcome in outcomes])


@pytest.mark.parametrize("trace", [0.0, 0.5, 1.0])
def test_the_gradient_is_zero_at_the_tilt_and_not_at_similar_distributions(trace: float, tmp_path):
    assert step_gradient(TILT, GAINS, tmp_path, trace=trace) < 1e-5
    assert step_gradient(BASE, GAINS, tmp_path, trace=trace) > 1e-2
    assert step_gradient(TILT, whitened(GAINS), tmp_path, trace=trace) > 1e-2
    assert step_gradient(TILT, 10 * GAINS, tmp_path, trace=trace) > 1e-2


def test_with_trace_1_the_values_need_not_be_right(tmp_path):
    inexact = ExactValues(GAINS, error=0.5)
    assert step_gradient(TILT, GAINS, tmp_path, inexact, trace=1.0) < 1e-5
    assert step_gradient(TILT, GAINS, tmp_path, inexact, trace=0.0) > 1e-2


@pytest.mark.parametrize("trace", [0.0, 0.95, 1.0])
def test_training_from_the_base_model_reaches_the_tilt_with_fitted_values(trace: float, tmp_path):
    """Values are fitted by regression on the table's replies; a whitened reward does not reach the tilt."""

    def trained(gains: np.ndarray, name: str) -> np.ndarray:
        policy, base_examples, settings = policy_at(BASE), examples(gains), replace(SETTINGS, trace=trace)
        values = advantage.fit_values(policy, [base_examples], settings, LENGTH, penalties=(1e-6,))
        assert values.explained > 0.99
        advantage.advantage_trainer(policy, [base_examples], settings, values, tmp_path / name).train()
        return outcome_distribution(policy)

    reached = trained(GAINS, "a")
    assert divergence(reached, TILT) < 0.02
    assert divergence(TILT, reached) < 0.02
    if trace:  # with trace 0, errors of large fitted values bring a whitened reward to 0.017
        assert divergence(trained(whitened(GAINS), "b"), TILT) > 0.02


def test_the_gradient_of_few_replies_has_less_noise_than_that_of_distillation(tmp_path):
    """Each gradient is of four replies, at the tilt, where both gradients have mean 0."""
    base_examples = replace(examples(GAINS), gains=gains_of_rows(GAINS))
    trainer = advantage.advantage_trainer(policy_at(TILT), [base_examples], SETTINGS, ExactValues(GAINS), tmp_path)
    model, squares = trainer.model, {"advantage": 0.0, "distill": 0.0}
    weights = np.exp(base_examples.gains) / np.exp(base_examples.gains).mean()
    for rows in np.random.default_rng(0).permutation(64).reshape(16, 4).tolist():
        batch = ReplyBatch.of(base_examples, rows)
        plain = -(torch.tensor(weights[rows]) * policy_at_model(model).log_probs(model, batch)).mean()
        losses = {"advantage": trainer.compute_loss(model, {"examples": base_examples, "rows": rows}), "distill": plain}
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, [model.model.table])
            squares[name] += float((gradient**2).sum())
    assert squares["advantage"] < 0.5 * squares["distill"]


def policy_at_model(model: ToyPolicy) -> Policy:
    return Policy(model, None, (END,), 1.0)


def test_sums_over_the_vocabulary_are_those_of_the_logits():
    torch.manual_seed(0)
    base, change = torch.randn(300, 8), 0.3 * torch.randn(300, 8)
    change.requires_grad_()
    weight, targets = torch.randn(50, 8), torch.randint(0, 50, (300,))
    targets[::7] = -1
    stops = (3, 11)
    ratios, divergences = advantage.token_terms(change, base, weight, targets, stops, 0.7)
    before, after = ((states @ weight.T / 0.7).log_softmax(-1) for states in (base, base + change))
    divergence_of_logits = (before.exp() * (before - after)).sum(-1)
    drawn = (after - before).gather(-1, targets.clamp(min=0)[:, None])[:, 0]
    ends = after[:, list(stops)].logsumexp(-1) - before[:, list(stops)].logsumexp(-1)
    ratios_of_logits = torch.where(targets == -1, ends, drawn)
    assert torch.allclose(ratios, ratios_of_logits, atol=1e-5)
    assert torch.allclose(divergences, divergence_of_logits, atol=1e-5)
    loss = torch.randn(300)
    expected = torch.autograd.grad((loss * ratios + 2 * divergences).sum(), change, retain_graph=True)[0]
    by_logits = torch.autograd.grad((loss * ratios_of_logits + 2 * divergence_of_logits).sum(), change)[0]
    assert torch.allclose(expected, by_logits, atol=1e-4)


def test_advantages_by_hand():
    log_values = np.log([1.0, 2.0, 1.0])
    assert advantages(log_values, np.log(3.0), 0.0) == pytest.approx([1.0, -0.5])
    assert advantages(log_values, np.log(3.0), 1.0) == pytest.approx([2.0, 0.5])
    assert advantages(log_values, np.log(3.0), 0.5) == pytest.approx([0.5, -0.5])


def test_values_are_cross_fitted_by_prompt_and_can_be_saved():
    rng = np.random.default_rng(0)
    direction = rng.normal(size=6)
    names = [f"p{i}" for i in range(12)]

    def replies(name: str, sign: float) -> list[Trajectory]:
        hidden = [rng.normal(size=(20, 6)) for _ in range(8)]
        gains = np.array([sign * states[1:].mean(axis=0) @ direction for states in hidden])
        return [
            Trajectory(name, states_of_reply, True, gain)
            for states_of_reply, gain in zip(hidden, gains - gains.mean(), strict=True)
        ]

    reversed_replies = replies("p0", -1.0)  # opposite to those of all other prompts
    other_replies = {name: replies(name, 1.0) for name in names[1:]}

    def fitted(first_replies: list[Trajectory]) -> TokenValues:
        fit = TokenValueFit(names, 19, seed=0, penalties=(1e-3,))
        for of_prompt in (first_replies, *other_replies.values()):
            fit.add(of_prompt)
        return fit.solve()

    values = fitted(reversed_replies)
    ends = [values.log_values(trajectory)[-1] for trajectory in reversed_replies]
    assert np.corrcoef(ends, [trajectory.gain for trajectory in reversed_replies])[0, 1] < -0.9
    buffer = io.BytesIO()
    values.save(buffer)
    buffer.seek(0)
    loaded = TokenValues.load(buffer)
    assert loaded.log_values(reversed_replies[0]) == pytest.approx(values.log_values(reversed_replies[0]))
    assert loaded.explained == values.explained > 0.5


def test_a_model_whose_logits_are_not_its_output_layer_s_is_refused():
    policy, base_examples = policy_at(BASE), examples(GAINS)
    advantage.check_output_layer(policy, base_examples)
    forward = policy.model.lm_head.forward
    policy.model.lm_head.forward = lambda hidden: torch.tanh(forward(hidden))
    with pytest.raises(InputError, match="tune by --method pairs"):
        advantage.check_output_layer(policy, base_examples)
    policy.model.lm_head.weight.requires_grad_(True)
    with pytest.raises(InputError, match="--full"):
        policy.output_weight()
