"""Tests of the output layer that is solved in one step: its sums, its solution, and the resulting model."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring import Card, Scorer
from map_core.tuning.beginnings import ScoredBeginnings, advantages, centred_scores, score_beginnings, slopes
from map_core.tuning.output_layer import OutputSums, low_rank, solve
from map_core.tuning.policy import Policy
from map_core.tuning.settings import TuningMethod, TuningSettings
from tests.lazy import LazyModule, requires
from tests.tuning.toy_policy import BASE, END, REWARDS, examples, toy_policy

pytestmark = [pytest.mark.filterwarnings("ignore"), requires("requirements-tune.txt", "trl", "peft")]
advantage, natural = LazyModule("map_core.tuning.advantage"), LazyModule("map_core.tuning.natural")
reply_reader = LazyModule("map_core.tuning.reply_reader")

RNG_SEED = 7


def random_tokens(count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hidden states, an output layer, and words drawn from it."""
    states, weight = torch.tensor(rng.normal(size=(count, 5))).float(), torch.tensor(rng.normal(size=(11, 5))).float()
    words = torch.distributions.Categorical(logits=states @ weight.T / 0.7).sample()
    return states, weight, words


def test_shifts_are_the_gradient_of_the_log_probability_of_the_drawn_words():
    torch.manual_seed(0)
    states, weight, words = random_tokens(300, np.random.default_rng(0))
    targets, stops = words.clone(), (3, 8)
    targets[::7] = -1  # the end of a turn
    shifts, log_probs = reply_reader.word_shifts(states, weight, targets, stops, 0.7)
    states.requires_grad_()
    logits = (states @ weight.T / 0.7).log_softmax(-1)
    drawn = logits.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
    (gradient,) = torch.autograd.grad(
        torch.where(targets == -1, logits[:, list(stops)].logsumexp(-1), drawn).sum(), states
    )
    assert torch.allclose(shifts, gradient, atol=1e-5)
    at_one = (states @ weight.T).log_softmax(-1).gather(-1, targets.clamp(min=0)[:, None])[:, 0]
    assert torch.allclose(log_probs, at_one, atol=1e-5)


