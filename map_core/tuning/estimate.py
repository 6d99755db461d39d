"""What a tuning takes, from one measured step: time, memory, disk. Imported only when a model is tuned."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from map_core.core import amounts, remedies
from map_core.errors import InputError
from map_core.models.files import ModelFiles
from map_core.tuning.examples import PromptExamples
from map_core.tuning.policy import Policy, ReplyBatch
from map_core.tuning.settings import TuningMethod, TuningSettings

#: float32 numbers a weight: the model; with all weights tuned also base model, gradient and two moments.
_COPIES_LORA, _COPIES_FULL = 1, 5
#: Files of adapter and optimizer kept at once: two checkpoints of weights and two moments, one while it is written.
_CHECKPOINTS = 3
#: Tokens of each reply that are drawn to see how long drawing takes.
_DRAWN = 8


@dataclass(frozen=True)
class TuningEstimate:
    """What a tuning takes.

    Args:
        step_seconds: one step, all its prompts; None for a method without steps.
        seconds: all steps, and the reading before them; 0 where an earlier tuning has read the replies.
        peak_bytes: most memory of this process so far, with the measured step; without one what it holds now.
        checkpoint_bytes: disk space while it runs.
        result_bytes: disk space of the result.
        tuned: weights that change.
    """

    step_seconds: float | None
    seconds: float
    peak_bytes: int
    checkpoint_bytes: int
    result_bytes: int
    tuned: int

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as plain numbers."""
        return asdict(self)

    def check_disk(self, folder: Path) -> None:
        """Refuse a disk without room.

        Raises:
            InputError: fewer bytes are free than the tuning needs.
        """
        needed, free = self.checkpoint_bytes + self.result_bytes, shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"The tuning needs {amounts.byte_size(needed)} of disk space and {folder} has "
                f"{amounts.byte_size(free)}. {remedies.SMALLER_RANK}"
            )


def check_memory(files: ModelFiles, settings: TuningSettings) -> None:
    """Refuse a model whose weights alone do not fit, before anything is loaded.

    Raises:
        InputError: it has not enough memory; the message says what would fit.
    """
    weights = sum(path.stat().st_size for path in files.folder.glob("*.safetensors")) // 2  # 16 bits each, mostly
    copies = _COPIES_FULL if settings.full else _COPIES_LORA
    needed, free = 4 * copies * weights, _memory()
    if needed > free:
        alternative = (
            "Tune an adapter (--rank 8), " if settings.full and 4 * weights <= free else "Take a smaller model, "
        )
        raise InputError(
            f"{files.name} has about {amounts.rounded_up(weights)} weights; tuning "
            f"{'all of them' if settings.full else 'an adapter'} takes at least {amounts.byte_size(needed)} of memory, "
            f"and {amounts.byte_size(free)} are free. {alternative}or a machine with more memory."
        )


def measure(
    policy: Policy, examples: Sequence[PromptExamples], settings: TuningSettings, merged: bool
) -> TuningEstimate | None:
    """Take the gradient of one prompt, without changing anything, and estimate the rest.

    Args:
        policy: what is tuned.
        examples: of the table.
        settings: of the tuning.
        merged: the merged model is written too.

    Returns:
        The estimate; None where there are no replies to measure on, as in an online run from a table without tokens.
    """
    if not examples:
        return None
    # A prompt with replies of middle length, so that the step is a typical one.
    middle = sorted(examples, key=lambda example: sum(map(len, example.replies)))[len(examples) // 2]
    batch = ReplyBatch.of(middle, range(min(settings.replies, len(middle.replies))))
    policy.model.train()
    began = time.perf_counter()
    if settings.method is not TuningMethod.DISTILL:
        policy.base_log_probs(batch)
    reading = time.perf_counter() - began
    policy.log_probs(policy.model, batch).sum().backward()
    seconds = time.perf_counter() - began
    policy.model.zero_grad(set_to_none=True)
    if settings.method.online:
        seconds += _drawing_seconds(policy, middle, settings.replies, max(map(len, middle.replies)))
    tuned = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    step = seconds * settings.prompts
    model_bytes = 4 * sum(p.numel() for p in policy.model.parameters())
    return TuningEstimate(
        step_seconds=step,
        seconds=step * settings.steps + _value_seconds(settings, reading / len(batch.targets), examples),
        peak_bytes=peak_bytes(),
        checkpoint_bytes=_CHECKPOINTS * 3 * 4 * tuned,
        result_bytes=4 * tuned + (model_bytes if merged and not settings.full else 0),
        tuned=tuned,
    )


def _value_seconds(settings: TuningSettings, seconds: float, examples: Sequence[PromptExamples]) -> float:
    """Return how long reading the replies takes that values are fitted on, at some seconds a reply."""
    if settings.method is not TuningMethod.ADVANTAGE:
        return 0.0
    return seconds * sum(min(settings.value_replies, len(example.replies)) for example in examples)


def _drawing_seconds(policy: Policy, examples: PromptExamples, replies: int, length: int) -> float:
    """Return how long drawing a prompt's replies takes, from their first tokens."""
    import torch

    prompt = torch.tensor([examples.tokens] * replies, device=next(policy.model.parameters()).device)
    began = time.perf_counter()
    with torch.no_grad():
        policy.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=_DRAWN,
            min_new_tokens=_DRAWN,
            do_sample=True,
            pad_token_id=policy.stops[0],
        )
    return (time.perf_counter() - began) * max(1.0, length / _DRAWN)


def estimate_sentence(estimate: TuningEstimate) -> str:
    """Return what a tuning takes, in words."""
    whole, memory = amounts.rough_duration(estimate.seconds), f"{amounts.byte_size(estimate.peak_bytes)} of memory"
    if estimate.step_seconds is not None:
        step = amounts.rough_duration(estimate.step_seconds)
        time = f"Judged by one measured prompt: a step takes {step}, all of them {whole}, with {memory}. "
    elif estimate.seconds:
        time = f"Judged by one measured prompt: reading the replies takes {whole}, with {memory}. "
    else:
        time = f"An earlier tuning has read the replies; solving takes {memory}. "
    return (
        f"{time}"
        f"{amounts.rounded_up(estimate.tuned)} weights are tuned. Disk space: "
        f"{amounts.byte_size(estimate.checkpoint_bytes)} while it runs, {amounts.byte_size(estimate.result_bytes)} "
        "for the result."
    )


def peak_bytes() -> int:
    """Return the most memory that this process has used."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def resident_bytes() -> int:
    """Return the memory that this process uses now."""
    return int(psutil.Process().memory_info().rss)


def _memory() -> int:
    import torch

    if torch.cuda.is_available():
        return sum(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count()))
    return int(psutil.virtual_memory().available)
