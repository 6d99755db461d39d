"""The command that tunes a model, as the page starts it, and what the page remembers of it.

Constraint: nothing is drawn here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.types import Verdict
from map_core.data import table_file, table_format
from map_core.data.reward_table import RewardTable
from map_core.palettes.palette import ALL
from map_core.text import sentences
from map_core.text.tuning import GRID
from map_core.tuning.settings import TuningSettings
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene

#: Held-out prompts that the tuned model answers in the end, and looks at some of them on the way.
CHECKED, LOOKS = 8, 4
ESTIMATE = "--estimate"


@dataclass(frozen=True)
class TuneCommand:
    """A command with its files and what is remembered of it.

    Args:
        arguments: of ``python -m map_core``, see :func:`map_core.catalog.processes.start`.
        inputs: files that it reads, by name.
        about: what was asked for, plain values.
    """

    arguments: tuple[str, ...]
    inputs: Mapping[str, bytes | Path]
    about: Mapping[str, Any]


def asked_levels(asked: AssessedPalette) -> dict[str, float]:
    """Return the targets by value, in reward units; those of the nearest palette where this one is out of reach."""
    assessment = asked.assessment
    targets = assessment.targets
    if assessment.verdict is Verdict.OUT_OF_REACH and assessment.nearest is not None:
        targets = assessment.nearest.targets
    targets = targets[: asked.scene.plain]  # columns of what is asked beyond averages come after the values
    levels = asked.scene.oracle.rewards_at(targets)
    table = asked.scene.table
    return {table.values[j]: float(levels[j]) for j in map(int, np.flatnonzero(~np.isnan(targets)))}


def tune_command(
    asked: AssessedPalette, title: str, table: Path, whole: RewardTable, settings: TuningSettings, model: str
) -> TuneCommand:
    """Return the command that says what a tuning takes; without :data:`ESTIMATE` it is the one that tunes.

    Args:
        asked: the palette, in the scene of its use case.
        title: what it is called.
        table: the file of the table.
        whole: the table with values of one's own, which the file need not have.
        settings: of the tuning.
        model: that wrote the table's replies.
    """
    scene, levels = asked.scene, asked_levels(asked)
    inputs: dict[str, bytes | Path] = {}
    path = str(table)
    if not set(levels) <= set(table_file.count(table).values):
        path, inputs["table.parquet"] = "{folder}/table.parquet", _copy(whole)
    targets: dict[str, Any] = {**levels, **asked.palette.columns}
    inputs["targets.jsonl"] = (json.dumps({"targets": targets}) + "\n").encode()
    arguments = ["tune", path, "--targets-file", "{folder}/targets.jsonl", "--nearest", "--out", "{out}"]
    arguments += ["--progress-file", "{progress}", f"--method={settings.method.value}", f"--steps={settings.steps}"]
    arguments += [f"--prompts={settings.prompts}", f"--replies={settings.replies}", f"--seed={settings.seed}"]
    arguments += [f"--learning-rate={settings.learning_rate}", f"--looks={LOOKS}", f"--check={CHECKED}"]
    if scene.use_case != ALL:
        arguments.append(f"--use-case={scene.use_case}")
    about = {
        "palette": title,
        "asked": levels,
        "titles": {name: sentences.capitalised(scene.names[j]) for j, name in enumerate(scene.table.values)},
        "grids": level_grids(scene),
        "model": model,
        "method": settings.method.value,
        "steps": settings.steps,
        "use_case": scene.use_case,
    }
    return TuneCommand((*arguments, ESTIMATE), inputs, about)


def level_grids(scene: Scene) -> dict[str, Sequence[float]]:
    """Return the levels at the places of :data:`map_core.text.tuning.GRID`, by value, in reward units."""
    return {
        name: [float(scene.percentiles.level(j, float(place))) for place in GRID]
        for j, name in enumerate(scene.table.values)
    }


def _copy(table: RewardTable) -> Path:
    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
        place = Path(file.name)
    table_format.save(table, place)
    return place
