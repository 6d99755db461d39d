"""The command that tunes a model, as the page starts it, with what the page stores about it.

Constraint: nothing is drawn here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.types import Verdict
from map_core.data import table_file, table_format
from map_core.data.reward_table import RewardTable
from map_core.palettes.palette import ALL
from map_core.tuning.settings import TuningMethod, TuningSettings
from pages.view.session.level_words import level_grids, value_titles
from pages.view.session.palette_cache import AssessedPalette

#: Held-out prompts that the tuned model answers in the end, and the number of evaluations on some of them before.
CHECKED, LOOKS = 8, 4
#: Tunings at most where they are repeated until the targets hold.
ROUNDS = 4
ESTIMATE = "--estimate"


@dataclass(frozen=True)
class TuneCommand:
    """A command with its files and its settings.

    Args:
        arguments: of ``python -m map_core``, see :func:`map_core.catalog.processes.start`.
        inputs: files that it reads, by name.
        about: the settings, as plain values for the page.
    """

    arguments: tuple[str, ...]
    inputs: Mapping[str, bytes | Path]
    about: Mapping[str, Any]


def asked_levels(assessed: AssessedPalette) -> dict[str, float]:
    """Return the targets by value, in reward units; those of the nearest palette where this one is out of reach."""
    assessment = assessed.assessment
    targets = assessment.targets
    if assessment.verdict is Verdict.OUT_OF_REACH and assessment.nearest is not None:
        targets = assessment.nearest.targets
        if assessed.counted.aim is not None:
            targets = assessed.counted.aim.with_scorers(targets)
    targets = targets[: assessed.scene.plain]  # columns for what is asked beyond averages come after the values
    levels = assessed.scene.oracle.rewards_at(targets)
    table = assessed.scene.table
    return {table.values[j]: float(levels[j]) for j in map(int, np.flatnonzero(~np.isnan(targets)))}


def refusal(assessed: AssessedPalette) -> str:
    """Return why no model can be tuned to a palette, in a sentence; "" where one can."""
    if not asked_levels(assessed) and not assessed.palette.asks_beyond_averages:
        return "No value has a target, so there is nothing to tune. Set one on the page Set."
    if any(column.cohort is not None for column in assessed.counted.table.derived):
        return (
            "This palette asks for something on some prompts alone, and a tuned model answers all prompts alike. "
            "Remove that on the page Set, or use the page Listen, which chooses among replies."
        )
    return ""


def tune_command(
    assessed: AssessedPalette,
    title: str,
    table: Path,
    whole: RewardTable,
    settings: TuningSettings,
    model: str,
    repeated: bool = False,
) -> TuneCommand:
    """Return the command that estimates a tuning; without its option :data:`ESTIMATE` it is the one that tunes.

    Args:
        assessed: the palette, in the scene of its use case.
        title: of the palette.
        table: the file of the table.
        whole: the table with custom values, which the file may lack.
        settings: of the tuning.
        model: that wrote the table's replies.
        repeated: tune again until the targets hold, :data:`ROUNDS` times at most.
    """
    scene, palette, levels = assessed.scene, assessed.palette, asked_levels(assessed)
    inputs: dict[str, bytes | Path] = {}
    path = str(table)
    own = set(whole.values) - set(table_file.count(table).values)
    if own & set(levels) or (own and palette.asks_beyond_averages):
        path, inputs["table.parquet"] = "{folder}/table.parquet", _copy(whole)
    line = {"targets": {**levels, **palette.columns}, **palette.beside.as_dict()}
    inputs["targets.jsonl"] = (json.dumps(line) + "\n").encode()
    arguments = ["tune", path, "--targets-file", "{folder}/targets.jsonl", "--nearest", "--out", "{out}"]
    arguments += ["--progress-file", "{progress}", f"--method={settings.method.value}", f"--steps={settings.steps}"]
    arguments += [f"--prompts={settings.prompts}", f"--replies={settings.replies}", f"--seed={settings.seed}"]
    arguments += [f"--learning-rate={settings.learning_rate}", f"--looks={LOOKS}", f"--check={CHECKED}"]
    if settings.method is TuningMethod.NATURAL:
        arguments += [f"--value-replies={settings.value_replies}", f"--rank={settings.rank}"]
    if repeated and levels:
        arguments.append(f"--rounds={ROUNDS}")
    if settings.bfloat16:
        arguments.append("--bf16")
    if scene.use_case != ALL:
        arguments.append(f"--use-case={scene.use_case}")
    about = {
        "palette": title,
        "asked": levels,
        "titles": value_titles(scene),
        "grids": level_grids(scene),
        "model": model,
        "method": settings.method.value,
        **({} if settings.method is TuningMethod.NATURAL else {"steps": settings.steps}),
        "use_case": scene.use_case,
        **({"rounds": ROUNDS} if repeated and levels else {}),
    }
    return TuneCommand((*arguments, ESTIMATE), inputs, about)


def _copy(table: RewardTable) -> Path:
    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
        path = Path(file.name)
    table_format.save(table, path)
    return path
