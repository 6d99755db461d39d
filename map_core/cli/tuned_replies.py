"""Draw and score a tuned model's replies, and measure beforehand what that takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.building.progress import Reporter, StageProgress
from map_core.cli.inputs import load_with_notes
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.files import locate
from map_core.scoring import from_metadata, resolve
from map_core.tuning.check import draw_replies, joined, of_prompts

if TYPE_CHECKING:
    from map_core.engines.base import Engine


def drawn_replies(
    folder: Path,
    record: Mapping[str, Any],
    table: RewardTable,
    *,
    replies: int,
    seed: int,
    engine: str,
    fresh: Path | None,
    report: Reporter,
) -> RewardTable:
    """Return the tuned model's replies; those in ``fresh`` are used again, and new ones are saved after each prompt.

    Raises:
        InputError: ``fresh`` holds replies of another model, with another seed, or another number per prompt.
    """
    drawn = load_with_notes(fresh) if fresh is not None and fresh.is_file() else None
    if drawn is not None:
        kept = drawn.metadata
        model = kept.get("model", {}).get("sha256")
        if model != locate(str(folder)).sha256 or kept.get("seed") != seed or np.any(drawn.candidates != replies):
            raise InputError(
                f"{fresh} holds replies of another model, with another seed, or another number a prompt. Name another "
                "file."
            )
    missing = [i for i, name in enumerate(table.prompt_ids) if drawn is None or name not in drawn.prompt_ids]
    if missing:
        scorers = resolve(table.values, from_metadata(table.metadata))
        base, tuned = _open_pair(record["model"]["name"], str(folder), engine)
        steps = StageProgress("checking", len(table.prompts) - len(missing), len(table.prompts), report)
        for number in missing:
            part = draw_replies(record, table.take([number]), base, tuned, scorers, replies=replies, seed=seed)
            drawn = joined(drawn, part)
            if fresh is not None:
                table_format.save(drawn, fresh)
            steps.advance()
        del base, tuned
        gc.collect()  # so that a round that follows does not hold them
    assert drawn is not None, "a table has prompts"
    return of_prompts(drawn, table.prompt_ids)


def measured_reply(model: str, table: RewardTable, replies: int) -> float:
    """Return the seconds that a reply takes to draw and score, measured on a prompt with replies of middle length.

    The base model stands in for the tuned one, which has as many weights.

    Args:
        model: the base model.
        table: of its replies.
        replies: that are drawn at once.
    """
    base, tuned = _open_pair(model, model, "auto")
    scorers = resolve(table.values, from_metadata(table.metadata))
    lengths = [sum(map(len, table.replies[table.rows(number)])) for number in range(len(table.prompts))]
    middle = table.take([int(np.argsort(lengths)[len(lengths) // 2])])
    draw_replies(table.metadata, middle, base, tuned, scorers, replies=2)  # the first call loads scorers
    began = time.perf_counter()
    draw_replies(table.metadata, middle, base, tuned, scorers, replies=replies, seed=2)
    return (time.perf_counter() - began) / replies


def _open_pair(base: str, tuned: str, engine: str) -> tuple[Engine, Engine]:
    """Open a base model, to score replies alone, and the model that draws them."""
    from map_core.engines.factory import open_engine

    gc.collect()  # a model that was tuned just now waits for it in cycles of references
    # float32, since log q - log p0 is a small difference of two large sums.
    scoring = open_engine(base, engine, "float32", draws=False)
    return scoring, open_engine(tuned, engine, "float32", cache_gigabytes=0)
