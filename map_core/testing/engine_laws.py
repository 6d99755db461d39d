"""Laws of :class:`map_core.engines.base.Engine`, for any way to draw replies.

``LAWS`` take an engine alone and hold for a server too, which may return texts without token ids. The laws of a
:class:`map_core.engines.base.LocalEngine` are about tokens and log-probabilities; some take a tolerance in nats. The
model must be able to write 24 different tokens, see :mod:`map_core.testing` for how a test uses them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator

import numpy as np
from scipy import stats

from map_core.core.types import Reply, SamplingSettings, Turn
from map_core.engines.base import Engine, LocalEngine
from map_core.engines.draw_request import DrawRequest, candidate_seed
from map_core.engines.tokens import Token, reply_of
from map_core.models.chat_template import TextStream

PROMPT = "Where is my parcel? It is a week late."
UNCUT = SamplingSettings(max_new_tokens=24)
HISTORY = (Turn("I am Ada.", "Hello Ada."),)
CUT = SamplingSettings(temperature=0.8, top_k=20, top_p=0.9, max_new_tokens=24)


def reply_key(reply: Reply) -> tuple[int, ...] | str:
    """Identify a reply by its token ids, or by its text where the engine returns no ids."""
    return reply.tokens or reply.text


def close(stream: Iterator[list[Token]]) -> None:
    """Close a stream, which is a generator in every engine."""
    assert isinstance(stream, Generator)
    stream.close()


def steps_of(engine: Engine, candidates: int, settings: SamplingSettings, seed: int = 5) -> list[list[Token]]:
    """Collect every step of a stream of candidates for :data:`PROMPT`."""
    return list(engine.sample(DrawRequest(PROMPT, candidates, settings, seed)))


def the_same_call_gives_the_same_tokens(
    engine: Engine, kinds: tuple[SamplingSettings, ...] = (UNCUT, CUT), candidates: int = 6
) -> None:
    """Check that equal prompt, settings and seed give equal replies."""
    for settings in kinds:
        first, second, third = (engine.complete(DrawRequest(PROMPT, candidates, settings, 5)) for _ in range(3))
        assert first == second == third


def candidates_and_seeds_differ(engine: Engine) -> None:
    """Check that candidates of one call differ, and that calls with different seeds do."""
    replies = engine.complete(DrawRequest(PROMPT, 6, UNCUT, 5))
    assert len({reply_key(reply) for reply in replies}) == 6
    others = engine.complete(DrawRequest(PROMPT, 6, UNCUT, 6))
    assert all(reply_key(first) != reply_key(other) for first, other in zip(replies, others, strict=True))


def a_candidate_does_not_depend_on_how_many_there_are(engine: Engine) -> None:
    """Check that candidate k is the same in a call for 2 and in one for 7."""
    few, many = engine.complete(DrawRequest(PROMPT, 2, UNCUT, 5)), engine.complete(DrawRequest(PROMPT, 7, UNCUT, 5))
    assert [reply_key(reply) for reply in few] == [reply_key(reply) for reply in many[:2]]


def streams_are_whole_and_in_order(engine: Engine) -> None:
    """Check that each candidate has one token a step at most, and that its last token is marked."""
    steps = steps_of(engine, 5, SamplingSettings(max_new_tokens=40))
    for step in steps:
        assert len({token.candidate for token in step}) == len(step) > 0
    for candidate in range(5):
        tokens = [token for step in steps for token in step if token.candidate == candidate]
        assert [token.last for token in tokens] == [False] * (len(tokens) - 1) + [True]
        assert not any(token.finished for token in tokens[:-1])
        assert reply_of(tokens).finished == tokens[-1].finished


def streams_end_where_the_model_ends_them(engine: LocalEngine) -> None:
    """Check that a stream ends at an end-of-turn token or at the length limit."""
    steps = steps_of(engine, 5, SamplingSettings(max_new_tokens=40))
    for candidate in range(5):
        tokens = [token for step in steps for token in step if token.candidate == candidate]
        assert [token.finished for token in tokens] == [token.token in engine.tokenizer.stop_tokens for token in tokens]
        assert len(tokens) == 40 or tokens[-1].finished
        reply = reply_of(tokens)
        assert reply.text == engine.decode(reply.tokens)


def streamed_log_probs_are_those_of_the_model(engine: LocalEngine, largest: float) -> None:
    """Check that streamed log-probabilities are those at temperature 1 without truncation, whatever the settings."""
    for settings in (UNCUT, CUT):
        steps = steps_of(engine, 5, settings)
        drawn = [[t for step in steps for t in step if t.candidate == k] for k in range(5)]
        scored = engine.log_probs(PROMPT, [[token.token for token in tokens] for tokens in drawn])
        for tokens, log_probs in zip(drawn, scored, strict=True):
            np.testing.assert_allclose([token.log_prob for token in tokens], log_probs, rtol=0, atol=largest)


def log_probs_do_not_depend_on_the_batch(engine: LocalEngine, largest: float) -> None:
    """Check that scoring replies together or alone gives the same log-probabilities."""
    replies = [reply.tokens for reply in engine.complete(DrawRequest(PROMPT, 5, UNCUT, 5))]
    replies = [replies[0][:3], (), *replies[1:], replies[0][:1]]
    together = engine.log_probs(PROMPT, replies)
    assert [len(log_probs) for log_probs in together] == [len(reply) for reply in replies]
    for reply, log_probs in zip(replies, together, strict=True):
        assert log_probs.dtype == np.float64
        np.testing.assert_allclose(engine.log_probs(PROMPT, [reply])[0], log_probs, rtol=0, atol=largest)


def the_probabilities_of_all_short_replies_add_up_to_one(engine: LocalEngine) -> None:
    """Check that replies of at most one token, however they end, are everything that can be drawn, at a temperature."""
    request = DrawRequest(PROMPT, settings=SamplingSettings(temperature=0.7, max_new_tokens=1))
    words = [token for token in range(engine.tokenizer.vocabulary_size) if token not in engine.tokenizer.stop_tokens]
    replies = [Reply("x", (token,), finished=False) for token in words] + [Reply("", (), finished=True)]
    scores = engine.reply_scores(request, replies)
    assert math.isclose(sum(math.exp(score.log_prob) for score in scores), 1.0, rel_tol=1e-3)
    # At temperature 1 a reply that is cut off is its tokens.
    (reply,) = engine.complete(DrawRequest(PROMPT, settings=SamplingSettings(max_new_tokens=4)))
    plain = DrawRequest(PROMPT, settings=SamplingSettings(max_new_tokens=4))
    (score,) = engine.reply_scores(plain, [Reply(reply.text, reply.tokens, finished=False)])
    (log_probs,) = engine.log_probs(PROMPT, [reply.tokens])
    assert math.isclose(score.log_prob, float(log_probs.sum()), abs_tol=1e-2)
    assert np.allclose(score.token_log_probs, log_probs, atol=1e-2)


def draws_follow_the_model(engine: LocalEngine, settings: SamplingSettings, draws: int = 600) -> None:
    """Check that the first tokens of many candidates have the model's probabilities (chi-square test)."""
    single_token = SamplingSettings(settings.temperature, settings.top_k, settings.top_p, max_new_tokens=1)
    size = engine.tokenizer.vocabulary_size
    log_probs = np.array([scored[0] for scored in engine.log_probs(PROMPT, [[token] for token in range(size)])])
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, atol=1e-4)
    expected = truncated(log_probs, settings)
    tokens = [token.token for step in engine.sample(DrawRequest(PROMPT, draws, single_token, 11)) for token in step]
    counts = np.bincount(tokens, minlength=size)
    assert counts[expected == 0].sum() == 0
    # The chi-square test needs expected counts of five or more, so rarer tokens are counted together.
    order = np.argsort(-expected)
    large = int((expected * draws >= 5).sum())
    groups = [[word] for word in order[:large]] + ([order[large:]] if expected[order[large:]].sum() > 0 else [])
    observed = np.array([counts[group].sum() for group in groups])
    wanted = np.array([expected[group].sum() for group in groups]) * draws
    assert len(groups) > 3
    assert stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 1e-3


