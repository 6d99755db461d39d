"""Checkpoints of a tuning by the clock, and the last whole one. Imported only when a model is tuned."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from map_core.building.progress import Progress, Reporter

#: Seconds between two checkpoints; a step that takes longer is kept at its end.
INTERVAL = 60.0
_STATE = "trainer_state.json"
#: Losses that are shown; more are thinned out.
_LOSSES_SHOWN = 200
#: The entry of the trainer's log that holds levels on held-out prompts, so that a checkpoint keeps it.
HELD_OUT = "held_out"


class ClockedCheckpoints(TrainerCallback):
    """Asks for a checkpoint every :data:`INTERVAL` seconds, reports each step, and evaluates held-out prompts.

    Args:
        steps: of the whole tuning.
        report: called with the progress; its figures are ``loss``, pairs of step and loss, and ``held_out``, what
            ``look`` returned, each with its ``step``.
        look: returns what the model does on held-out prompts now, as plain JSON values.
        looks: how often they are evaluated, in even steps; the last step is evaluated by the evidence.
        figures: further ones, known from the start.
    """

    def __init__(
        self,
        steps: int,
        report: Reporter,
        look: Callable[[], Mapping[str, Any]] | None = None,
        looks: int = 0,
        figures: Mapping[str, Any] | None = None,
    ) -> None:
        self._steps, self._report, self._look, self._figures = steps, report, look, figures or {}
        self._looked_at = {math.ceil(steps * k / (looks + 1)) for k in range(1, looks + 1)} if look else set()
        self._resumed = 0
        self._began = self._saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Note where the run goes on from."""
        self._resumed = state.global_step
        self._began = self._saved = time.monotonic()
        self._tell(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Ask for a checkpoint where it is time."""
        if time.monotonic() - self._saved >= INTERVAL and state.global_step < self._steps:
            control.should_save = True
            self._saved = time.monotonic()
        if self._look is not None and state.global_step in self._looked_at and state.global_step < self._steps:
            state.log_history.append({"step": state.global_step, HELD_OUT: dict(self._look())})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Report a step, whose loss is known now."""
        if logs and "loss" in logs:
            self._tell(state)

    def _tell(self, state: Any) -> None:
        seconds = time.monotonic() - self._began
        figures = {
            **self._figures,
            "loss": shown_losses(state.log_history),
            HELD_OUT: held_out_looks(state.log_history),
        }
        done = state.global_step
        self._report(Progress("tuning", done, self._steps, self._resumed, seconds, unit="steps", figures=figures))


def shown_losses(history: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return step and loss of a trainer's log, thinned out to what a figure can show."""
    losses = [(int(row["step"]), float(row["loss"])) for row in history if "loss" in row]
    return losses[:: math.ceil(len(losses) / _LOSSES_SHOWN)] if losses else []


def held_out_looks(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the evaluations of held-out prompts in a trainer's log, each with its step."""
    return [{"step": row["step"], **row[HELD_OUT]} for row in history if HELD_OUT in row]


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last whole checkpoint; what a killed run left half written is removed."""
    whole = []
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        try:
            # The trainer writes its state last.
            whole.append((int(json.loads((path / _STATE).read_text(encoding="utf-8"))["global_step"]), path))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(path, ignore_errors=True)
    return max(whole)[1] if whole else None
