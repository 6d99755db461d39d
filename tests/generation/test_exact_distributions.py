"""The generator against exact distributions, on a model whose replies can be written out."""

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
    name,
    reward,
    run,
    tilted,
)
from tests.toy_engine import END, LETTERS, Tally, every_reply, next_probabilities

# The toy by hand.


def test_the_toy_is_a_distribution() -> None:
    replies = every_reply(2)
    assert sum(replies.values()) == pytest.approx(1.0, abs=1e-12)
    assert len(replies) == 1 + 2 + 4
    first = next_probabilities(())
    assert replies[(), True] == pytest.approx(first[END])
    assert replies[(0, 1), False] == pytest.approx(first[0] * next_probabilities((0,))[1])
    drawn = Counter(name(reply) for reply in ENGINE.complete(DrawRequest("Hi", 4000, SETTINGS, 1)))
    assert_follows(drawn, replies)


def test_one_candidate_enumerated_is_the_base_model_and_many_are_the_tilted_one() -> None:
    for outcome, p in exact_resampling(1).items():
        assert p == pytest.approx(every_reply(LENGTH)[outcome])
    goal, _ = tilted()
    apart = [sum(abs(exact_resampling(k)[o] - p) for o, p in goal.items()) for k in (1, 2, 4)]
    assert apart[0] > apart[1] > apart[2]


# Whole replies.


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_resampling_picks_from_the_exact_distribution_of_k_candidates(candidates: int) -> None:
    ends = [run(seed, candidates, Method.RESAMPLE) for seed in range(3000)]
    assert_follows(Counter(name(end.replies[end.choice.picked]) for end in ends), exact_resampling(candidates))
    assert_follows(Counter(name(end.replies[end.choice.base]) for end in ends), every_reply(LENGTH))


def test_the_estimate_of_the_normaliser_is_unbiased() -> None:
    _, log_z = tilted()
    estimates = np.exp([run(seed, 3, Method.RESAMPLE).choice.log_z for seed in range(2000)])
    assert abs(estimates.mean() - math.exp(log_z)) < 3.5 * estimates.std() / math.sqrt(len(estimates))


def test_rewards_of_a_million_pick_the_same() -> None:
    """The same lambda . r up to a constant: rewards a million times as large, far from zero."""
    far = {"tally": Tally("tally", scale=2.0**20, offset=-3 * 2.0**20)}
    for seed in range(50):
        near_end = run(seed, 4, Method.RESAMPLE)
        far_end = run(seed, 4, Method.RESAMPLE, WEIGHT / 2**20, far)
        assert far_end.choice.picked == near_end.choice.picked
        assert far_end.choice.probabilities == pytest.approx(near_end.choice.probabilities, abs=1e-9)


@pytest.mark.parametrize("method", [Method.RESAMPLE, Method.BEST, Method.BLOCKS])
def test_weights_of_a_million_pick_the_best_and_share_ties(method: Method) -> None:
    for seed in range(60):
        end = run(seed, 6, method, 1e6)
        eligible = [k for k in range(6) if method is not Method.BLOCKS or k != end.choice.base]
        best = max(end.rewards["tally"][k] for k in eligible)
        assert end.rewards["tally"][end.choice.picked] == best
        tied = [k for k in eligible if end.rewards["tally"][k] == best]
        if method is not Method.BLOCKS:  # particles that tie may have paid differently on the way
            assert [end.choice.probabilities[k] for k in tied] == pytest.approx([1 / len(tied)] * len(tied))


def test_best_of_k_is_the_first_of_the_best() -> None:
    for seed in range(50):
        end = run(seed, 5, Method.BEST)
        assert end.choice.picked == int(np.argmax(end.rewards["tally"]))


@pytest.mark.parametrize("method", list(Method))
def test_one_candidate_is_the_base_reply_whatever_the_method(method: Method) -> None:
    end, plain = run(7, 1, method), ENGINE.complete(DrawRequest("Hi", 1, SETTINGS, 7))
    assert list(end.replies) == plain
    assert (end.choice.picked, end.choice.base, end.choice.kl) == (0, 0, 0.0)


def test_drawing_more_keeps_the_first_candidates_and_the_base_pick() -> None:
    for seed in range(20):
        few = run(seed, 3, Method.RESAMPLE)
        more = run(seed, 3, Method.RESAMPLE, most_candidates=12, least_ess=5.0)
        assert more.replies[:3] == few.replies
        assert more.choice.base == few.choice.base == base_pick(3, seed)
        assert len(more.replies) == 12 or more.choice.ess >= 5.0
        assert len(more.replies) % 3 == 0
    error = run(1, 2, Method.RESAMPLE, most_candidates=64, largest_error=0.2)
    assert error.choice.error <= 0.2 or len(error.replies) == 64


#: Above any candidate's distance from the mean of any others, so that nothing is ever cut.
ALL_COUNTS = WEIGHT * (max(map(reward, every_reply(LENGTH))) - min(map(reward, every_reply(LENGTH))))


