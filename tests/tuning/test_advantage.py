"""Token-level advantages: their loss has the tilt as its optimum, with less noise than plain distillation has."""

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
from tests.lazy import LazyModule, needs
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

pytestmark = needs("requirements-tune.txt", "trl", "peft")
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


def arrived_at(policy: Policy) -> np.ndarray:
    """The distribution over outcomes, by going through them."""
    given = examples(GAINS)
    outcomes = list(zip(given.replies, given.finished.tolist(), strict=True))
    batch = ReplyBatch.of(given, [outcomes.index(outcome) for outcome in OUTCOMES])
    return policy.log_probs(policy.model, batch).exp().detach().double().numpy()


class ExactValues:
    """The values of beginnings, by going through all that can follow."""

    explained = 1.0

    def __init__(self, gains: np.ndarray, wrong: float = 0.0) -> None:
        self.gains, self.wrong = gains, wrong

    def log_values(self, one: Trajectory) -> np.ndarray:
        tokens = [int(row[WORDS:].argmax()) for row in one.hidden]  # places in the tree
        values = [self._value(place) for place in tokens]
        if one.finished:
            values.append(float(self.gains[self._outcome(tokens[-1], True)]))
        return np.array(values) + self.wrong * np.sin([*tokens, 7 * one.finished][: len(values)])

    def _words(self, place: int) -> tuple[int, ...]:
        words: list[int] = []
        while place:
            words.append((place - 1) % 2)
            place = (place - 1) // 2
        return tuple(reversed(words))

    def _outcome(self, place: int, ended: bool) -> int:
        return OUTCOMES.index((self._words(place), ended))

    def _value(self, place: int) -> float:
        words = self._words(place)
        inside = np.array([tokens[: len(words)] == words for tokens, _ in OUTCOMES])
        return float(np.log((BASE * np.exp(self.gains))[inside].sum() / BASE[inside].sum()))


def step_gradient(distribution: np.ndarray, gains: np.ndarray, folder, values=None, trace: float = 0.0) -> float:
    """The largest entry of the loss's gradient over all 64 base replies."""
    policy, given = policy_at(distribution), examples(gains)
    given = replace(given, gains=gains_of_rows(gains))
    settings = replace(SETTINGS, trace=trace)
    trainer = advantage.advantage_trainer(policy, [given], settings, values or ExactValues(gains), folder)
    trainer.compute_loss(policy.model, {"examples": given, "rows": list(range(64))}).backward()
    return float(policy.model.model.table.grad.abs().max())


def gains_of_rows(gains: np.ndarray) -> np.ndarray:
    given = examples(gains)
    outcomes = list(zip(given.replies, given.finished.tolist(), strict=True))
    return np.array([gains[OUTCOMES.index(outcome)] for outcome in outcomes])


@pytest.mark.parametrize("trace", [0.0, 0.5, 1.0])
def test_the_gradient_is_zero_at_the_tilt_and_nowhere_near(trace: float, tmp_path):
    assert step_gradient(TILT, GAINS, tmp_path, trace=trace) < 1e-5
    assert step_gradient(BASE, GAINS, tmp_path, trace=trace) > 1e-2
    assert step_gradient(TILT, whitened(GAINS), tmp_path, trace=trace) > 1e-2
    assert step_gradient(TILT, 10 * GAINS, tmp_path, trace=trace) > 1e-2


def test_with_trace_1_the_values_need_not_be_right(tmp_path):
    wrong = ExactValues(GAINS, wrong=0.5)
    assert step_gradient(TILT, GAINS, tmp_path, wrong, trace=1.0) < 1e-5
    assert step_gradient(TILT, GAINS, tmp_path, wrong, trace=0.0) > 1e-2