def truncated(log_probs: np.ndarray, settings: SamplingSettings) -> np.ndarray:
    """Return the probabilities, (token,), after temperature, then top-k, then top-p."""
    scaled = np.exp(log_probs / settings.temperature)
    order = np.argsort(-scaled)
    kept = order[: settings.top_k] if settings.top_k else order
    share = scaled[kept] / scaled[kept].sum()
    before = np.concatenate([[0.0], np.cumsum(share)[:-1]])
    kept = kept[before < settings.top_p] if settings.top_p < 1 else kept
    result = np.zeros_like(scaled)
    result[kept] = scaled[kept] / scaled[kept].sum()
    return result


def closing_leaves_the_engine_ready(engine: Engine) -> None:
    """Check that a stream that is closed early does not change later calls."""
    expected = engine.complete(DrawRequest(PROMPT, 4, UNCUT, 5))
    for count in (0, 1, 3):
        stream = engine.sample(DrawRequest(PROMPT, 4, UNCUT, 5))
        partial = [next(stream) for _ in range(count)]
        close(stream)
        assert len(partial) == count
        actual = engine.complete(DrawRequest(PROMPT, 4, UNCUT, 5))
        assert [reply_key(reply) for reply in actual] == [reply_key(reply) for reply in expected]
        for reply, expected_reply in zip(actual, expected, strict=True):
            np.testing.assert_allclose(reply.log_probs, expected_reply.log_probs, rtol=0, atol=1e-4)


