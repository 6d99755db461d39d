"""Read what a tuning is made of: a table with held-out prompts, and lambda of the palette."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.generation_inputs import read_weights
from map_core.cli.inputs import LoadedTable, read_palettes
from map_core.core import amounts
from map_core.core.types import Verdict
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.cache import sha256_of
from map_core.oracle import MemoryOracle


def with_held_out(table: RewardTable, seed: int) -> RewardTable:
    """Return the table with prompts held out: its own, or where it has none, a quarter of each use case."""
    from map_core.confidence.cross_fit import split_folds

    if table.held_out.any() or len(table.prompts) < 4:
        return table
    fold = split_folds(len(table.prompts), 4, np.random.default_rng(seed), table.use_cases)
    return replace(table, held_out=fold == 0)


def palette_weights(
    split_table: RewardTable,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    weights: tuple[str, ...],
    nearest: bool,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return lambda by value, solved on the prompts that are not held out, and the palette's description.

    Its ``constraints`` are the targets by the names that weights have, where thresholds are in reward units.
    """
    from map_core.analysis.generation_weights import GenerationWeightsSolver

    if weights:
        if pairs or targets_file:
            raise click.UsageError("Give either targets or weights.")
        return read_weights(weights), {}
    opened, (palette, *others) = read_palettes(
        LoadedTable(split_table, MemoryOracle.of(split_table)), pairs, targets_file
    )
    if others:
        raise click.UsageError("A model is tuned on one palette; the targets file has several.")
    if floored := [column.name for column in opened.table.derived if column.cohort is not None]:
        raise click.UsageError(f"A model is tuned for all prompts alike; leave {', '.join(floored)} out.")
    solver = GenerationWeightsSolver(opened.table, opened.oracle.form)
    solved = solver.solve(palette.levels, int(split_table.candidates.max()), locked=palette.locked)
    described = {"asked": dict(solved.asked), "targets": dict(solved.targets), "verdict": solved.facts.verdict.value}
    if solved.facts.verdict is Verdict.OUT_OF_REACH and not nearest:
        near = ", ".join(f"--target {name}={amounts.significant(level)}" for name, level in solved.targets.items())
        offer = f" The nearest palette that is possible: {near}; --nearest tunes on that." if near else ""
        raise InputError(
            f"The targets are not possible together with this model's replies, so no tuning reaches them.{offer}"
        )
    names = {column.name: column.reply_name for column in opened.table.derived}
    described["constraints"] = {names.get(name, name): level for name, level in solved.targets.items()}
    return dict(solved.weights), described


def table_hash(path: Path) -> str:
    """Return the sha256 of a table's file; "" for a table in parts."""
    return sha256_of(path) if path.is_file() else ""