@pytest.mark.slow
def test_a_race_picks_from_the_tilted_distribution_itself() -> None:
    """Not from that of K candidates, which chi-square would tell from it."""
    ends = [run(seed, 3, Method.RESAMPLE, most_candidates=400, headroom=ALL_COUNTS) for seed in range(2000)]
    assert all(end.choice.decided for end in ends)
    assert_follows(Counter(name(end.replies[end.choice.picked]) for end in ends), tilted()[0])
    assert_follows(Counter(name(end.replies[end.choice.base]) for end in ends), every_reply(LENGTH))


def test_a_race_ends_where_no_later_candidate_can_win() -> None:
    for seed in range(40):
        end = run(seed, 1, Method.RESAMPLE, most_candidates=400, headroom=ALL_COUNTS)
        longer = run(seed, 400, Method.RESAMPLE, headroom=ALL_COUNTS)
        assert longer.replies[: len(end.replies)] == end.replies
        assert longer.choice.picked == end.choice.picked
        if len(end.replies) > 1:
            earlier = run(seed, len(end.replies) - 1, Method.RESAMPLE, headroom=ALL_COUNTS)
            assert earlier.choice.decided is False
            assert earlier.choice.more_would_help


@pytest.mark.slow
def test_a_draw_that_stops_at_an_effective_sample_size_is_biased_and_says_so() -> None:
    ends = [run(seed, 2, Method.RESAMPLE, most_candidates=40, least_ess=1.9) for seed in range(1500)]
    drawn = Counter(name(end.replies[end.choice.picked]) for end in ends)
    exact, _ = tilted()
    assert sum(abs(drawn[outcome] / len(ends) - p) for outcome, p in exact.items()) / 2 > 0.1
    stopped = [end for end in ends if 2 < len(end.replies) < 40]
    assert stopped
    assert all(STOPPED_BY_REWARDS in end.notes for end in stopped)


# Block by block.


@pytest.mark.slow
@pytest.mark.parametrize(("particles", "weight"), [(2, WEIGHT), (3, WEIGHT), (3, 4.0)])
def test_blocks_pick_from_the_exact_distribution(particles: int, weight: float) -> None:
    length = 3
    ends = [run(seed, particles + 1, Method.BLOCKS, weight, length=length) for seed in range(2000)]
    exact = exact_blocks(particles, weight, length)
    assert_follows(Counter(name(end.replies[end.choice.picked]) for end in ends), exact)
    # The base candidate takes no part and stays a draw from the base model.
    assert_follows(Counter(name(end.replies[end.choice.base]) for end in ends), every_reply(length))
    assert all(end.choice.probabilities[end.choice.base] == 0.0 for end in ends)


def test_the_exact_blocks_do_resample() -> None:
    """The case above is no plain re-sampling in disguise."""
    blocks, plain = exact_blocks(3, 4.0, 3), exact_resampling(3, 4.0, 3)
    assert sum(abs(blocks[outcome] - plain[outcome]) for outcome in every_reply(3)) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("weight", [WEIGHT, 2.0])
def test_blocks_are_properly_weighted(weight: float) -> None:
    """E[Z_hat 1(picked = y)] = p0(y) exp(lambda . r(y)) for any K: nothing that partial rewards do shows.

    Looked at where it can be measured: replies that early re-sampling mostly drops come back rarely with huge weights.
    """
    length, outcomes = 4, every_reply(4)
    sums = {outcome: [] for outcome in outcomes}
    for seed in range(1500):
        end = run(seed, 5, Method.BLOCKS, weight, length=length)
        z = math.exp(end.choice.log_z)
        shares: Counter = Counter()
        for reply, p in zip(end.replies, end.choice.probabilities, strict=True):
            shares[name(reply)] += p
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
    goal, log_z = tilted(4, 2.0)
    mean: Counter = Counter()
    for seed in range(40):
        end = run(seed, 257, Method.BLOCKS, 2.0, length=4)
        assert end.choice.log_z == pytest.approx(log_z, abs=0.6)
        for reply, p in zip(end.replies, end.choice.probabilities, strict=True):
            mean[name(reply)] += p / 40
    assert sum(abs(mean[outcome] - p) for outcome, p in goal.items()) < 0.06


def test_a_value_that_cannot_score_beginnings_counts_at_the_end_and_says_so() -> None:
    late = {"tally": Tally("tally", partial=False)}
    for seed in range(20):
        end = run(seed, 4, Method.BLOCKS, scorers=late)
        assert any("tally" in note and "at the end" in note for note in end.notes)
        assert all(paid in (0.0, math.inf) for paid in end.log_offsets)
        assert end.choice.probabilities[end.choice.picked] > 0


