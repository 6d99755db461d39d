"""How fast the engines load and draw, side by side on this machine: ``python -m tests.benchmarks engines``.

Each engine runs in a fresh process, so that loading is measured as a user meets it (imports included, the model in
the cache) and neither leaves anything warm for the other. Beside our own drawing stands, in the same process and in
turns, the engine's raw speed: OpenVINO's own batch of K replies, and transformers' ``generate``. On a GPU the limit is
memory: a step reads every weight and the cache of keys and values once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PROMPTS = (
    "My parcel is a week late and nobody answers my messages. What can you do?",
    "Tell my daughter a short story about a brave snail.",
    "How can I sleep better before an exam?",
)
LONG_PROMPT = (
    "Here is what I wrote in my diary. " + "Today it rained and I read a book by the window. " * 60 + "Sum it up."
)


def measure(engine: str, dtype: str | None, candidates: int, length: int) -> dict[str, object]:
    """Load one engine and draw from it; seconds to load, to the first tokens, and tokens a second."""
    start = time.perf_counter()
    from map_core.core.types import SamplingSettings
    from map_core.engines.draw_request import DrawRequest
    from map_core.engines.factory import open_engine

    opened = open_engine(engine=engine, dtype=dtype)
    load = time.perf_counter() - start
    settings = SamplingSettings(temperature=0.8, top_p=0.95, max_new_tokens=length)
    # The first call sets up its memory.
    opened.complete(DrawRequest(PROMPTS[0], 2, SamplingSettings(max_new_tokens=4), seed=1))
    raw = _raw(opened, candidates, settings)
    raw(PROMPTS[0])
    rates, raw_rates, firsts = [], [], []
    for prompt in PROMPTS:
        start, first, tokens = time.perf_counter(), 0.0, 0
        for step in opened.sample(DrawRequest(prompt, candidates, settings, seed=1)):
            first = first or time.perf_counter() - start
            tokens += len(step)
        rates.append(tokens / (time.perf_counter() - start))
        firsts.append(first)
        start = time.perf_counter()
        tokens = raw(prompt)
        raw_rates.append(tokens / (time.perf_counter() - start))
    prompt_seconds = {
        count: _until_all_have_begun(opened, f"{count}. {LONG_PROMPT}", count) for count in (1, candidates)
    }
    result: dict[str, object] = {
        "engine": opened.info.name,
        "dtype": opened.info.dtype,
        "device": opened.info.device,
        "load_seconds": round(load, 2),
        "first_token_seconds": round(statistics.median(firsts), 3),
        "tokens_per_second": round(statistics.median(rates), 1),
        "raw_tokens_per_second": round(statistics.median(raw_rates), 1),
        "of_raw": round(statistics.median(a / b for a, b in zip(rates, raw_rates, strict=True)), 3),
        "long_prompt_tokens": len(opened.render(LONG_PROMPT)),  # type: ignore[attr-defined]
        "long_prompt_seconds": {str(count): round(seconds, 2) for count, seconds in prompt_seconds.items()},
    }
    if opened.info.device.startswith("cuda"):
        result |= _memory_limit(opened, candidates, len(opened.render(PROMPTS[0])) + length)  # type: ignore[attr-defined]
    return result


def _until_all_have_begun(opened: Any, prompt: str, candidates: int) -> float:
    """Seconds until every candidate of a long prompt has two tokens: its prompt work, and little else."""
    from map_core.core.types import SamplingSettings
    from map_core.engines.draw_request import DrawRequest

    start = time.perf_counter()
    opened.complete(DrawRequest(prompt, candidates, SamplingSettings(max_new_tokens=2), seed=1))
    return time.perf_counter() - start


def _raw(opened: Any, candidates: int, settings: Any) -> Callable[[str], int]:
    """The engine's own way to draw K replies of a prompt at once; returns how many tokens came."""
    if opened.info.name == "openvino":
        import numpy as np
        import openvino
        import openvino_genai as genai

        config = genai.GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            do_sample=True,
            temperature=settings.temperature,
            top_p=settings.top_p,
            num_return_sequences=candidates,
            rng_seed=1,
            stop_token_ids=set(opened.tokenizer.stop_tokens),
        )

        def openvino_batch(prompt: str) -> int:
            ids = openvino.Tensor(np.array([opened.render(prompt)], dtype=np.int64))
            return sum(len(ids) for ids in opened._pipeline.generate([ids], [config])[0].m_generation_ids)

        return openvino_batch
    import torch

    model, pad = opened._model.model, min(opened.tokenizer.stop_tokens)

    def transformers_generate(prompt: str) -> int:
        ids = torch.tensor([opened.render(prompt)], device=opened._model.device)
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=0,
                num_return_sequences=candidates,
                max_new_tokens=settings.max_new_tokens,
                pad_token_id=pad,
                eos_token_id=sorted(opened.tokenizer.stop_tokens),
            )
        new = out[:, ids.shape[1] :]
        # Padding repeats the end-of-turn token; a reply ends with its first.
        ends = torch.isin(new, torch.tensor(sorted(opened.tokenizer.stop_tokens), device=new.device)).int()
        return int(((ends.cumsum(dim=1) - ends) == 0).sum())

    return transformers_generate


def _memory_limit(opened: Any, candidates: int, length: int) -> dict[str, object]:
    """Tokens a second if a step took no longer than reading weights and cache once from the card's memory."""
    import torch

    model, config = opened._model.model, opened._model.model.config
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * size * candidates * length * 2
    source = torch.empty(2**30, dtype=torch.uint8, device=opened.info.device)
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    torch.cuda.synchronize()
    bandwidth = 20 * 2 * 2**30 / (time.perf_counter() - start)  # a copy reads and writes
    return {"bandwidth": bandwidth, "limit_tokens_per_second": candidates * bandwidth / (weights + cache)}


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
        whose = "its own batch" if name == "openvino" else "transformers generate"
        print(
            f"{result['engine']:9} {result['dtype']:9} {result['device']:5} load {result['load_seconds']:5.2f} s, "
            f"first tokens {result['first_token_seconds']:.2f} s, {result['tokens_per_second']:6.0f} tokens/s "
            f"at {candidates} candidates x {length}; {whose} {result['raw_tokens_per_second']:.0f}, ratio "
            f"{result['of_raw']:.2f}; a prompt of {result['long_prompt_tokens']} tokens: "
            + ", ".join(f"{seconds} s for {count}" for count, seconds in result["long_prompt_seconds"].items())
        )
    if len(results) == 2 and results[1]["engine"] == "torch":
        ratio = results[0]["tokens_per_second"] / results[1]["raw_tokens_per_second"]
        print(f"{results[0]['engine']} against transformers generate: {ratio:.1f} times as fast")
    return {"candidates": candidates, "length": length, "results": results}


if __name__ == "__main__":
    run()
