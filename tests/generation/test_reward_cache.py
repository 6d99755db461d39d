"""Tests of scoring during decoding: each reply once, isolated failures, and requests validated before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from map_core.core.types import Reply, SamplingSettings, Turn
from map_core.errors import InputError
from map_core.generation.events import Finished, More, Scored, Tokens
from map_core.generation.given_replies import GivenReplies, score_given
from map_core.generation.request import LONGEST_PROMPT, MOST_CANDIDATES, GenerationRequest, Method
from map_core.generation.reward_cache import ReadReplies, RewardCache, ScoredReply, Scoring, ScoringCosts
from map_core.generation.sampler import generation_events
from map_core.generation.weights import CurrentWeights
from map_core.scoring.base import ScorerError
from tests.toy_engine import Tally, ToyEngine

ENGINE = ToyEngine()
REPLIES = [Reply("aab"), Reply("b"), Reply("aab"), Reply("")]


class CountingScorer(Tally):
    """A tally that records the texts it scores, and fails on replies with a given text."""

    def __init__(self, fails_on: str | None = None, partial: bool = True) -> None:
        super().__init__("tally", partial=partial)
        self.scored_texts: list[str] = []
        self.fails_on = fails_on

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        self.scored_texts += [reply.text for reply in replies]
        if any(reply.text == self.fails_on for reply in replies):
            raise ValueError("I cannot read this")
        return super().score(prompt, replies)


def test_a_reply_is_scored_once() -> None:
    scorer, cache = CountingScorer(), RewardCache()
    scoring = Scoring({"tally": scorer}, ["tally"], "Hi", cache=cache)
    first = scoring.rewards("tally", REPLIES, complete=True)
    assert first == tuple(scorer.reward(reply.text) for reply in REPLIES)
    assert sorted(scorer.scored_texts) == ["", "aab", "b"]  # the two equal replies are scored once
    assert scoring.rewards("tally", [*REPLIES, Reply("ab")], complete=True)[:4] == first
    assert scorer.scored_texts[-1] == "ab"
    assert len(scorer.scored_texts) == 4
    # Another request shares the cache; another prompt does not share rewards.
    Scoring({"tally": scorer}, ["tally"], "Hi", cache=cache).rewards("tally", REPLIES, complete=True)
    assert len(scorer.scored_texts) == 4
    Scoring({"tally": scorer}, ["tally"], "Ho", cache=cache).rewards("tally", REPLIES, complete=True)
    assert len(scorer.scored_texts) == 7


def test_cache_evicts_the_oldest_entry() -> None:
    cache, scorer = RewardCache(most=2), Tally("tally")
    for number, text in enumerate("abc"):
        cache.put(scorer, "Hi", Reply(text), ScoredReply(float(number)))
    assert [cache.get(scorer, "Hi", Reply(text)) for text in "abc"] == [None, ScoredReply(1.0), ScoredReply(2.0)]


class CuttingScorer(Tally):
    """A tally that reads three characters of a reply."""

    def was_cut(self, prompt: str, reply: Reply) -> bool:
        return len(reply.text) > 3


def notes_of(scorer: Tally, cache: RewardCache, *texts: str) -> tuple[str, ...]:
    scoring = Scoring({"tally": scorer}, ["tally"], "Hi", cache=cache)
    scoring.rewards("tally", [Reply(text) for text in texts], complete=True)
    return scoring.failures


def test_notes_concern_one_request_alone() -> None:
    scorer, cache = CuttingScorer("tally"), RewardCache()
    assert notes_of(scorer, cache, "aaaa", "aaab") == ("2 of 2 replies were longer than tally reads.",)
    assert notes_of(scorer, cache, "b") == ()
    # Rewards from the cache carry their note too.
    assert notes_of(scorer, cache, "b", "aaaa", "b") == ("1 of 3 replies were longer than tally reads.",)


def test_notes_of_interleaved_requests_are_separate() -> None:
    scorer, cache = CuttingScorer("tally"), RewardCache()
    first, second = (Scoring({"tally": scorer}, ["tally"], "Hi", cache=cache) for _ in range(2))
    first.rewards("tally", [Reply("aaaa")], complete=False)  # a reply that finished before the others
    second.rewards("tally", [Reply("b"), Reply("a")], complete=True)
    for _ in range(2):  # all candidates, then all again when more are drawn
        first.rewards("tally", [Reply("aaaa"), Reply("aaaa"), Reply("ab")], complete=True)
    first.rewards("tally", [Reply("aaaa"), Reply("aaaa"), Reply("ab"), Reply("")], complete=True)
    assert first.failures == ("2 of 4 replies were longer than tally reads.",)
    assert second.failures == ()


def test_notes_of_a_call_cover_all_its_chats() -> None:
    read_replies = ReadReplies()
    for system in (None, "Be brief."):
        chat = GivenReplies("Hi", ("aaaa", "b", "aaaa"), system)
        rewards = score_given(ENGINE, {"tally": (scorer := CuttingScorer("tally"))}, chat, read=read_replies).rewards[
            "tally"
        ]
        assert rewards == tuple(scorer.reward(text) for text in chat.replies)
    assert read_replies.notes == ("4 of 6 replies were longer than tally reads.",)


def test_notes_do_not_count_replies_without_a_score() -> None:
    class CuttingAndCounting(CuttingScorer, CountingScorer):
        pass

    scoring = Scoring({"tally": CuttingAndCounting(fails_on="bbbb")}, ["tally"], "Hi")
    scoring.rewards("tally", [Reply("bbbb"), Reply("aaaa"), Reply("b")], complete=True)
    failure, note = scoring.failures
    assert "I cannot read this" in failure
    assert note == "1 of 2 replies were longer than tally reads."


def test_costs_of_partial_and_complete_replies_are_measured_separately() -> None:
    costs = ScoringCosts()
    scoring = Scoring({"tally": Tally("tally")}, ["tally"], "Hi", costs)
    scoring.rewards("tally", [Reply("a", (0,)), Reply("ab", (0, 1))], complete=False)
    assert scoring.partial_seconds > 0 == scoring.complete_seconds
    assert scoring.expected_seconds(6) == pytest.approx(6 * costs.seconds_per_token["tally"])
    scoring.rewards("tally", [Reply("a", (0,)), Reply("b", (1,))], complete=True)
    assert scoring.complete_seconds > 0


def test_scorer_that_fails_on_one_reply_drops_that_reply_alone() -> None:
    scorer = CountingScorer(fails_on="b")
    scoring = Scoring({"tally": scorer}, ["tally"], "Hi")
    rewards = scoring.rewards("tally", REPLIES, complete=True)
    assert [math.isnan(reward) for reward in rewards] == [False, True, False, False]
    assert len(scoring.failures) == 1
    assert "'tally' failed on the prompt 'Hi'" in scoring.failures[0]
    assert "I cannot read this" in scoring.failures[0]
    with pytest.raises(ScorerError, match="I cannot read this"):
        Scoring({"tally": scorer}, ["tally"], "Hi").rewards("tally", [Reply("b")], complete=True)


@pytest.mark.parametrize("method", [Method.RESAMPLE, Method.BEST, Method.BLOCKS])
def test_reply_without_a_score_is_never_picked_and_noted(method: Method) -> None:
    runs_with_failures = 0
    for seed in range(30):
        request = GenerationRequest(
            "Hi", {"tally": 1.0}, (), 8, SamplingSettings(max_new_tokens=2), seed, method=method, block=1
        )
        *_, result = generation_events(ENGINE, {"tally": CountingScorer(fails_on="aa")}, request)
        assert isinstance(result, Finished)
        failed = [k for k, reply in enumerate(result.replies) if reply.text == "aa"]
        assert all(math.isnan(result.rewards["tally"][k]) and result.choice.probabilities[k] == 0 for k in failed)
        assert result.choice.picked not in failed
        assert bool(result.notes) == bool(failed)
        runs_with_failures += bool(failed)
    assert runs_with_failures > 10


def test_finished_replies_are_scored_while_others_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("map_core.generation.resample.PROVISIONAL_STEPS", 1)
    scorer = CountingScorer(partial=False)
    request = GenerationRequest("Hi", {"tally": 1.0}, (), 16, SamplingSettings(max_new_tokens=8), 3)
    scored_before_the_end = 0
    for event in generation_events(ENGINE, {"tally": scorer}, request):
        if isinstance(event, Tokens):
            scored_before_the_end = len(scorer.scored_texts)
    assert isinstance(event, Finished)
    assert scored_before_the_end > 0
    early_replies = {reply.text for reply in event.replies if len(reply.text) < 2}
    assert early_replies
    assert not early_replies & set(scorer.scored_texts[scored_before_the_end:])


def test_weights_changed_while_writing_are_used_for_the_choice() -> None:
    request = GenerationRequest("Hi", {"tally": 1.0}, (), 8, SamplingSettings(max_new_tokens=3), 3)
    weights = CurrentWeights(request.weights)
    for event in generation_events(ENGINE, {"tally": Tally("tally")}, request, weights=weights):
        if isinstance(event, Tokens):
            weights.change({"tally": -50.0})
    assert isinstance(event, Finished)
    assert event.rewards["tally"][event.choice.picked] == min(event.rewards["tally"])
    with pytest.raises(InputError, match="is nan"):
        weights.change({"tally": math.nan})


def test_more_candidates_are_announced_before_their_tokens() -> None:
    request = GenerationRequest(
        "Hi", {"tally": 9.0}, (), 2, SamplingSettings(max_new_tokens=3), 3, most_candidates=7, least_ess=6.9
    )
    count, final_counts = 2, []
    for event in generation_events(ENGINE, {"tally": Tally("tally")}, request):
        if isinstance(event, More):
            count = event.candidates
        if isinstance(event, Tokens):
            assert all(token.candidate < count for token in event.tokens)
        if isinstance(event, Scored) and not event.provisional:
            final_counts.append(len(event.rewards))
    assert final_counts == [2, 4, 6, 7]


VALID_REQUEST = GenerationRequest("Hi")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": " \n\t"}, "prompt is empty"),
        ({"prompt": "x" * (LONGEST_PROMPT + 1)}, "200,001 characters; expected at most 200,000"),
        ({"prompt": "binary \ud800 rubbish"}, "not valid text at character 8"),
        ({"system": "\udfff"}, "system prompt is not valid text"),
        ({"history": (Turn("Hi", "\ud800"),)}, "earlier turn is not valid text"),
        ({"weights": {"humor": math.nan}}, "weight of 'humor' is nan"),
        ({"candidates": 0}, "candidates is 0"),
        ({"candidates": MOST_CANDIDATES + 1}, "is for 1,025 candidates"),
        ({"block": 0}, "block is 0"),
        ({"most_candidates": 64}, "needs a goal"),
        ({"most_candidates": 64, "least_ess": math.nan}, "least_ess is nan"),
        ({"most_candidates": 64, "largest_error": 0.0}, "largest_error is 0"),
        ({"most_candidates": 4, "least_ess": 4.0}, "at least the 16 of the first draw"),
        ({"most_candidates": 64, "least_ess": 4.0, "method": Method.BLOCKS}, "for the methods 'resample' and 'best'"),
    ],
)
def test_invalid_requests_are_refused_with_a_message(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(VALID_REQUEST, **changes)  # type: ignore[arg-type]


def test_engine_without_extend_refuses_blocks_before_any_token() -> None:
    class EngineWithoutExtend(ToyEngine):
        extends = False

    blocks = replace(VALID_REQUEST, weights={"tally": 1.0}, method=Method.BLOCKS)
    with pytest.raises(InputError, match=r"cannot continue.*Use the method 'resample'"):
        next(generation_events(EngineWithoutExtend(), {"tally": Tally("tally")}, blocks))


def test_unknown_method_is_refused_with_a_list_of_methods() -> None:
    with pytest.raises(InputError, match=r"There is no method 'segments'; there are resample, best, blocks, prune\."):
        Method("segments")
