"""Scoring 3,072 replies with all built-in values beside the sampling of them: ``python -m tests.benchmarks values``.

Side by side in one run, a prompt of the embedded table at a time: its 64 replies are drawn and then scored, as a build
does it. The seconds of a value are those that it adds in this order: the first that embeds the replies pays for all.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from map_core import scoring as scoring_values
from map_core.core.types import SamplingSettings
from map_core.data.prompts import read_prompts
from map_core.engines.draw_request import DrawRequest
from map_core.engines.factory import open_engine
from tests import ROOT

FILE = ROOT / "assets" / "prompts.jsonl"
PROMPTS, CANDIDATES = 48, 64
SETTINGS = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=64)


def run() -> dict[str, Any]:
    """Measure and print."""
    every = read_prompts(FILE)
    prompts = every[:: len(every) // PROMPTS][:PROMPTS]
    engine, scorers = open_engine(), scoring_values.scorers()
    warm = engine.complete(DrawRequest(prompts[0].text, 2, SETTINGS, seed=1))
    for scorer in scorers:  # the models load here
        scorer.score(prompts[0].text, warm)
    sampling: list[float] = []
    scoring: dict[str, list[float]] = {scorer.name: [] for scorer in scorers}
    tokens = 0
    for number, prompt in enumerate(prompts):
        began = time.perf_counter()
        replies = engine.complete(DrawRequest(prompt.text, CANDIDATES, SETTINGS, seed=number))
        sampling.append(time.perf_counter() - began)
        tokens += sum(len(reply.log_probs) for reply in replies)
        for scorer in scorers:
            began = time.perf_counter()
            scorer.score(prompt.text, replies)
            scoring[scorer.name].append(time.perf_counter() - began)
    sampled, scored = sum(sampling), sum(map(sum, scoring.values()))
    ratio = statistics.median(
        sum(times) / drawn for drawn, times in zip(sampling, zip(*scoring.values(), strict=True), strict=True)
    )
    print(f"{engine.info.name}: {len(prompts) * CANDIDATES} replies, {tokens} tokens, {tokens / sampled:.0f} a second")
    print(f"sampling {sampled:.1f} s, scoring {scored:.1f} s; scoring over sampling, median prompt: {ratio:.3f}")
    for name, times in scoring.items():
        print(f"{name:16}{sum(times):8.2f} s")
    return {
        "engine": engine.info.as_dict(),
        "replies": len(prompts) * CANDIDATES,
        "tokens": tokens,
        "sampling_seconds": sampled,
        "scoring_seconds": {name: sum(times) for name, times in scoring.items()},
        "scoring_over_sampling": ratio,
    }
