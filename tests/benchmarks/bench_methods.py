"""What each method reaches with the same tokens: whole replies, best of K, block by block.

The same weights for all: those that raise helpfulness, kindness and humor to the 70th percentile on the embedded
table, for its 64 candidates. For some prompts of the table replies are drawn for K = 4 to 64; whole replies and best of
K choose among the same ones. Levels are in standard deviations above the base model's level (that of all whole
replies), averaged over values and prompts: the expected level under the method's own probabilities. The paper's Table 5
has the loss of K = 2, 4, 8, 16 against K = 16.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import numpy as np

from map_core import scoring
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.engines.base import Engine
from map_core.engines.factory import open_engine
from map_core.generation.choice import choose
from map_core.generation.events import Finished
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.reward_cache import RewardCache
from map_core.generation.sampler import generation_events
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.solver.newton import solve

TARGETED = ("helpfulness", "kindness", "humor")
PERCENTILE = 70.0
CANDIDATES = (4, 8, 16, 32, 64)
PROMPTS = 12
BLOCK = 16
SETTINGS = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=64)


def run(prompts: int = PROMPTS, sizes: tuple[int, ...] = CANDIDATES) -> dict[str, Any]:
    """Measure and print.

    Args:
        prompts: how many of the table's prompts.
        sizes: numbers of candidates.
    """
    table = table_format.load(table_format.DEFAULT_TABLE)
    oracle = MemoryOracle.of(table)
    levels = np.full(len(table.values), np.nan)
    for name in TARGETED:
        levels[table.index(name)] = percentiles(table).level(table.index(name), PERCENTILE)
    solution = solve(oracle, oracle.standardise(levels))
    scale = dict(zip(table.values, oracle.scale, strict=True))
    weights = {name: float(solution.weights[table.index(name)]) / scale[name] for name in TARGETED}
    chosen = [table.prompts[i] for i in np.linspace(0, len(table.prompts) - 1, prompts).astype(int)]
    engine = open_engine()
    scorers = {scorer.name: scorer for scorer in scoring.scorers(TARGETED)}
    results: dict[tuple[str, int], list[dict[str, Any]]] = {}
    base: dict[str, list[float]] = {name: [] for name in TARGETED}
    for number, prompt in enumerate(chosen):
        for size in sizes:
            _one_prompt(engine, scorers, prompt, size, 100 + number, weights, results, base)
        print(f"\r{number + 1} of {prompts} prompts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    means = {name: float(np.mean(base[name])) for name in TARGETED}
    rows = []
    print(f"weights {', '.join(f'{name} {w:.2f}' for name, w in weights.items())}; {prompts} prompts")
    heads = (("lambda.r", 9), ("nats", 6), ("log K", 6), ("ESS", 6), ("tokens", 8), ("s", 7))
    print(f"{'K':>3} {'method':9}{'level':>7}{'± se':>6}" + "".join(f"{head:>{width}}" for head, width in heads))
    for size in sizes:
        for method in Method:
            ends = results[method.value, size]
            gains = np.array([[(e["levels"][n] - means[n]) / scale[n] for n in TARGETED] for e in ends])
            gain = gains.mean(axis=1)
            row = {
                "candidates": size,
                "method": method.value,
                "level": float(gain.mean()),
                "error": float(gain.std(ddof=1) / math.sqrt(len(gain))),
                "levels": dict(zip(TARGETED, gains.mean(axis=0).tolist(), strict=True)),
                "steered": float(
                    np.mean([sum(weights[n] * (e["levels"][n] - means[n]) for n in TARGETED) for e in ends])
                ),
                **{key: float(np.mean([e[key] for e in ends])) for key in ("kl", "ess", "tokens", "seconds")},
            }
            rows.append(row)
            print(
                f"{size:3d} {method.value:9}{row['level']:7.2f}{row['error']:6.2f}{row['steered']:9.2f}{row['kl']:6.2f}"
                f"{math.log(size):6.2f}{row['ess']:6.1f}{row['tokens']:8.0f}{row['seconds']:7.1f}"
            )
    return {"weights": weights, "prompts": prompts, "base": means, "rows": rows}


def _one_prompt(
    engine: Engine,
    scorers: dict[str, scoring.Scorer],
    prompt: str,
    size: int,
    seed: int,
    weights: dict[str, float],
    results: dict[tuple[str, int], list[dict[str, Any]]],
    base: dict[str, list[float]],
) -> None:
    for method in (Method.RESAMPLE, Method.BLOCKS, Method.PRUNE):
        request = GenerationRequest(
            prompt, weights, (), size, SETTINGS, seed, provisional=False, method=method, block=BLOCK
        )
        began = time.perf_counter()
        *_, end = generation_events(engine, scorers, request, cache=RewardCache())
        seconds = time.perf_counter() - began
        assert isinstance(end, Finished)
        kinds = [(method, end.choice.probabilities)]
        if method is Method.RESAMPLE:
            for name in TARGETED:
                base[name] += end.rewards[name]
            table = np.array([end.rewards[name] for name in TARGETED]).T
            picked = choose(table, [weights[name] for name in TARGETED], seed, best=True).picked
            kinds.append((Method.BEST, tuple(float(k == picked) for k in range(size))))
        for kind, p in kinds:
            best = kind is Method.BEST
            results.setdefault((kind.value, size), []).append(
                {
                    "levels": {name: float(np.dot(p, end.rewards[name])) for name in TARGETED},
                    "kl": math.log(size) - (size - 1) / size if best else end.choice.kl,
                    "ess": 1.0 if best else end.choice.ess,
                    "tokens": end.tokens,
                    "seconds": seconds,
                }
            )


if __name__ == "__main__":
    run()
