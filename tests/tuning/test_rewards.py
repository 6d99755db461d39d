"""Tests of the rewards of an online run: a reply that one value cannot score is left out for all values."""

from __future__ import annotations

import pytest

from map_core.scoring.base import ScorerError
from map_core.tuning.rewards import SharedRewards


def reward_function(name: str, rewards: dict[str, float], calls: list[int]):
    """Return a reward function that fails on a batch with an unknown reply, as those of the library do."""

    def score(prompts, completions, completion_ids=None, **columns) -> list[float]:
        calls.append(len(completions))
        for completion in completions:
            if completion not in rewards:
                raise ScorerError(f"{name} has no word for {completion!r}.")
        return [rewards[completion] for completion in completions]

    score.__name__ = name
    return score


def test_rewards_are_centred_and_scored_once():
    calls: list[int] = []
    humor = reward_function("humor", {"a": 1e6 + 1.0, "b": 1e6 + 2.0}, calls)
    kindness = reward_function("kindness", {"a": 0.5, "b": -0.5}, calls)
    shared = SharedRewards([humor, kindness], {"humor": 1e6, "kindness": 0.0})
    first, second = shared.functions()
    assert (first.__name__, second.__name__) == ("humor", "kindness")
    batch = {"prompts": ["x", "x"], "completions": ["a", "b"], "trainer_state": object()}
    assert first(**batch) == [1.0, 2.0]
    assert second(**batch) == [0.5, -0.5]
    assert calls == [2, 2]
    assert shared.left_out == 0


def test_a_reply_that_one_value_cannot_score_is_left_out_for_all():
    calls: list[int] = []
    humor = reward_function("humor", {"a": 1.0, "c": 3.0}, calls)
    kindness = reward_function("kindness", {"a": 0.5, "b": -0.5, "c": 0.0}, calls)
    shared = SharedRewards([humor, kindness], {})
    first, second = shared.functions()
    batch = {"prompts": ["x"] * 3, "completions": ["a", "b", "c"], "completion_ids": [[1], [2], [3]]}
    assert first(**batch) == [1.0, None, 3.0]
    assert second(**batch) == [0.5, None, 0.0]
    assert shared.left_out == 1
    assert "has no word for 'b'" in shared.reason


def test_a_step_without_a_reply_that_can_be_scored_raises():
    shared = SharedRewards([reward_function("humor", {}, [])], {})
    with pytest.raises(ScorerError, match=r"No reply of this step can be scored. humor has no word"):
        shared.functions()[0](prompts=["x"], completions=["a"])
