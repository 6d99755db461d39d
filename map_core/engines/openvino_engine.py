"""The engine for the CPU: OpenVINO GenAI's continuous batching, one request per candidate.

Constraint: no torch. Three measurements determine the implementation:

* The log-probabilities that the pipeline reports are the model's own, before temperature, top-k and top-p (equal to
  transformers in float32 within 0.002 nats per token under each of these settings).
* If all candidates of a new prompt start in the same step, each of them computes the prompt, and their tokens differ
  between a first and a second call. If the others start after the first candidate's prompt is in the prefix cache, they
  share it, and the same call gives bit-identical tokens and log-probabilities, whatever prompts came before. Only after
  a cancelled call with the same prompt the first candidate's log-probabilities differ, by rounding (3e-5).
* Reading a GGUF file takes 8 to 10 s, reading the graph that OpenVINO saves from it 3 s, so the graph is cached.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

from map_core.core.types import SamplingSettings
from map_core.engines.base import EngineInfo, LocalEngine, SampledToken
from map_core.errors import EngineError, InputError
from map_core.models import files as model_files
from map_core.models import telemetry
from map_core.models.cache import cache_fault, write_manifest
from map_core.models.chat_template import ChatTokenizer
from map_core.models.conversion import folder_to_gguf, obstacle, read_config
from map_core.models.files import ModelFiles
from map_core.models.packaged import Progress

telemetry.disable()

_GRAPH = "openvino_model.xml"
#: Tokens per pass when scoring: more are not faster, and their logits over 50,000 words would take 200 kB each, twice.
_SCORED_AT_ONCE = 256


def prepare(files: ModelFiles, progress: Progress | None = None, again: bool = False) -> Path:
    """Return the folder with a model's OpenVINO graph, which is made from its weights if it is missing or damaged.

    Args:
        files: the model.
        progress: called with a line of text before the conversion, which takes about ten seconds.
        again: check the hashes of an existing graph, not only the sizes.

    Raises:
        InputError: OpenVINO cannot run this model.
    """
    if reason := obstacle(files.folder):
        raise InputError(f"{files.name} cannot be run by OpenVINO: {reason}. Use --engine torch.")
    home = model_files.graph_folder(files)
    if cache_fault(home, files.sha256, verify=again) is None:
        return home
    from filelock import FileLock

    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if cache_fault(home, files.sha256, verify=again) is None:
            return home
        if progress:
            progress(f"{files.name}: preparing for OpenVINO")
        for stale in home.parent.glob(f".{home.name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        try:
            graph = _make_graph(files, work)
            if home.exists():
                home.rename(work / "old")
            graph.rename(home)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return home


def _make_graph(files: ModelFiles, work: Path) -> Path:
    import openvino_genai as genai

    raw, graph = work / "raw", work / "graph"
    raw.mkdir()
    graph.mkdir()
    try:
        folder_to_gguf(files.folder, raw / "model.gguf")
        # Reading the file writes the graph beside it.
        pipeline = genai.ContinuousBatchingPipeline(
            raw / "model.gguf", _scheduler(1), "CPU", {"enable_save_ov_model": True}
        )
    except InputError:
        raise
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise model_files.load_error(files, error) from error
    del pipeline
    for path in (raw / _GRAPH, (raw / _GRAPH).with_suffix(".bin")):
        path.rename(graph / path.name)
    for name in ("config.json", "generation_config.json"):
        if (files.folder / name).is_file():
            shutil.copy(files.folder / name, graph / name)
    write_manifest(graph, {"name": files.name, "sha256": files.sha256})
    return graph


def _scheduler(gigabytes: int) -> Any:
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.cache_size = gigabytes
    scheduler.max_num_seqs = 256
    scheduler.max_num_batched_tokens = 512
    return scheduler


class OpenVinoEngine(LocalEngine):
    """A base model in OpenVINO GenAI on the CPU.

    Args:
        files: the model; its graph is prepared at the first use.
        dtype: "float32" or "bfloat16"; None for bfloat16 if the processor supports it, else float32.
        cache_gigabytes: size of the KV cache, which should hold the prompts and replies of a call, and which is filled
            in the end, as prefixes stay in it; 0 for one that grows to what the largest call takes.
        draws: load what draws replies now; False where the engine is only to score some, which saves its memory.

    Raises:
        InputError: OpenVINO cannot run this model, or the dtype is unknown.
        EngineError: OpenVINO is not installed or its files cannot be read.
    """

    def __init__(
        self, files: ModelFiles, dtype: str | None = None, cache_gigabytes: int = 1, draws: bool = True
    ) -> None:
        try:
            import openvino
            import openvino_genai  # noqa: F401 (the pipeline's)
        except ImportError as error:
            raise EngineError("openvino_genai is not installed. Run: pip install openvino-genai") from error
        if dtype not in (None, "float32", "bfloat16"):
            raise InputError(f"The dtype is {dtype!r}; expected float32 or bfloat16.")
        config = read_config(files.folder)
        super().__init__(files, ChatTokenizer(files.folder), int(config["max_position_embeddings"]))
        if dtype is None:
            capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            dtype = "bfloat16" if "BF16" in capabilities else "float32"
        self._info = EngineInfo("openvino", files.name, files.sha256, dtype, "cpu", self.tokenizer.preamble())
        precision = {"float32": "f32", "bfloat16": "bf16"}[dtype]
        self._properties = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
        self._cache_gigabytes = cache_gigabytes
        self._graph = prepare(files)
        self._requests = 0
        if draws:
            _ = self._pipeline

    @cached_property
    def _pipeline(self) -> Any:
        import openvino_genai as genai

        scheduler = _scheduler(self._cache_gigabytes)
        try:
            return genai.ContinuousBatchingPipeline(self._graph, scheduler, "CPU", self._properties)
        except RuntimeError as error:
            prepare(self.files, again=True)
            raise model_files.load_error(self.files, error) from error

    @property
    def info(self) -> EngineInfo:
        """Which model and library draw the replies."""
        return self._info

    def _decode(
        self, prompt: list[int], beginnings: list[list[int]], settings: SamplingSettings, seeds: list[int]
    ) -> Iterator[list[SampledToken]]:
        import openvino
        import openvino_genai as genai

        candidates = len(beginnings)
        stops = self.tokenizer.stop_tokens
        handles: list[Any] = []
        drawn = [0] * candidates
        unfinished = candidates

        def start(candidate: int) -> None:
            config = genai.GenerationConfig(
                max_new_tokens=settings.max_new_tokens,
                do_sample=True,
                temperature=settings.temperature,
                top_p=settings.top_p,
                logprobs=1,
                rng_seed=seeds[candidate],
                stop_token_ids=set(stops),
                **({"top_k": settings.top_k} if settings.top_k else {}),
            )
            ids = openvino.Tensor(np.array([prompt + beginnings[candidate]], dtype=np.int64))
            handles.append(self._pipeline.add_request(self._requests, ids, config))
            self._requests += 1

        try:
            busy = self._pipeline.has_non_finished_requests()
            for candidate in range(candidates if beginnings[0] else 1):
                start(candidate)
            if busy:
                # Other calls are running: a further call that starts now can share the next step, with all prompts.
                yield []
            while unfinished:
                step = []
                # Read before stepping, since the steps of concurrent calls also produce tokens of this one.
                for candidate, handle in enumerate(handles):
                    if not handle.can_read():
                        continue
                    for output in handle.read().values():
                        for token, log_prob in zip(output.generated_ids, output.generated_log_probs, strict=True):
                            drawn[candidate] += 1
                            finished = token in stops
                            last = finished or drawn[candidate] == settings.max_new_tokens
                            unfinished -= last
                            step.append(SampledToken(candidate, token, log_prob, last, finished))
                if step:
                    yield step
                    for candidate in range(len(handles), candidates):
                        start(candidate)
                elif self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                else:
                    raise EngineError(
                        "OpenVINO ended a reply early; its memory for keys and values may be too small for "
                        f"{candidates} candidates of {len(prompt)} + {settings.max_new_tokens} tokens."
                    )
        finally:
            for handle in handles:
                handle.cancel()
            # The next step, which computes nothing, removes cancelled requests from the scheduler.
            if self._pipeline.has_non_finished_requests():
                self._pipeline.step()

    @cached_property
    def _scorer(self) -> Any:
        """The same graph compiled to score whole replies, since the pipeline reports only tokens that it draws."""
        import openvino

        return openvino.Core().compile_model(str(self._graph / _GRAPH), "CPU", self._properties)

    def _score(self, prompt: list[int], replies: list[list[int]]) -> list[np.ndarray]:
        request = self._scorer.create_infer_request()
        size = len(prompt)
        order = sorted(range(len(replies)), key=lambda i: -len(replies[i]))
        scores: list[np.ndarray] = [np.zeros(0)] * len(replies)
        while order:
            length = len(replies[order[0]])
            batch, order = order[: max(1, _SCORED_AT_ONCE // length)], order[max(1, _SCORED_AT_ONCE // length) :]
            request.reset_state()
            first = request.infer(_inputs(np.array([prompt]), 0, np.zeros(1)))[0][:, -1]
            first_log_probs = log_softmax(first.astype(np.float64), axis=-1)[0]
            padded = np.zeros((len(batch), length), dtype=np.int64)
            for row, i in enumerate(batch):
                padded[row, : len(replies[i])] = replies[i]
            logits = request.infer(_inputs(padded, size, np.zeros(len(batch))))[0]
            for row, i in enumerate(batch):
                reply = np.array(replies[i])
                later = log_softmax(logits[row, : len(reply) - 1].astype(np.float64), axis=-1)[
                    np.arange(len(reply) - 1), reply[1:]
                ]
                scores[i] = np.concatenate([first_log_probs[reply[:1]], later])
        return scores

    def _logits_of(self, prompt: list[int], replies: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
        request = self._scorer.create_infer_request()
        order = sorted(range(len(replies)), key=lambda i: -len(replies[i]))
        while order:
            length = len(replies[order[0]])
            count = max(1, _SCORED_AT_ONCE // max(length, 1))
            batch, order = order[:count], order[count:]
            request.reset_state()
            first = request.infer(_inputs(np.array([prompt]), 0, np.zeros(1)))[0][:, -1].copy()
            if not length:
                yield from ((i, first) for i in batch)
                continue
            padded = np.zeros((len(batch), length), dtype=np.int64)
            for row, i in enumerate(batch):
                padded[row, : len(replies[i])] = replies[i]
            logits = request.infer(_inputs(padded, len(prompt), np.zeros(len(batch))))[0]
            for row, i in enumerate(batch):
                yield i, np.concatenate([first, logits[row, : len(replies[i])]])


def _inputs(tokens: np.ndarray, before: int, beams: np.ndarray) -> dict[str, np.ndarray]:
    """Return the graph's inputs for tokens (row, position) after ``before`` cached tokens of the rows ``beams``."""
    rows, length = tokens.shape
    return {
        "input_ids": tokens.astype(np.int64),
        "attention_mask": np.ones((rows, before + length), dtype=np.int64),
        "position_ids": np.tile(np.arange(before, before + length, dtype=np.int64), (rows, 1)),
        "beam_idx": beams.astype(np.int32),
    }
