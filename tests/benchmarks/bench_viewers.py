"""One model process for a room: eight viewers at once against one, through the service as the pages use it.

Every viewer asks its own prompt with K candidates. Tokens a second of all are compared with one viewer's at the same K,
and one viewer's with as many candidates as all of them together. Prints when each viewer saw the first tokens, the time
from the last token to the choice, and the memory of the one process that holds the model.
"""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any

import psutil

from map_core import scoring
from map_core.core.types import SamplingSettings
from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from map_core.service.snapshot import GenerationSnapshot

VIEWERS = 8
REPEATS = 3
SETTINGS = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=48)
PROMPTS = (
    "My order arrived broken and nobody answers my letters. What are you going to do about it?",
    "Tell my daughter a short story about a brave snail.",
    "How can I sleep better before an exam?",
    "Write a toast for my colleague who retires on Friday.",
    "My neighbour plays the drums at night. How do I talk to him?",
    "Explain to a child why the moon changes its shape.",
    "I have burned the rice again. What do I do differently?",
    "Give me three ideas for a rainy Sunday with two children.",
)
WEIGHTS = {"helpfulness": 0.5, "kindness": 0.5, "humor": 0.5, "positivity": 1.0, "coherence": 1.0}


def run() -> dict[str, Any]:
    """Measure and print."""
    figures: dict[str, Any] = {"viewers": VIEWERS}
    with GenerationService() as service:
        service.start(scoring.DEFAULT_VALUES)
        _together(service, 1, 4, 0)  # warms up
        pid = service.status().pid
        assert pid is not None
        memory = psutil.Process(pid)
        figures["megabytes_one"] = memory.memory_info().rss / 2**20
        seeds = itertools.count(1)  # new replies each time, since known ones would not be scored again
        for candidates in (4, 16, 32):
            single, many, alone = [], [], []
            for _ in range(REPEATS):
                single.append(_together(service, 1, candidates, next(seeds)))
                many.append(_together(service, VIEWERS, candidates, next(seeds)))
                if candidates * VIEWERS <= 32:
                    alone.append(_together(service, 1, candidates * VIEWERS, next(seeds)))
            rows = {
                "one": statistics.median(_rate(ends) for ends in single),
                "all": statistics.median(_rate(ends) for ends in many),
                "one_with_as_many": statistics.median(_rate(ends) for ends in alone) if alone else None,
                "first_tokens": max(max(end.first_token_seconds or 0.0 for end, _ in ends) for ends in many),
                "choice": statistics.median(end.choice_seconds or 0.0 for ends in single for end, _ in ends),
                "choice_of_all": statistics.median(end.choice_seconds or 0.0 for ends in many for end, _ in ends),
            }
            figures[f"candidates_{candidates}"] = rows
            beside = f" (one viewer with {candidates * VIEWERS}: {rows['one_with_as_many']:.0f})" if alone else ""
            print(
                f"K = {candidates:2d}: one viewer {rows['one']:5.0f} tokens/s, {VIEWERS} viewers {rows['all']:5.0f} in "
                f"all{beside}, ratio {rows['all'] / rows['one']:.2f}; every viewer sees tokens within "
                f"{rows['first_tokens']:.2f} s; last token to choice {rows['choice']:.2f} s for one, "
                f"{rows['choice_of_all']:.2f} s for {VIEWERS}"
            )
        figures["megabytes_all"] = memory.memory_info().rss / 2**20
        print(
            f"memory of the model process: {figures['megabytes_one']:.0f} MB, after {figures['megabytes_all']:.0f} MB"
        )
    return figures


def _together(
    service: GenerationService, viewers: int, candidates: int, seed: int
) -> list[tuple[GenerationSnapshot, float]]:
    """So many viewers ask at once; each one's end and the seconds until all had ended."""
    began = time.perf_counter()
    generations = [
        service.submit(
            GenerationRequest(PROMPTS[number], WEIGHTS, scoring.DEFAULT_VALUES, candidates, SETTINGS, seed),
            f"viewer {number}",
        )
        for number in range(viewers)
    ]
    ends = [generation.wait(600) for generation in generations]
    seconds = time.perf_counter() - began
    if failed := next((end.error for end in ends if end.error), None):
        raise SystemExit(failed)
    return [(end, seconds) for end in ends]


def _rate(ends: list[tuple[GenerationSnapshot, float]]) -> float:
    """Tokens a second over all viewers, from the first request to the last choice."""
    return sum(end.tokens for end, _ in ends) / ends[0][1]


if __name__ == "__main__":
    run()