def calls_may_take_turns(engine: Engine) -> None:
    """Check that interleaved streams give what each gives alone."""
    alone = [engine.complete(DrawRequest(PROMPT, 3, UNCUT, seed)) for seed in (5, 6)]
    streams = [engine.sample(DrawRequest(PROMPT, 3, UNCUT, seed)) for seed in (5, 6)]
    cancelled = engine.sample(DrawRequest(PROMPT, 3, UNCUT, 7))
    drawn: list[list[Token]] = [[], []]
    running = [0, 1]
    next(cancelled)
    while running:
        for i in tuple(running):
            step = next(streams[i], None)
            if step is None:
                running.remove(i)
            else:
                drawn[i] += step
        close(cancelled)
    for tokens, replies in zip(drawn, alone, strict=True):
        for candidate, reply in enumerate(replies):
            assert reply_key(reply_of([t for t in tokens if t.candidate == candidate])) == reply_key(reply)


def both_read_the_same(engine: LocalEngine, other: LocalEngine, largest: float | None, mean: float) -> None:
    """Check that the same tokens have equal log-probabilities under two engines, within tolerances in nats."""
    replies = [reply.tokens for reply in engine.complete(DrawRequest(PROMPT, 4, CUT, 5))]
    assert engine.render(PROMPT) == other.render(PROMPT)
    pairs = zip(engine.log_probs(PROMPT, replies), other.log_probs(PROMPT, replies), strict=True)
    differences = np.concatenate([np.abs(first - second) for first, second in pairs])
    assert differences.mean() < mean
    if largest is not None:
        assert differences.max() < largest


def later_candidates_are_those_of_a_larger_call(engine: Engine) -> None:
    """Check that with ``first=3`` the candidates are those after the third of a larger call."""
    many = engine.complete(DrawRequest(PROMPT, 5, UNCUT, 5))
    drawn: list[list[Token]] = [[], []]
    for step in engine.sample(DrawRequest(PROMPT, 2, UNCUT, 5, first=3)):
        for token in step:
            drawn[token.candidate].append(token)
    assert [reply_key(reply_of(tokens)) for tokens in drawn] == [reply_key(reply) for reply in many[3:]]


