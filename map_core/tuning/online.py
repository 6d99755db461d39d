"""Training on new replies: TRL's RLOO, with the settings whose fixed point is the tilt.

Its reward is sum_j lambda_j r_j - sum_t (log p - log p0), both at the trainer's temperature over the whole vocabulary.
Advantages are differences from the mean of the siblings, so at p = p0 exp(lambda . r) / Z all of them are 0 on every
draw. Dividing them by their deviation, another beta or rewards that are whitened first is another palette. Constraint:
imported only when a model is tuned.

Source: Ahmadian et al., Back to basics, ACL 2024 (arXiv 2402.14740).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.types import SamplingSettings
from map_core.models import telemetry
from map_core.tuning.offline import training_arguments
from map_core.tuning.settings import TuningSettings

_PROMPT_STREAM = 0x0A11


def rloo_settings(
    settings: TuningSettings, sampling: SamplingSettings, lam: Sequence[float], folder: Path, **more: Any
) -> Any:
    """Return TRL's configuration of a run whose fixed point is the tilt.

    Args:
        settings: of the tuning.
        sampling: of the table; its temperature and length limit are the trainer's.
        lam: (value,) one weight a reward function.
        folder: of checkpoints.
        more: further arguments of ``RLOOConfig``.
    """
    from trl import RLOOConfig

    arguments = training_arguments(settings, folder) | {
        "beta": 1.0,
        "reward_weights": [float(weight) for weight in lam],
        "normalize_advantages": False,
        "num_iterations": 1,
        "sync_ref_model": False,
        "num_generations": settings.replies,
        "per_device_train_batch_size": settings.replies,
        "gradient_accumulation_steps": settings.prompts,
        "disable_dropout": True,
        "temperature": sampling.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "max_completion_length": sampling.max_new_tokens,
        "gradient_checkpointing": None,
        "activation_checkpointing": False,
    }
    return RLOOConfig(**(arguments | more))


def rloo_trainer(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Any],
    rewards: Sequence[Callable[..., Any]],
    arguments: Any,
    weights: np.ndarray | None = None,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Return TRL's trainer, ready to run.

    Args:
        model: with a LoRA adapter; without one the base model is loaded again from where the model came from.
        tokenizer: of transformers, with the model's chat template.
        prompts: chats, or texts of a model without a chat template.
        rewards: a function a value, in the order of the weights.
        arguments: of :func:`rloo_settings`.
        weights: (prompt,) how often each prompt counts; None for all alike.
        callbacks: of transformers.
    """
    from datasets import Dataset
    from trl import RLOOTrainer

    telemetry.disable_hub()
    rows = [{"prompt": prompt} for prompt in prompts]
    if weights is not None:
        rng = np.random.default_rng([arguments.seed, _PROMPT_STREAM])
        size = arguments.max_steps * arguments.gradient_accumulation_steps
        rows = [rows[number] for number in rng.choice(len(rows), size, p=weights / weights.sum())]
    return RLOOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=list(rewards),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        callbacks=list(callbacks),
    )