@pytest.mark.parametrize("trace", [0.0, 0.95, 1.0])
def test_training_from_the_base_model_arrives_at_the_tilt_with_fitted_values(trace: float, tmp_path):
    """By regression on the table's replies alone; a whitened reward does not arrive."""

    def trained(gains: np.ndarray, name: str) -> np.ndarray:
        policy, given, settings = policy_at(BASE), examples(gains), replace(SETTINGS, trace=trace)
        values = advantage.fit_values(policy, [given], settings, LENGTH, penalties=(1e-6,))
        assert values.explained > 0.99
        advantage.advantage_trainer(policy, [given], settings, values, tmp_path / name).train()
        return arrived_at(policy)

    arrived = trained(GAINS, "a")
    assert divergence(arrived, TILT) < 0.02
    assert divergence(TILT, arrived) < 0.02
    if trace:  # without, one token's errors of large fitted values pull a whitened reward back to 0.017
        assert divergence(trained(whitened(GAINS), "b"), TILT) > 0.02


def test_the_gradient_of_few_replies_has_less_noise_than_that_of_distillation(tmp_path):
    """At the tilt, where neither has anything to learn: four replies at a time."""
    given = replace(examples(GAINS), gains=gains_of_rows(GAINS))
    trainer = advantage.advantage_trainer(policy_at(TILT), [given], SETTINGS, ExactValues(GAINS), tmp_path)
    model, squares = trainer.model, {"advantage": 0.0, "distill": 0.0}
    weights = np.exp(given.gains) / np.exp(given.gains).mean()
    for rows in np.random.default_rng(0).permutation(64).reshape(16, 4).tolist():
        batch = ReplyBatch.of(given, rows)
        plain = -(torch.tensor(weights[rows]) * policy_at_model(model).log_probs(model, batch)).mean()
        losses = {"advantage": trainer.compute_loss(model, {"examples": given, "rows": rows}), "distill": plain}
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
    known = torch.autograd.grad((loss * ratios_of_logits + 2 * divergence_of_logits).sum(), change)[0]
    assert torch.allclose(expected, known, atol=1e-4)


def test_advantages_by_hand():
    log_values = np.log([1.0, 2.0, 1.0])
    assert advantages(log_values, np.log(3.0), 0.0) == pytest.approx([1.0, -0.5])
    assert advantages(log_values, np.log(3.0), 1.0) == pytest.approx([2.0, 0.5])
    assert advantages(log_values, np.log(3.0), 0.5) == pytest.approx([0.5, -0.5])


def test_values_are_fitted_without_the_prompt_they_are_for_and_can_be_kept():
    rng = np.random.default_rng(0)
    direction = rng.normal(size=6)
    names = [f"p{i}" for i in range(12)]

    def replies(name: str, sign: float) -> list[Trajectory]:
        hidden = [rng.normal(size=(20, 6)) for _ in range(8)]
        gains = np.array([sign * states[1:].mean(axis=0) @ direction for states in hidden])
        return [Trajectory(name, one, True, gain) for one, gain in zip(hidden, gains - gains.mean(), strict=True)]

    odd = replies("p0", -1.0)  # the other way round than all others
    others = {name: replies(name, 1.0) for name in names[1:]}

    def fitted(first: list[Trajectory]) -> TokenValues:
        fit = TokenValueFit(names, 19, seed=0, penalties=(1e-3,))
        for of_prompt in (first, *others.values()):
            fit.add(of_prompt)
        return fit.solve()

    values = fitted(odd)
    ends = [values.log_values(trajectory)[-1] for trajectory in odd]
    assert np.corrcoef(ends, [trajectory.gain for trajectory in odd])[0, 1] < -0.9
    kept = io.BytesIO()
    values.save(kept)
    kept.seek(0)
    again = TokenValues.load(kept)
    assert again.log_values(odd[0]) == pytest.approx(values.log_values(odd[0]))
    assert again.explained == values.explained > 0.5


def test_a_model_whose_logits_are_something_else_is_refused():
    policy, given = policy_at(BASE), examples(GAINS)
    advantage.check_output_layer(policy, given)
    capped = policy.model.lm_head.forward
    policy.model.lm_head.forward = lambda hidden: torch.tanh(capped(hidden))
    with pytest.raises(InputError, match="tune by --method pairs"):
        advantage.check_output_layer(policy, given)
    policy.model.lm_head.weight.requires_grad_(True)
    with pytest.raises(InputError, match="--full"):
        policy.output_weight()
