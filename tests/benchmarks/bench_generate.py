"""An aligned reply against plain samples of the same engine, and what a viewer of the app waits for.

Side by side in one run, interleaved: the engine's own samples, drained; the same samples with all default values
scored on the way and at the end; and the same request through the model process, as the page sees it.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import psutil

from map_core import scoring
from map_core.core.types import SamplingSettings
from map_core.engines.draw_request import DrawRequest
from map_core.engines.factory import open_engine
from map_core.generation.events import Finished
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import ScoringCosts
from map_core.generation.sampler import generation_events
from map_core.service.service import GenerationService

REPEATS = 3
CANDIDATES = (16, 32)
SETTINGS = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=48)
PROMPT = "My order arrived broken and nobody answers my letters. What are you going to do about it?"
WEIGHTS = {"helpfulness": 0.5, "kindness": 0.5, "humor": 0.5, "positivity": 1.0, "coherence": 1.0}


def run() -> dict[str, Any]:
    """Measure and print."""
    results: dict[str, Any] = {"tokens": SETTINGS.max_new_tokens, "weights": WEIGHTS}
    began = time.perf_counter()
    engine = open_engine()
    results["load_seconds"] = time.perf_counter() - began
    results["engine"] = engine.info.as_dict()
    scorers = {scorer.name: scorer for scorer in scoring.scorers()}
    costs = ScoringCosts()
    print(f"{engine.info.name}, {engine.info.dtype}, {engine.info.device}; loaded in {results['load_seconds']:.1f} s")
    print(f"{'K':>3}{'plain':>9}{'aligned':>9}{'ratio':>7}{'on the way':>12}{'at the end':>12}{'tokens/s':>10}")
    for candidates in CANDIDATES:
        plain: list[float] = []
        finished: list[Finished] = []
        totals: list[float] = []
        for seed in range(REPEATS + 1):  # the first is a warm-up and not counted
            began = time.perf_counter()
            for _ in engine.sample(DrawRequest(PROMPT, candidates, SETTINGS, seed)):
                pass
            plain.append(time.perf_counter() - began)
            request = GenerationRequest(PROMPT, WEIGHTS, scoring.DEFAULT_VALUES, candidates, SETTINGS, seed)
            began = time.perf_counter()
            *_, last = generation_events(engine, scorers, request, costs=costs)
            totals.append(time.perf_counter() - began)
            assert isinstance(last, Finished)
            finished.append(last)
        figures = {
            "plain_seconds": statistics.median(plain[1:]),
            "aligned_seconds": statistics.median(totals[1:]),
            "ratio": statistics.median(a / p for a, p in zip(totals[1:], plain[1:], strict=True)),
            "provisional_share": statistics.median(f.provisional_seconds / f.sampling_seconds for f in finished[1:]),
            "scoring_seconds": statistics.median(f.scoring_seconds for f in finished[1:]),
            "tokens_a_second": statistics.median(f.tokens / f.sampling_seconds for f in finished[1:]),
        }
        results[f"candidates_{candidates}"] = figures
        print(
            f"{candidates:3d}{figures['plain_seconds']:8.2f}s{figures['aligned_seconds']:8.2f}s{figures['ratio']:7.2f}"
            f"{figures['provisional_share']:12.0%}{figures['scoring_seconds']:11.2f}s{figures['tokens_a_second']:10.0f}"
        )
    del engine, scorers
    results["service"] = _service()
    return results


def _service() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with GenerationService() as service:
        began = time.perf_counter()
        service.start(scoring.DEFAULT_VALUES)
        while service.status().state == "loading":
            time.sleep(0.01)
        figures["ready_seconds"] = time.perf_counter() - began
        service.submit(GenerationRequest(PROMPT, WEIGHTS, scoring.DEFAULT_VALUES, 4, SETTINGS)).wait(120)
        for candidates in CANDIDATES:
            ends = [
                service.submit(
                    GenerationRequest(PROMPT, WEIGHTS, scoring.DEFAULT_VALUES, candidates, SETTINGS, seed)
                ).wait(300)
                for seed in range(1, REPEATS + 1)
            ]
            if failed := next((end.error for end in ends if end.error), None):
                raise SystemExit(failed)
            first = statistics.median(end.first_token_seconds or float("nan") for end in ends)
            total = statistics.median(end.seconds for end in ends)
            figures[f"candidates_{candidates}"] = {"first_token_seconds": first, "seconds": total}
            print(f"through the model process, K = {candidates}: first tokens {first:.2f} s, done {total:.2f} s")
        pid = service.status().pid
        assert pid is not None
        figures["model_process_megabytes"] = psutil.Process(pid).memory_info().rss / 2**20
        figures["engine"] = service.status().engine
    ready, memory = figures["ready_seconds"], figures["model_process_megabytes"]
    print(f"model process ready after {ready:.1f} s, {memory:.0f} MB resident")
    return figures