# Candidates stopped early.


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop candidates after one and two tokens, as the toy's replies are short."""
    monkeypatch.setattr(pruning, "SCHEDULE", ((1, 0.5), (2, 0.25)))
    monkeypatch.setattr(pruning, "SHRINKAGE_TOKENS", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("scale", [1.0, -1.0], ids=["well foretold", "foretold the wrong way round"])
def test_candidates_stopped_early_leave_the_others_properly_weighted(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E[Z_hat P(y)] = p0(y) exp(lambda . r(y)) whatever beginnings foretell."""
    foretell = pruning.continuation_probabilities
    monkeypatch.setattr(pruning, "continuation_probabilities", lambda scores, most: foretell(scale * scores, most))
    length, outcomes = 4, every_reply(4)
    sums = {outcome: [] for outcome in outcomes}
    fewer = 0
    for seed in range(1500):
        end = run(seed, 8, Method.PRUNE, length=length)
        fewer += any("stopped early" in note for note in end.notes)
        z, shares = math.exp(end.choice.log_z), Counter()
        for reply, p in zip(end.replies, end.choice.probabilities, strict=True):
            shares[name(reply)] += p
        for outcome in outcomes:
            sums[outcome].append(z * shares[outcome])
    assert fewer > 1000
    scores = []
    for outcome, p in outcomes.items():
        values = np.array(sums[outcome])
        if (values > 0).sum() >= 150:
            error = values.std(ddof=1) / math.sqrt(len(values))
            scores.append((values.mean() - p * math.exp(WEIGHT * reward(outcome))) / error)
    assert len(scores) >= 4
    assert max(map(abs, scores)) < 4.0


@pytest.mark.usefixtures("early")
def test_many_candidates_stopped_early_give_the_tilted_distribution_with_fewer_tokens() -> None:
    goal, log_z = tilted(4)
    mean: Counter = Counter()
    tokens = 0
    for seed in range(100):
        end = run(seed, 256, Method.PRUNE, length=4)
        tokens += end.tokens
        assert end.choice.log_z == pytest.approx(log_z, abs=0.6)
        for reply, p in zip(end.replies, end.choice.probabilities, strict=True):
            mean[name(reply)] += p / 100
    assert sum(abs(mean[outcome] - p) for outcome, p in goal.items()) / 2 < 0.03
    whole = sum(p * (len(written) + ended) for (written, ended), p in every_reply(4).items())
    assert tokens < 0.8 * 100 * 256 * whole


def test_a_beginning_that_cannot_be_scored_counts_as_an_average_one() -> None:
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


@pytest.mark.usefixtures("early")
def test_the_base_candidate_is_never_stopped_and_stays_a_draw_from_the_base_model() -> None:
    ends = [run(seed, 6, Method.PRUNE, 2.0, length=3) for seed in range(1500)]
    assert_follows(Counter(name(end.replies[end.choice.base]) for end in ends), every_reply(3))
    assert all(end.log_offsets[end.choice.base] < math.inf for end in ends)
    stopped = [(end, k) for end in ends for k, paid in enumerate(end.log_offsets) if paid == math.inf]
    assert stopped
    assert all(end.choice.probabilities[k] == 0.0 and math.isnan(end.rewards["tally"][k]) for end, k in stopped)


@pytest.mark.usefixtures("early")
def test_what_is_stopped_early_is_told_on_the_way() -> None:
    request = GenerationRequest(
        "Hi", {"tally": 2.0}, candidates=8, settings=SamplingSettings(max_new_tokens=4), method=Method.PRUNE
    )
    generation, told = Generation(request, lambda _: None), []
    for event in generation_events(ENGINE, TALLY, request):
        event = from_json(GenerationEvent, json.loads(json.dumps(to_json(event))))
        generation.apply(event)
        if isinstance(event, Pruned):
            told += event.candidates
            choice = generation.choice()
            assert choice is not None
            assert all(choice.probabilities[k] == 0.0 for k in told)
        if isinstance(event, Tokens) and told:
            assert not set(told) & {token.candidate for token in event.tokens}
    assert told
    assert generation.snapshot().phase is Phase.DONE


def test_the_continuation_probabilities_add_up_and_follow_the_weights() -> None:
    stream = np.random.default_rng(5)
    for most in (1, 3, 7, 11):
        scores = stream.normal(size=12) * 3
        chances = pruning.continuation_probabilities(scores, most)
        assert chances.sum() == pytest.approx(most)
        assert ((chances > 0) & (chances <= 1)).all()
        uncertain = chances < 1
        ratios = chances[uncertain] / np.exp(scores[uncertain])
        assert np.ptp(ratios) <= 1e-6 * ratios.max(initial=1.0)
        drawn = np.mean([pruning.systematic(chances, stream) for _ in range(4000)], axis=0)
        assert drawn == pytest.approx(chances, abs=0.035)
        assert pruning.systematic(chances, stream).sum() == most


# Streaming: what is shown on the way is what comes out.


@pytest.mark.parametrize("method", list(Method))
def test_the_streamed_form_ends_in_the_same(method: Method) -> None:
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
        done = generation.snapshot()
        assert done.phase is Phase.DONE
        assert done.choice == outcome.choice
        assert done.picked == outcome.choice.picked
        assert done.base == outcome.choice.base
    assert (resampled > 5) == (method is Method.BLOCKS)