def replies_go_on_from_their_beginnings(engine: LocalEngine, largest: float) -> None:
    """Check that copies extended block by block diverge, texts join and log-probabilities are the model's."""
    block = SamplingSettings(max_new_tokens=8)
    begun = [reply for reply in engine.complete(DrawRequest(PROMPT, 8, block, 5)) if not reply.finished]
    beginnings = [begun[0].tokens, begun[0].tokens, *(reply.tokens for reply in begun)]
    for block_index in range(2):
        seeds = [candidate_seed(9 + block_index, k) for k in range(len(beginnings))]
        drawn: list[list[Token]] = [[] for _ in beginnings]
        for step in engine.extend(DrawRequest(PROMPT, settings=block), beginnings, seeds):
            for token in step:
                drawn[token.candidate].append(token)
        if block_index == 0:
            assert drawn[0] != drawn[1]
        wholes = [
            tuple(beginning) + reply_of(tokens).tokens for beginning, tokens in zip(beginnings, drawn, strict=True)
        ]
        for beginning, tokens, whole in zip(beginnings, drawn, wholes, strict=True):
            before = TextStream(engine.tokenizer)
            text = "".join([before.push(token) for token in beginning])
            assert text + "".join(t.text for t in tokens) == engine.decode(whole)
            assert tokens[-1].last
        complete = [[*b, *(t.token for t in ts)] for b, ts in zip(beginnings, drawn, strict=True)]
        scored = engine.log_probs(PROMPT, complete)
        for beginning, tokens, log_probs in zip(beginnings, drawn, scored, strict=True):
            streamed = [token.log_prob for token in tokens]
            np.testing.assert_allclose(streamed, log_probs[len(beginning) :], rtol=0, atol=largest)
        unfinished = [whole for whole, tokens in zip(wholes, drawn, strict=True) if not tokens[-1].finished]
        beginnings = [unfinished[0], *unfinished]


def the_same_beginnings_give_the_same_tokens(engine: LocalEngine) -> None:
    """Check that extending beginnings with the same seeds repeats, whatever was called in between."""
    block = SamplingSettings(max_new_tokens=8)

    def extended(beginnings: list[tuple[int, ...]]) -> list[list[int]]:
        """Extend beginnings by one block; return the new tokens of each."""
        drawn: list[list[int]] = [[] for _ in beginnings]
        seeds = [candidate_seed(3, k) for k in range(len(beginnings))]
        for step in engine.extend(DrawRequest(PROMPT, settings=block), beginnings, seeds):
            for token in step:
                drawn[token.candidate].append(token.token)
        return drawn

    begun = [reply.tokens for reply in engine.complete(DrawRequest(PROMPT, 6, block, 5)) if not reply.finished]
    beginnings = [begun[-1], *begun, begun[0]]
    first = extended(beginnings)
    engine.complete(DrawRequest("Another prompt.", 2, block, 1))
    assert extended(beginnings) == first


def an_earlier_turn_is_part_of_the_prompt(engine: Engine, candidates: int = 3) -> None:
    """Check that the history of a chat changes the replies, reproducibly."""
    with_it = engine.complete(DrawRequest(PROMPT, candidates, UNCUT, 5, history=HISTORY))
    assert with_it == engine.complete(DrawRequest(PROMPT, candidates, UNCUT, 5, history=HISTORY))
    assert with_it != engine.complete(DrawRequest(PROMPT, candidates, UNCUT, 5))


def an_earlier_turn_is_rendered(engine: LocalEngine) -> None:
    """Check that the history of a chat is rendered into the prompt tokens."""
    ids = engine.render(PROMPT, None, HISTORY)
    assert len(ids) > len(engine.render(PROMPT))
    assert "Hello Ada." in engine.decode(ids)


#: The laws that take an engine and nothing else.
LAWS: tuple[Callable[[Engine], None], ...] = (
    candidates_and_seeds_differ,
    a_candidate_does_not_depend_on_how_many_there_are,
    streams_are_whole_and_in_order,
    closing_leaves_the_engine_ready,
    calls_may_take_turns,
    later_candidates_are_those_of_a_larger_call,
    an_earlier_turn_is_part_of_the_prompt,
)
