"""Compare a palette's outcome on two tables, as JSON and as text: ``groups --compare``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.analysis.drift import Drift, LevelDrift, drift
from map_core.cli.inputs import LoadedTable, PaletteTargets, load_with_notes
from map_core.cli.output import columns, print_json
from map_core.core import amounts
from map_core.core.types import Form

VERDICTS = {"reachable": "reachable", "on_paper": "not reliable", "out_of_reach": "not possible together", None: "–"}


def compare_tables(
    opened: LoadedTable,
    other: Path,
    use_case: str | None,
    form: str | None,
    palettes: Iterable[PaletteTargets],
    as_json: bool,
) -> None:
    """Print how the outcome of each palette changes on another table."""
    after = load_with_notes(other).select(use_case)
    after = after.with_columns(opened.table.derived) if opened.table.derived else after
    for number, palette in enumerate(palettes, start=1):
        level_drift = drift(opened.table, after, palette.levels, Form(form) if form else None)
        name = str(palette.record.get("name", f"palette {number}"))
        result = {"name": name} | _described(level_drift)
        print_json(result) if as_json else click.echo("\n".join((*_as_text(level_drift, result), "")))


def _described(level_drift: Drift) -> dict[str, Any]:
    """Return a comparison as plain JSON values."""

    def named(row: np.ndarray | None) -> dict[str, float] | None:
        if row is None:
            return None
        return {name: float(x) for name, x in zip(level_drift.values, row, strict=True) if math.isfinite(x)}

    def change(part: LevelDrift | None) -> dict[str, Any] | None:
        if part is None:
            return None
        return {
            "before": named(part.before),
            "after": named(part.after),
            "change": named(part.change),
            "error": named(part.error),
            "drifted": [name for name, real in zip(level_drift.values, part.real, strict=True) if real],
        }

    old, new = level_drift.before.solution, level_drift.after.solution
    return {
        "form": level_drift.form.value,
        "same_prompts": level_drift.same_prompts,
        "only_before": list(level_drift.only_before),
        "only_after": list(level_drift.only_after),
        "targets": named(level_drift.targets),
        "base": change(level_drift.base),
        "scale": {"before": named(level_drift.scale_before), "after": named(level_drift.scale_after)},
        "verdict": {"before": level_drift.before.verdict.value, "after": level_drift.after.verdict.value},
        "weights": {"before": named(level_drift.weights_before), "after": named(level_drift.weights_after)},
        "kl": {
            "before": old.kl if old else None,
            "after": new.kl if new else None,
            "old_weights_after": amounts.finite(level_drift.held_kl),
        },
        "old_weights": change(level_drift.held),
        "short": named(level_drift.short) if level_drift.held else None,
        "missed": [name for name, missed in zip(level_drift.values, level_drift.missed, strict=True) if missed],
    }


def _as_text(level_drift: Drift, result: dict[str, Any]) -> Iterator[str]:
    verdicts = result["verdict"]
    yield f"{result['name']}: {VERDICTS[verdicts['before']]} before, {VERDICTS[verdicts['after']]} after."
    for names, position in ((level_drift.only_before, "first"), (level_drift.only_after, "second")):
        if names:
            yield f"Only the {position} table has {', '.join(names)}; what follows is about the others."
    how = "the same prompts" if level_drift.same_prompts else "other prompts"
    moved = ", ".join(result["base"]["drifted"]) or "none by more than chance explains"
    yield f"Base levels that drifted ({how}): {moved}."
    table = {"base before": result["base"]["before"], "base after": result["base"]["after"]}
    if level_drift.held is not None:
        missed = ", ".join(result["missed"])
        yield (
            f"The old weights now miss {missed}." if missed else "The old weights miss no target by more than chance."
        )
        table |= {"target": result["targets"], "old, before": result["old_weights"]["before"]}
        table |= {"old, after": result["old_weights"]["after"], "± error": result["old_weights"]["error"]}
        table |= {"old weight": result["weights"]["before"]}
    if result["weights"]["after"] is not None:
        table |= {"new weight": result["weights"]["after"]}
    yield from columns(level_drift.values, table, missing="")
