"""Tests of the generator against exact distributions, on a toy model whose replies can be enumerated."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest

from map_core.core.types import SamplingSettings
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import Token
from map_core.generation import pruning
from map_core.generation.candidates import CandidateBuffer, partial_gains
from map_core.generation.choice import base_pick
from map_core.generation.events import Finished, Pruned, Resampled, Tokens
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.resample import STOPPED_BY_REWARDS
from map_core.generation.reward_cache import Scoring
from map_core.generation.sampler import generation_events
from map_core.generation.weights import CurrentWeights
from map_core.scoring.base import ScorerError
from map_core.service.generation import Generation
from map_core.service.messages import GenerationEvent, from_json, to_json
from map_core.service.snapshot import Phase
from tests.generation.toy_distributions import (
    ENGINE,
    LENGTH,
    SETTINGS,
    TALLY,
    WEIGHT,
    assert_follows,
    exact_blocks,
    exact_resampling,
    reply_key,
    reward,
    run,
    tilted,
)
from tests.toy_engine import END, LETTERS, Tally, every_reply, next_probabilities

# The toy model.


def test_toy_probabilities_sum_to_one_and_match_draws() -> None:
    replies = every_reply(2)
    assert sum(replies.values()) == pytest.approx(1.0, abs=1e-12)
    assert len(replies) == 1 + 2 + 4
    first = next_probabilities(())
    assert replies[(), True] == pytest.approx(first[END])
    assert replies[(0, 1), False] == pytest.approx(first[0] * next_probabilities((0,))[1])
    counts = Counter(reply_key(reply) for reply in ENGINE.complete(DrawRequest("Hi", 4000, SETTINGS, 1)))
    assert_follows(counts, replies)


def test_exact_resampling_moves_from_base_to_tilted_distribution() -> None:
    for outcome, p in exact_resampling(1).items():
        assert p == pytest.approx(every_reply(LENGTH)[outcome])
    exact, _ = tilted()
    distances = [sum(abs(exact_resampling(k)[o] - p) for o, p in exact.items()) for k in (1, 2, 4)]
    assert distances[0] > distances[1] > distances[2]


# Re-sampling of complete replies.


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_resampling_picks_from_the_exact_distribution_of_k_candidates(candidates: int) -> None:
    results = [run(seed, candidates, Method.RESAMPLE) for seed in range(3000)]
    assert_follows(
        Counter(reply_key(result.replies[result.choice.picked]) for result in results), exact_resampling(candidates)
    )
    assert_follows(Counter(reply_key(result.replies[result.choice.base]) for result in results), every_reply(LENGTH))


def test_the_estimate_of_the_normaliser_is_unbiased() -> None:
    _, log_z = tilted()
    estimates = np.exp([run(seed, 3, Method.RESAMPLE).choice.log_z for seed in range(2000)])
    assert abs(estimates.mean() - math.exp(log_z)) < 3.5 * estimates.std() / math.sqrt(len(estimates))


def test_scaled_and_shifted_rewards_give_the_same_picks() -> None:
    """Rewards are a million times as large and far from zero, and lambda . r is the same up to a constant."""
    scaled_scorers = {"tally": Tally("tally", scale=2.0**20, offset=-3 * 2.0**20)}
    for seed in range(50):
        plain = run(seed, 4, Method.RESAMPLE)
        scaled = run(seed, 4, Method.RESAMPLE, WEIGHT / 2**20, scaled_scorers)
        assert scaled.choice.picked == plain.choice.picked
        assert scaled.choice.probabilities == pytest.approx(plain.choice.probabilities, abs=1e-9)


@pytest.mark.parametrize("method", [Method.RESAMPLE, Method.BEST, Method.BLOCKS])
def test_very_large_weights_pick_the_best_and_share_ties(method: Method) -> None:
    for seed in range(60):
        result = run(seed, 6, method, 1e6)
        eligible = [k for k in range(6) if method is not Method.BLOCKS or k != result.choice.base]
        best = max(result.rewards["tally"][k] for k in eligible)
        assert result.rewards["tally"][result.choice.picked] == best
        tied = [k for k in eligible if result.rewards["tally"][k] == best]
        if method is not Method.BLOCKS:  # particles that tie may have different offsets
            assert [result.choice.probabilities[k] for k in tied] == pytest.approx([1 / len(tied)] * len(tied))


def test_best_of_k_picks_the_first_best_candidate() -> None:
    for seed in range(50):
        result = run(seed, 5, Method.BEST)
        assert result.choice.picked == int(np.argmax(result.rewards["tally"]))


@pytest.mark.parametrize("method", list(Method))
def test_single_candidate_is_the_base_reply_for_every_method(method: Method) -> None:
    result, plain = run(7, 1, method), ENGINE.complete(DrawRequest("Hi", 1, SETTINGS, 7))
    assert list(result.replies) == plain
    assert (result.choice.picked, result.choice.base, result.choice.kl) == (0, 0, 0.0)


def test_drawing_more_keeps_the_first_candidates_and_the_base_pick() -> None:
    for seed in range(20):
        few = run(seed, 3, Method.RESAMPLE)
        many = run(seed, 3, Method.RESAMPLE, most_candidates=12, least_ess=5.0)
        assert many.replies[:3] == few.replies
        assert many.choice.base == few.choice.base == base_pick(3, seed)
        # Three more at a time, until the goal is reached or the most candidates are.
        assert len(many.replies) in {3, 6, 9, 12}
        assert (many.choice.ess >= 5.0) or len(many.replies) == 12
        for fewer in range(3, len(many.replies), 3):
            assert run(seed, fewer, Method.RESAMPLE).choice.ess < 5.0
    by_error = run(1, 2, Method.RESAMPLE, most_candidates=64, largest_error=0.2)
    assert by_error.choice.error <= 0.2 or len(by_error.replies) == 64


#: Above any candidate's distance from the mean of any others, so that no score is ever capped.
FULL_HEADROOM = WEIGHT * (max(map(reward, every_reply(LENGTH))) - min(map(reward, every_reply(LENGTH))))


@pytest.mark.slow
def test_race_picks_from_the_tilted_distribution() -> None:
    """The distribution of K candidates would fail this chi-square test."""
    results = [run(seed, 3, Method.RESAMPLE, most_candidates=400, headroom=FULL_HEADROOM) for seed in range(2000)]
    assert all(result.choice.decided for result in results)
    assert_follows(Counter(reply_key(result.replies[result.choice.picked]) for result in results), tilted()[0])
    assert_follows(Counter(reply_key(result.replies[result.choice.base]) for result in results), every_reply(LENGTH))


def test_a_race_ends_where_no_later_candidate_can_win() -> None:
    for seed in range(40):
        result = run(seed, 1, Method.RESAMPLE, most_candidates=400, headroom=FULL_HEADROOM)
        longer = run(seed, 400, Method.RESAMPLE, headroom=FULL_HEADROOM)
        assert longer.replies[: len(result.replies)] == result.replies
        assert longer.choice.picked == result.choice.picked
        if len(result.replies) > 1:
            earlier = run(seed, len(result.replies) - 1, Method.RESAMPLE, headroom=FULL_HEADROOM)
            assert earlier.choice.decided is False
            assert earlier.choice.more_would_help


@pytest.mark.slow
def test_stopping_at_an_effective_sample_size_is_biased_and_noted() -> None:
    results = [run(seed, 2, Method.RESAMPLE, most_candidates=40, least_ess=1.9) for seed in range(1500)]
    counts = Counter(reply_key(result.replies[result.choice.picked]) for result in results)
    exact, _ = tilted()
    assert sum(abs(counts[outcome] / len(results) - p) for outcome, p in exact.items()) / 2 > 0.1
    stopped_early = [result for result in results if 2 < len(result.replies) < 40]
    assert stopped_early
    assert all(STOPPED_BY_REWARDS in result.notes for result in stopped_early)


# Block-wise re-sampling.


@pytest.mark.slow
@pytest.mark.parametrize(("particles", "weight"), [(2, WEIGHT), (3, WEIGHT), (3, 4.0)])
def test_blocks_pick_from_the_exact_distribution(particles: int, weight: float) -> None:
    length = 3
    results = [run(seed, particles + 1, Method.BLOCKS, weight, length=length) for seed in range(2000)]
    exact = exact_blocks(particles, weight, length)
    assert_follows(Counter(reply_key(result.replies[result.choice.picked]) for result in results), exact)
    # The base candidate is not re-sampled and stays a draw from the base model.
    assert_follows(Counter(reply_key(result.replies[result.choice.base]) for result in results), every_reply(length))
    assert all(result.choice.probabilities[result.choice.base] == 0.0 for result in results)


def test_exact_blocks_differ_from_plain_resampling() -> None:
    """The case above is a real test of blocks: its distribution is not that of plain re-sampling."""
    blocks, plain = exact_blocks(3, 4.0, 3), exact_resampling(3, 4.0, 3)
    assert sum(abs(blocks[outcome] - plain[outcome]) for outcome in every_reply(3)) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("weight", [WEIGHT, 2.0])
def test_blocks_are_properly_weighted(weight: float) -> None:
    """E[Z_hat 1(picked = y)] = p0(y) exp(lambda . r(y)) for any K, whatever the partial rewards are.

    Only frequent replies are tested: replies that early re-sampling mostly drops occur rarely, with very large weights.
    """
    length, outcomes = 4, every_reply(4)
    sums = {outcome: [] for outcome in outcomes}
    for seed in range(1500):
        result = run(seed, 5, Method.BLOCKS, weight, length=length)
        z = math.exp(result.choice.log_z)
        shares: Counter = Counter()
        for reply, p in zip(result.replies, result.choice.probabilities, strict=True):
            shares[reply_key(reply)] += p
        for outcome in outcomes:
            sums[outcome].append(z * shares[outcome])
    scores = []
    for outcome, p in outcomes.items():
        values = np.array(sums[outcome])
        if (values > 0).sum() >= 300:
            error = values.std(ddof=1) / math.sqrt(len(values))
            scores.append((values.mean() - p * math.exp(weight * reward(outcome))) / error)
    assert len(scores) >= 5
    assert max(map(abs, scores)) < 4.0


def test_blocks_with_many_particles_give_the_tilted_distribution() -> None:
    exact, log_z = tilted(4, 2.0)
    mean: Counter = Counter()
    for seed in range(40):
        result = run(seed, 257, Method.BLOCKS, 2.0, length=4)
        assert result.choice.log_z == pytest.approx(log_z, abs=0.6)
        for reply, p in zip(result.replies, result.choice.probabilities, strict=True):
            mean[reply_key(reply)] += p / 40
    assert sum(abs(mean[outcome] - p) for outcome, p in exact.items()) < 0.06


def test_value_without_partial_scores_counts_at_the_end_with_a_note() -> None:
    scorers = {"tally": Tally("tally", partial=False)}
    for seed in range(20):
        result = run(seed, 4, Method.BLOCKS, scorers=scorers)
        assert any("tally" in note and "at the end" in note for note in result.notes)
        assert all(offset in (0.0, math.inf) for offset in result.log_offsets)
        assert result.choice.probabilities[result.choice.picked] > 0


# Pruning: candidates stopped early.


@pytest.fixture
def prune_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune candidates after one and two tokens, as the toy's replies are short."""
    monkeypatch.setattr(pruning, "SCHEDULE", ((1, 0.5), (2, 0.25)))
    monkeypatch.setattr(pruning, "SHRINKAGE_TOKENS", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("prune_early")
@pytest.mark.parametrize("scale", [1.0, -1.0], ids=["well foretold", "foretold the wrong way round"])
def test_pruning_keeps_the_other_candidates_properly_weighted(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """E[Z_hat P(y)] = p0(y) exp(lambda . r(y)), however well partial scores predict the final ones."""
    continuation_probabilities = pruning.continuation_probabilities
    monkeypatch.setattr(
        pruning, "continuation_probabilities", lambda scores, most: continuation_probabilities(scale * scores, most)
    )
    length, outcomes = 4, every_reply(4)
    sums = {outcome: [] for outcome in outcomes}
    pruned_runs = 0
    for seed in range(1500):
        result = run(seed, 8, Method.PRUNE, length=length)
        pruned_runs += any("stopped early" in note for note in result.notes)
        z, shares = math.exp(result.choice.log_z), Counter()
        for reply, p in zip(result.replies, result.choice.probabilities, strict=True):
            shares[reply_key(reply)] += p
        for outcome in outcomes:
            sums[outcome].append(z * shares[outcome])
    assert pruned_runs > 1000
    scores = []
    for outcome, p in outcomes.items():
        values = np.array(sums[outcome])
        if (values > 0).sum() >= 150:
            error = values.std(ddof=1) / math.sqrt(len(values))
            scores.append((values.mean() - p * math.exp(WEIGHT * reward(outcome))) / error)
    assert len(scores) >= 4
    assert max(map(abs, scores)) < 4.0


@pytest.mark.usefixtures("prune_early")
def test_pruning_many_candidates_gives_the_tilted_distribution_with_fewer_tokens() -> None:
    exact, log_z = tilted(4)
    mean: Counter = Counter()
    tokens = 0
    for seed in range(100):
        result = run(seed, 256, Method.PRUNE, length=4)
        tokens += result.tokens
        assert result.choice.log_z == pytest.approx(log_z, abs=0.6)
        for reply, p in zip(result.replies, result.choice.probabilities, strict=True):
            mean[reply_key(reply)] += p / 100
    assert sum(abs(mean[outcome] - p) for outcome, p in exact.items()) / 2 < 0.03
    tokens_per_reply = sum(p * (len(reply_tokens) + ended) for (reply_tokens, ended), p in every_reply(4).items())
    assert tokens < 0.8 * 100 * 256 * tokens_per_reply


def test_partial_reply_with_failed_score_counts_as_average() -> None:
    class Picky(Tally):
        def score(self, prompt, replies):
            if any(reply.text == "b" for reply in replies):
                raise ScorerError("It cannot score b.")
            return np.array([-100.0 - len(reply.text) for reply in replies])

    buffer = CandidateBuffer(3)
    buffer.tokens = [[Token(k, LETTERS.index(text), text, -1.0, False, False)] for k, text in enumerate("aba")]
    request = GenerationRequest("Hi", {"picky": 2.0}, candidates=3)
    scoring = Scoring({"picky": Picky("picky")}, ("picky",), "Hi")
    gains = []

    def drain():
        gains.append((yield from partial_gains(scoring, request, buffer, CurrentWeights(request.weights))))

    list(drain())
    assert gains[0].tolist() == [-202.0, -202.0, -202.0]


@pytest.mark.usefixtures("prune_early")
def test_base_candidate_is_never_pruned() -> None:
    results = [run(seed, 6, Method.PRUNE, 2.0, length=3) for seed in range(1500)]
    assert_follows(Counter(reply_key(result.replies[result.choice.base]) for result in results), every_reply(3))
    assert all(result.log_offsets[result.choice.base] < math.inf for result in results)
    stopped = [(result, k) for result in results for k, offset in enumerate(result.log_offsets) if offset == math.inf]
    assert stopped
    assert all(
        result.choice.probabilities[k] == 0.0 and math.isnan(result.rewards["tally"][k]) for result, k in stopped
    )


@pytest.mark.usefixtures("prune_early")
def test_pruned_candidates_are_reported_while_streaming() -> None:
    request = GenerationRequest(
        "Hi", {"tally": 2.0}, candidates=8, settings=SamplingSettings(max_new_tokens=4), method=Method.PRUNE
    )
    generation, pruned = Generation(request, lambda _: None), []
    for event in generation_events(ENGINE, TALLY, request):
        event = from_json(GenerationEvent, json.loads(json.dumps(to_json(event))))
        generation.apply(event)
        if isinstance(event, Pruned):
            pruned += event.candidates
            choice = generation.choice()
            assert choice is not None
            assert all(choice.probabilities[k] == 0.0 for k in pruned)
        if isinstance(event, Tokens) and pruned:
            assert not set(pruned) & {token.candidate for token in event.tokens}
    assert pruned
    assert generation.snapshot().phase is Phase.DONE


def test_continuation_probabilities_sum_to_the_survivors_and_follow_the_weights() -> None:
    rng = np.random.default_rng(5)
    for survivors in (1, 3, 7, 11):
        scores = rng.normal(size=12) * 3
        continuation = pruning.continuation_probabilities(scores, survivors)
        assert continuation.sum() == pytest.approx(survivors)
        assert ((continuation > 0) & (continuation <= 1)).all()
        uncertain = continuation < 1
        ratios = continuation[uncertain] / np.exp(scores[uncertain])
        assert np.ptp(ratios) <= 1e-6 * ratios.max(initial=1.0)
        frequencies = np.mean([pruning.systematic(continuation, rng) for _ in range(4000)], axis=0)
        assert frequencies == pytest.approx(continuation, abs=0.035)
        assert pruning.systematic(continuation, rng).sum() == survivors


# Streaming: the streamed texts and choice are those of the final result.


@pytest.mark.parametrize("method", list(Method))
def test_streamed_generation_has_the_same_outcome(method: Method) -> None:
    resampled = 0
    for seed in range(40):
        request = GenerationRequest(
            "Hi",
            {"tally": 3.0},
            candidates=5,
            settings=SamplingSettings(max_new_tokens=5),
            seed=seed,
            method=method,
            block=1,
        )
        generation = Generation(request, lambda _: None)
        for event in generation_events(ENGINE, TALLY, request):
            if isinstance(event, Finished):
                texts = [c.text for c in generation.snapshot().candidates]
                assert texts == [reply.text for reply in event.replies]
                outcome = event
            resampled += isinstance(event, Resampled)
            if isinstance(event, Tokens):
                assert len({token.candidate for token in event.tokens}) == len(event.tokens)
            generation.apply(from_json(GenerationEvent, json.loads(json.dumps(to_json(event)))))
        snapshot = generation.snapshot()
        assert snapshot.phase is Phase.DONE
        assert snapshot.choice == outcome.choice
        assert snapshot.picked == outcome.choice.picked
        assert snapshot.base == outcome.choice.base
    assert (resampled > 5) == (method is Method.BLOCKS)
