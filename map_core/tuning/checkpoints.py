"""Checkpoints of a tuning by the clock, and the last whole one. Imported only when a model is tuned."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from map_core.building.progress import Progress, Reporter

#: Seconds between two checkpoints; a step that takes longer is kept at its end.
INTERVAL = 60.0
_STATE = "trainer_state.json"


class ClockedCheckpoints(TrainerCallback):
    """Asks for a checkpoint every :data:`INTERVAL` seconds, and reports each step.

    Args:
        steps: of the whole tuning.
        report: called with the progress.
    """

    def __init__(self, steps: int, report: Reporter) -> None:
        self._steps, self._report = steps, report
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
        self._tell(state)

    def _tell(self, state: Any) -> None:
        seconds = time.monotonic() - self._began
        self._report(Progress("tuning", state.global_step, self._steps, self._resumed, seconds, unit="steps"))


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
