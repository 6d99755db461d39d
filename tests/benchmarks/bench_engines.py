"""How fast the engines load and draw, side by side on this machine: ``python -m tests.benchmarks engines``.

Each engine runs in a fresh process, so that loading is measured as a user meets it (imports included, the model in
the cache) and neither leaves anything warm for the other. Prints a line an engine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

PROMPTS = (
    "My parcel is a week late and nobody answers my messages. What can you do?",
    "Tell my daughter a short story about a brave snail.",
    "How can I sleep better before an exam?",
)


def measure(engine: str, dtype: str | None, candidates: int, length: int) -> dict[str, object]:
    """Load one engine and draw from it; seconds to load, to the first tokens, and tokens a second."""
    start = time.perf_counter()
    from map_core.generate.engine import open_engine
    from map_core.glossary import SamplingSettings

    opened = open_engine(engine=engine, dtype=dtype)
    load = time.perf_counter() - start
    settings = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=length)
    opened.complete(PROMPTS[0], 2, SamplingSettings(max_new_tokens=4), seed=1)  # the first call sets up its memory
    rates, firsts = [], []
    for prompt in PROMPTS:
        start, first, tokens = time.perf_counter(), 0.0, 0
        for step in opened.sample(prompt, candidates, settings, seed=1):
            first = first or time.perf_counter() - start
            tokens += len(step)
        rates.append(tokens / (time.perf_counter() - start))
        firsts.append(first)
    return {
        "engine": opened.info.name,
        "dtype": opened.info.dtype,
        "device": opened.info.device,
        "load_seconds": round(load, 2),
        "first_token_seconds": round(statistics.median(firsts), 3),
        "tokens_per_second": round(statistics.median(rates), 1),
    }


def run(candidates: int = 32, length: int = 48, engines: tuple[str, ...] = ("openvino", "torch")) -> dict[str, object]:
    """Measure engines, each in a process of its own.

    Args:
        candidates, length: how many replies of how many new tokens.
        engines: names, each with :dtype if wanted.
    """
    results = []
    for engine in engines:
        name, _, dtype = engine.partition(":")
        program = (
            "import json; from tests.benchmarks.bench_engines import measure; "
            f"print(json.dumps(measure({name!r}, {dtype or None!r}, {candidates}, {length})))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{engine}: {done.stderr.strip().splitlines()[-1]}")
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        results.append(result)
        print(
            f"{result['engine']:9} {result['dtype']:9} {result['device']:5} load {result['load_seconds']:5.2f} s, "
            f"first tokens {result['first_token_seconds']:.2f} s, {result['tokens_per_second']:6.0f} tokens/s "
            f"at {candidates} candidates x {length}"
        )
    return {"candidates": candidates, "length": length, "results": results}


if __name__ == "__main__":
    run()
