"""Describe the comparison of two palettes on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.studies.head_to_head import PairedComparison
from map_core.text import sentences


def comparison_sentence(comparison: PairedComparison, names: Sequence[str]) -> str:
    """Describe on which values either palette is significantly better, in one sentence.

    Args:
        comparison: this viewer's palette first.
        names: of the values, as people read them.
    """
    better, worse = (
        [names[j] for j in np.flatnonzero(sure).tolist()]
        for sure in (comparison.wins.low > 0.5, comparison.wins.high < 0.5)
    )
    parts = [f"better on {sentences.listed(better)}"] if better else []
    parts += [f"worse on {sentences.listed(worse)}"] if worse else []
    result = " and ".join(parts) if parts else "neither better nor worse on any value, as far as these prompts can tell"
    prompts = amounts.counted(comparison.prompts, "prompt")
    return f"On {prompts} that both answer, your palette is {result}."


def comparison_rows(
    comparison: PairedComparison, names: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and (position, cells) of each value, in cases out of 100; equal replies count half."""
    rows = [
        (
            j,
            [
                sentences.capitalised(names[j]),
                amounts.percent(comparison.wins.estimate[j], sign=False),
                " to ".join(amounts.percent(end[j], sign=False) for end in (comparison.wins.low, comparison.wins.high)),
                amounts.percent(comparison.ties[j], sign=False),
            ],
        )
        for j in range(len(comparison.values))
    ]
    return ["Out of 100 cases", "Yours is better", "95% sure between", "Both the same"], rows
