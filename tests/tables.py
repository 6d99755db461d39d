"""Small synthetic reward tables."""

from __future__ import annotations

import numpy as np

from map_core.data.reward_table import RewardTable

VALUES = ("helpfulness", "harmlessness", "humor", "positivity")
USE_CASES = ("Customer support", "Stories")


def make_table(
    prompts: int = 12,
    candidates: int = 16,
    values: tuple[str, ...] = VALUES,
    seed: int = 0,
    correlation: float = -0.5,
) -> RewardTable:
    """Return a seeded table whose rewards vary between prompts and replies; the first two values are correlated."""
    rng = np.random.default_rng(seed)
    size = len(values)
    covariance = np.eye(size)
    if size > 1:
        covariance[0, 1] = covariance[1, 0] = correlation
    replies = rng.multivariate_normal(np.zeros(size), covariance, (prompts, candidates))
    rewards = (replies + 0.5 * rng.normal(size=(prompts, 1, size))).reshape(-1, size)
    rewards = rewards * np.linspace(0.5, 3.0, size) + np.arange(size)
    words = (
        "thank you",
        "of course",
        "let me see",
        "a joke",
        "well then",
        "step one",
        "sorry to hear",
        "today",
    )
    replies_text = [f"{words[i % len(words)]} and {words[(i * 5 + 3) % len(words)]} ({i})" for i in range(len(rewards))]
    return RewardTable(
        values=tuple(values),
        rewards=rewards,
        offsets=np.arange(prompts + 1) * candidates,
        prompt_ids=tuple(f"p{i:02d}" for i in range(prompts)),
        prompts=tuple(f"Question number {i}, please?" for i in range(prompts)),
        use_cases=tuple(USE_CASES[i * len(USE_CASES) // prompts] for i in range(prompts)),
        replies=tuple(replies_text),
        tokens=tuple((i % 50, i % 7) for i in range(len(rewards))),
        log_probs=-rng.exponential(20.0, len(rewards)),
        metadata={
            "sampling": {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "max_new_tokens": 16},
            "seed": seed,
        },
    )
