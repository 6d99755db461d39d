"""Training on the table's replies: transformers' trainer with the losses of :mod:`map_core.tuning.losses`.

A step reads some prompts, each with a fresh sample of its replies; which ones depends on the seed alone, so that a run
that was killed goes on as if it had not been. Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from map_core.core import remedies
from map_core.errors import InputError
from map_core.tuning.examples import PromptExamples
from map_core.tuning.losses import LOSSES, READ_BASE
from map_core.tuning.policy import Policy, ReplyBatch
from map_core.tuning.settings import TuningSettings

_SCHEDULE_STREAM = 0x7D4E


class Schedule(Dataset):
    """The prompts of all steps, one after the other, each with its sample of replies.

    Args:
        examples: the prompts.
        settings: of the tuning.
        weights: (prompt,) how often each prompt counts; None where all count alike, and then each comes once before
            any comes again.
    """

    def __init__(
        self, examples: Sequence[PromptExamples], settings: TuningSettings, weights: np.ndarray | None = None
    ) -> None:
        self.examples = examples
        rng = np.random.default_rng([settings.seed, _SCHEDULE_STREAM])
        size = settings.steps * settings.prompts
        if weights is None:
            rounds = [rng.permutation(len(examples)) for _ in range(math.ceil(size / len(examples)))]
            self._prompts = np.concatenate(rounds)[:size]
        else:
            self._prompts = rng.choice(len(examples), size, p=weights / weights.sum())
        counts = [len(examples[number].replies) for number in self._prompts]
        self._rows = [
            np.sort(rng.permutation(count)[: settings.replies]).tolist() if count > settings.replies else range(count)
            for count in counts
        ]

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, number: int) -> tuple[PromptExamples, list[int]]:
        return self.examples[self._prompts[number]], list(self._rows[number])


class OfflineTrainer(Trainer):
    """transformers' trainer with a loss of one prompt's replies; a step is the mean over its prompts."""

    def __init__(self, policy: Policy, settings: TuningSettings, schedule: Schedule, **more: Any) -> None:
        self._policy = policy
        self._method = settings.method
        self._reads_base = settings.method in READ_BASE
        super().__init__(model=policy.model, train_dataset=schedule, data_collator=_collate, **more)
        # The mean over prompts is taken by the trainer, which otherwise expects a sum over tokens.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Compute the loss of one prompt.

        Raises:
            InputError: it is not finite; the message names the prompt.
        """
        examples, rows = inputs["examples"], inputs["rows"]
        batch = ReplyBatch.of(examples, rows)
        gains = torch.tensor(examples.gains[rows], dtype=torch.float32)
        with self.compute_loss_context_manager():
            base = self._policy.base_log_probs(batch) if self._reads_base else torch.zeros(len(rows))
            log_probs = self._policy.log_probs(model, batch)
        loss = LOSSES[self._method](log_probs, base, gains.to(log_probs.device))
        return self.checked(loss, examples)

    def checked(self, loss: torch.Tensor, examples: PromptExamples) -> torch.Tensor:
        """Return a prompt's loss.

        Raises:
            InputError: it is not finite.
        """
        if not torch.isfinite(loss):
            raise InputError(
                f"The loss of step {self.state.global_step + 1} is {loss.item()}, on the prompt {examples.name!r}. The "
                f"adapter of the last checkpoint is kept. {remedies.LOWER_RATE}"
            )
        return loss


def _collate(rows: list[tuple[PromptExamples, list[int]]]) -> dict[str, Any]:
    ((examples, chosen),) = rows
    return {"examples": examples, "rows": chosen}


def training_arguments(settings: TuningSettings, folder: Path, **more: Any) -> dict[str, Any]:
    """Return the arguments that the offline and the online trainer share."""
    return {
        "output_dir": str(folder),
        "max_steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": math.ceil(settings.steps / 10),
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": settings.seed,
        "bf16": settings.bfloat16,
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "save_strategy": "no",  # by the clock, see run.py
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
    } | more


def prompt_arguments(settings: TuningSettings, folder: Path, **more: Any) -> TrainingArguments:
    """Return the arguments of a trainer that takes one prompt's replies at a time; a step is so many prompts."""
    return TrainingArguments(
        **training_arguments(
            settings,
            folder,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=settings.prompts,
            **more,
        )
    )


def offline_trainer(
    policy: Policy,
    examples: Sequence[PromptExamples],
    settings: TuningSettings,
    folder: Path,
    weights: np.ndarray | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **more: Any,
) -> OfflineTrainer:
    """Return a trainer that is ready to run.

    Args:
        policy: what is tuned.
        examples: the prompts to tune on.
        settings: with an offline method.
        folder: of checkpoints.
        weights: (prompt,) how often each prompt counts; None for all alike.
        callbacks: of transformers.
        more: further training arguments.
    """
    arguments = prompt_arguments(settings, folder, **more)
    return OfflineTrainer(
        policy, settings, Schedule(examples, settings, weights), args=arguments, callbacks=list(callbacks)
    )
