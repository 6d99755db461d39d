"""Laws of :class:`map_core.scoring.Scorer`, for any value.

A test makes a small, real scorer and calls :func:`check_scorer`. Constraint: independent of the family of scorers.
"""

from __future__ import annotations

import json
import pickle

import numpy as np

from map_core.core.types import Reply
from map_core.scoring import Scorer, Specification, from_metadata, score_checked
from map_core.scoring.base import Cost


def reply(text: str, log_prob: float = -1.5) -> Reply:
    """Make a reply of which every word is a token with the same log-probability."""
    count = len(text.split())
    return Reply(text, tuple(range(count)), (log_prob,) * count)


PROMPTS = ("Why is the sky blue?", "لماذا السماء زرقاء؟", "<b>Write</b> a **poem** & stop")
REPLIES = (
    reply("The sky is blue because air scatters blue light."),
    reply("Ha ha, what a silly question! I love it."),
    reply("Shut up, you stupid fool."),
    reply(""),
    reply("   \n\t "),
    reply("😀🎉❤️"),
    reply("..."),
    reply("a"),
    reply("天空为什么是蓝色的"),
    reply("السماء زرقاء بسبب تشتت الضوء \u202e abc"),
    reply("<script>alert('blue')</script> [link](javascript:x) <|im_end|>"),
    reply("blue " * 2000, -0.01),
    reply("x" * 10_000, -30.0),
    Reply("unfinished and", (1, 2), (-0.5, -4.0), finished=False),
)


def check_scorer(scorer: Scorer, tolerance: float = 1e-9) -> None:
    """Check every law in turn.

    Args:
        scorer: of any family.
        tolerance: what padding and the size of a batch may change, in units of the reward.
    """
    # Scorers keep the lists that they read last: laws of the whole list come before the one that reads many others.
    rewards_are_finite_one_a_reply(scorer)
    order_does_not_matter(scorer, tolerance)
    the_same_call_gives_the_same_rewards(scorer)
    batch_equals_one_by_one(scorer, tolerance)
    many_prompts_equal_one_by_one(scorer, tolerance)
    the_card_is_complete(scorer)
    its_entry_makes_it_again(scorer)
    it_travels_to_another_process(scorer, tolerance)


def rewards_are_finite_one_a_reply(scorer: Scorer) -> None:
    """Check that rewards are finite float64, one a reply, whatever the text; none for no reply."""
    for prompt in PROMPTS:
        rewards = score_checked(scorer, prompt, REPLIES)
        assert rewards.shape == (len(REPLIES),)
        assert rewards.dtype == np.float64
    assert score_checked(scorer, PROMPTS[0], []).shape == (0,)


def batch_equals_one_by_one(scorer: Scorer, tolerance: float = 1e-9) -> None:
    """Check that a reward does not depend on the replies beside it or on the padding that they bring."""
    together = scorer.score(PROMPTS[0], REPLIES)
    alone = [scorer.score(PROMPTS[0], [reply])[0] for reply in REPLIES]
    np.testing.assert_allclose(together, alone, atol=tolerance)


def order_does_not_matter(scorer: Scorer, tolerance: float = 1e-9) -> None:
    """Check that a reward stays with its reply when replies are shuffled."""
    order = np.random.default_rng(3).permutation(len(REPLIES))
    shuffled = scorer.score(PROMPTS[0], [REPLIES[i] for i in order])
    np.testing.assert_allclose(shuffled, scorer.score(PROMPTS[0], REPLIES)[order], atol=tolerance)


def the_same_call_gives_the_same_rewards(scorer: Scorer) -> None:
    """Check that scoring twice gives the same rewards to the last bit."""
    np.testing.assert_array_equal(scorer.score(PROMPTS[0], REPLIES), scorer.score(PROMPTS[0], REPLIES))


def many_prompts_equal_one_by_one(scorer: Scorer, tolerance: float = 1e-9) -> None:
    """Check that `score_many`, also with prompts without replies, equals `score` prompt by prompt."""
    of_each = [REPLIES[:5], (), REPLIES[5:9]]
    together = scorer.score_many(PROMPTS, of_each)
    assert [len(rewards) for rewards in together] == [5, 0, 4]
    for prompt, replies, rewards in zip(PROMPTS, of_each, together, strict=True):
        np.testing.assert_allclose(rewards, scorer.score(prompt, replies), atol=tolerance)
    assert scorer.score_many([], []) == []


def the_card_is_complete(scorer: Scorer) -> None:
    """Check that the card has every text, its cost and its needs, and is plain JSON."""
    card = scorer.card.as_dict()
    assert all(card[key] for key in ("name", "title", "measures", "misses", "licence", "source", "version"))
    assert card["costs"] in list(Cost)
    assert all(isinstance(need, str) and need for need in card["needs"])
    json.dumps(card, allow_nan=False)
    assert scorer.partial is card["partial"]
    assert scorer.version.startswith(scorer.card.version)


def its_entry_makes_it_again(scorer: Scorer) -> None:
    """Check that the metadata entry is JSON and says all that is needed to score the value again."""
    entry = json.loads(json.dumps(scorer.entry(), allow_nan=False))
    assert entry["version"] == scorer.version
    specification = from_metadata({"scorers": [entry]})[scorer.name]
    assert specification == Specification(scorer.name, scorer.family, scorer.settings())


def it_travels_to_another_process(scorer: Scorer, tolerance: float = 1e-9) -> None:
    """Check that a scorer that has scored can be pickled: builds run scorers in a worker process."""
    other = pickle.loads(pickle.dumps(scorer))
    assert other.version == scorer.version
    np.testing.assert_allclose(
        other.score(PROMPTS[0], REPLIES[:3]), scorer.score(PROMPTS[0], REPLIES[:3]), atol=tolerance
    )