def test_sums_are_gradient_and_curvature_of_the_loss_of_advantages():
    """Where the words are drawn from the model, the curvature is the mean of u u^T (x) h h^T."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    states, weight, words = random_tokens(4000, rng)
    gains = torch.tensor(rng.normal(size=4000)).float()

    def loss(matrix: torch.Tensor) -> torch.Tensor:
        ratios, divergences = advantage.token_terms(states @ matrix.T, states, weight, words, (0,), 0.7)
        return (divergences - gains * ratios).sum()

    matrix = torch.zeros(5, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(matrix), matrix)
    shifts, _ = reply_reader.word_shifts(states, weight, words, (0,), 0.7)
    sums = OutputSums.empty(1, 5)
    sums = sums.add(0, shifts.numpy(), states.numpy(), gains.numpy()[:, None], np.ones((8, 1)))
    assert sums.gradients[0, 0] == pytest.approx(-gradient.numpy(), abs=0.05)
    small = torch.tensor(1e-2 * rng.normal(size=(5, 5))).float()
    assert sums.moved(small.numpy()) == pytest.approx(
        float(((shifts * (states @ small.T)).sum(-1) ** 2).sum()),
        rel=0.5,  # of 128 tokens of 4,000
    )
    change = (loss(small) + loss(-small) - 2 * loss(torch.zeros(5, 5))).item()
    curvature = float(((shifts * (states @ small.T)).sum(-1) ** 2).sum())
    assert change == pytest.approx(curvature, rel=0.1)


def planted_sums(noise: float, rng: np.random.Generator, prompts: int = 40) -> tuple[np.ndarray, OutputSums]:
    """Return a matrix and sums of tokens whose rewards follow it, with directions of very different size."""
    matrix, sums = rng.normal(size=(6, 6)), OutputSums.empty(2, 6)
    for prompt in range(prompts):
        shifts = rng.normal(size=(200, 6)) * np.geomspace(0.2, 2, 6)
        states = rng.normal(size=(200, 6)) * np.geomspace(3, 0.3, 6)
        gains = np.einsum("ti,ij,tj->t", shifts, matrix, states) + noise * rng.normal(size=200)
        by_value = np.column_stack([gains, rng.normal(size=200)])
        rewards = by_value.reshape(10, 20, 2).sum(axis=1)
        sums = sums.add(prompt % 4, *(part.astype(np.float32) for part in (shifts, states, by_value)), rewards)
    return matrix, sums


def test_the_matrix_behind_the_rewards_is_recovered_with_its_correlation():
    rng = np.random.default_rng(RNG_SEED)
    matrix, sums = planted_sums(0.0, rng)
    change = solve(sums, np.array([1.0, 0.0]), nats=0.3)
    scales = np.outer(np.geomspace(0.2, 2, 6), np.geomspace(3, 0.3, 6))
    assert np.corrcoef((scales * change.matrix).ravel(), (scales * matrix).ravel())[0, 1] > 0.98
    assert change.correlation == pytest.approx(1.0, abs=0.05)
    # Half the variance of a reply's log-ratio is the requested divergence.
    shifts, states = rng.normal(size=(40_000, 6)) * np.geomspace(0.2, 2, 6), rng.normal(size=(40_000, 6))
    ratios = np.einsum("ti,ij,tj->t", shifts, change.matrix, states * np.geomspace(3, 0.3, 6))
    assert 0.5 * ratios.reshape(-1, 20).sum(axis=1).var() == pytest.approx(0.3, rel=0.1)
    noisy = solve(planted_sums(30.0, np.random.default_rng(RNG_SEED))[1], np.array([1.0, 0.0]), nats=0.3)
    assert 0.2 < noisy.correlation < 0.8
    assert noisy.penalty >= change.penalty


def test_noise_has_little_correlation_and_a_solution_that_fails_on_held_out_prompts_is_refused():
    tables = [planted_sums(1.0, np.random.default_rng(seed))[1] for seed in range(6)]
    assert np.mean([solve(sums, np.array([0.0, 1.0]), nats=0.3).correlation for sums in tables]) < 0.05
    _, sums = planted_sums(0.0, np.random.default_rng(0))
    signs = np.array([1.0, -1.0, 1.0, -1.0])[:, None, None, None]  # half of the prompts have the opposite gradient
    with pytest.raises(InputError, match="--method pairs"):
        solve(replace(sums, gradients=sums.gradients * signs), np.array([1.0, 0.0]), nats=0.3)


def test_a_rescaled_value_with_a_rescaled_weight_changes_nothing_and_a_scaled_palette_only_the_nats():
    _, sums = planted_sums(3.0, np.random.default_rng(RNG_SEED))
    rescaled = replace(
        sums,
        gradients=sums.gradients * np.array([10.0, 1.0])[:, None, None],
        rewards=sums.rewards * np.array([[100.0, 10.0], [10.0, 1.0]]),
    )
    lam = np.array([0.7, 0.4])
    original, of_rescaled = solve(sums, lam, 0.3), solve(rescaled, lam / np.array([10.0, 1.0]), 0.3)
    assert of_rescaled.matrix == pytest.approx(original.matrix, rel=1e-4)
    assert of_rescaled.correlation == pytest.approx(original.correlation)
    assert solve(sums, lam, 1.2).matrix == pytest.approx(2 * original.matrix)


def test_a_full_rank_is_the_matrix_and_a_lower_one_the_nearest_in_divergence():
    _, sums = planted_sums(3.0, np.random.default_rng(RNG_SEED))
    matrix = solve(sums, np.array([1.0, 0.0]), 0.3).matrix
    left, right = low_rank(sums, matrix, 6)
    assert left @ right == pytest.approx(matrix, abs=1e-8)
    words, states = sums.words.sum(0), sums.states.sum(0)

    def distance(approximation: np.ndarray) -> float:
        return float(np.trace((matrix - approximation).T @ words @ (matrix - approximation) @ states))

    left, right = low_rank(sums, matrix, 2)
    u, s, v = np.linalg.svd(matrix)
    assert distance(left @ right) < distance((u[:, :2] * s[:2]) @ v[:2])


class Length(Scorer):
    """The reward of a reply is its number of letters a."""

    card = Card("length", "Length", "", "", "", "", "1", partial=True)

    def score(self, prompt: str, replies: list[Reply]) -> np.ndarray:
        return np.array([float(reply.text.count("a")) for reply in replies])


def random_scored_beginnings(rng: np.random.Generator) -> list[ScoredBeginnings]:
    """Return scored replies of letters, each an "a" with probability 1/2."""
    tokens = [tuple(rng.integers(0, 2, size=int(rng.integers(3, 13))).tolist()) for _ in range(64)]
    rewards = np.array([[float(sum(words)), float(sum(words))] for words in tokens])
    return score_beginnings(
        [Length(), None],
        "hi",
        tokens,
        [np.zeros(len(words)) for words in tokens],
        rewards,
        np.ones(64, dtype=bool),
        lambda words: "".join("ba"[word] for word in words),
        4,
    )


def test_beginnings_are_scored_and_their_changes_add_up_to_the_reward():
    rng = np.random.default_rng(0)
    prompts = [random_scored_beginnings(rng) for _ in range(20)]
    assert {reply.stops for reply in prompts[0]} <= {(), (4,), (4, 8)}
    fitted = slopes(prompts)
    assert fitted.shape == (2, 2)
    mean = np.mean([reply.rewards for reply in prompts[0]], axis=0)
    for reply, gains in zip(prompts[0], advantages(prompts[0], fitted, [True, False]), strict=True):
        assert gains.shape == (reply.actions, 2)
        steps = np.unique([0, *reply.stops])
        assert gains[steps, 0].sum() == pytest.approx(reply.rewards[0] - mean[0])
        assert gains[:, 1] == pytest.approx(np.full(reply.actions, reply.rewards[1] - mean[1]))


def test_without_slopes_a_beginning_is_worth_its_score():
    reply = ScoredBeginnings((4,), np.array([[3.0]]), np.array([5.0]), 6)
    other = ScoredBeginnings((4,), np.array([[1.0]]), np.array([1.0]), 6)
    (gains, _) = advantages([reply, other], np.zeros((0, 1)), [True])
    assert gains[:, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]  # 3 less the mean 2, then 2 less that


def test_a_finished_reply_counts_with_its_reward_in_the_mean_of_longer_beginnings():
    short = ScoredBeginnings((), np.zeros((0, 1)), np.array([5.0]), 3)
    long = ScoredBeginnings((4,), np.array([[1.0]]), np.array([9.0]), 8)
    assert [part.tolist() for part in centred_scores([short, long])] == [[], [[-2.0]]]


def adapted_policy(model: torch.nn.Module, rank: int) -> Policy:
    return Policy.of(model, (END,), 1.0, rank, output=True)


def sums_of(tmp_path: Path, prompt_examples, stop_after: int | None = None, prompts: int = 10) -> OutputSums:
    policy = adapted_policy(toy_policy(BASE), 4)
    reader = reply_reader.ReplyReader(policy, [None, None], str, 4, 64, bfloat16=False)
    file = natural.SumsFile(tmp_path / "sums.npz", 2, policy.output_weight().shape[1])
    named = [replace(prompt_examples, name=f"p{number}") for number in range(prompts)]

    def report(done: int, seconds: float) -> None:
        if done == stop_after:
            file.keep()
            raise KeyboardInterrupt

    return natural.read_sums(reader, named, [False, False], file, seed=0, report=report)


def test_the_adapter_changes_log_ratios_as_the_solution_says(tmp_path: Path):
    prompt_examples = examples(REWARDS[:, 0])
    sums = sums_of(tmp_path, prompt_examples)
    change = solve(sums, np.array([1.0, 0.0]), nats=1e-4, penalties=(1e-3,))
    policy = adapted_policy(toy_policy(BASE), 4)
    natural.put_into_adapter(policy, sums, change.matrix, 4)
    ratios = policy.log_ratios(prompt_examples)
    # The ratios equal those of both models computed in full.
    assert ratios == pytest.approx(replace(policy, output=False).log_ratios(prompt_examples), abs=1e-6)
    assert 0.5 * ratios.var() == pytest.approx(1e-4, rel=0.1)
    assert np.corrcoef(ratios, prompt_examples.gains)[0, 1] > 0.8
    assert ratios.mean() == pytest.approx(-0.5 * ratios.var(), abs=1e-5)  # on replies of p0: minus their divergence


def test_an_interrupted_reading_is_resumed_and_sums_can_be_saved(tmp_path: Path):
    prompt_examples = examples(REWARDS[:, 0])
    complete = sums_of(tmp_path / "a", prompt_examples)
    with pytest.raises(KeyboardInterrupt):
        sums_of(tmp_path / "b", prompt_examples, stop_after=9)
    resumed = sums_of(tmp_path / "b", prompt_examples)
    buffer = io.BytesIO()
    resumed.save(buffer)
    buffer.seek(0)
    for expected, actual in zip(vars(complete).values(), vars(OutputSums.load(buffer)).values(), strict=True):
        assert actual == pytest.approx(expected)


def test_all_weights_cannot_be_tuned_by_this_method():
    with pytest.raises(InputError, match="Leave --full out"):
        TuningSettings(TuningMethod.NATURAL, rank=0)
