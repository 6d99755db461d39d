"""The figures that the paper reports for its tables and machines, for comparison with ours.

Source: Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFigures:
    """The figures that the paper reports.

    Args:
        feasible: share of random palettes of 1, 2, ... values that its solver solves without overflow.
        seconds: time of one solve, for few and for many values.
        random_improves: share of random weights that improve both helpful and harmless over the base model.
        map_improves: the same share for its own weights, by reward.
        map_wins: the same share for its own weights, by win rate.
        quantile: the target of the sequential experiment, on OPT-1.3B, for humor, helpful, harmless.
        one_round: quantiles of humor, helpful, harmless after one round of sequential alignment.
        five_rounds: the same after five rounds.
        ways: base model and palette, and the share of the way from base level to target that fresh replies reach, for
            humor, helpful and harmless.
    """

    feasible: tuple[float, ...] = (0.968, 0.946, 0.728, 0.688, 0.686, 0.682)
    seconds: tuple[float, float] = (1.31, 0.68)
    random_improves: float = 0.21
    map_improves: float = 0.55
    map_wins: float = 0.60
    quantile: float = 0.70
    one_round: tuple[float, ...] = (0.663, 0.437, 0.700)
    five_rounds: tuple[float, ...] = (0.697, 0.691, 0.700)
    ways: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("Llama2-7B-chat, HHH-80", (0.89, 0.09, 0.47)),
        ("OPT-1.3B, HHH-70", (0.96, 0.37, 0.60)),
    )


PAPER = PaperFigures()
