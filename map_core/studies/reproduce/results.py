"""Results of the paper's experiments on one table: plain numbers, one row per number of values."""

from __future__ import annotations

from dataclasses import dataclass

from map_core.core.types import Form

#: A level more than this below its target, in standard deviations, misses it.
MISS = 0.05
#: Rounds of sequential alignment, as in the paper.
ROUNDS = 5


@dataclass(frozen=True)
class ReproductionProtocol:
    """The settings of a reproduction.

    Args:
        form: per prompt or pooled.
        values: names of the values that palettes are drawn from.
        palettes: number of palettes of each size.
        highest: the highest percentile of a target, as a share.
        seed: seed of all draws.
        prompts: number of prompts in the table.
        replies: number of replies in the table.
    """

    form: Form
    values: tuple[str, ...]
    palettes: int
    highest: float
    seed: int
    prompts: int
    replies: int


@dataclass(frozen=True)
class SizeResult:
    """Palettes with one number of values; shares are from 0 to 1, NaN where no palette counts.

    Args:
        values: number of values of each palette.
        palettes: number of palettes.
        reachable: share that is proven attainable.
        by_certificate: number of palettes that the linear program decided, because no solve did.
        converged: share of the reachable palettes on which our solver converges.
        residual: largest violation of the optimality conditions on those, in standard deviations.
        published_solved: share that the published solver calls solved.
        published_false: share of these that are not attainable.
        published_refused: share of the reachable palettes that the published solver does not solve.
        published_missed: share of the reachable palettes that it solves on which it misses a target by over ``MISS``.
        safe_missed: share of all reachable palettes on which the published steps, computed without overflow, miss a
            target by over ``MISS``.
        pooled_missed: the same for weights of the published pooled form used per prompt; ``safe_missed`` when pooled.
        published_residual: median over reachable palettes of the published steps' violation of the optimality
            conditions, in standard deviations; a level above its target counts, since it costs nats.
        our_missed: as ``safe_missed``, for our weights.
        our_ms: median time of one solve of ours, in milliseconds, one palette at a time.
        published_ms: the same for the published solver.
        random_meets: share of random weights that meet all targets of a reachable palette.
        random_improves: share of random weights that are above the base model in all values of a reachable palette.
        our_improves: the same share for our weights.
        random_wins: share of random weights that win half of the comparisons with the base model or more, in every
            value of a reachable palette.
        our_wins: the same share for our weights.
        one_round_missed: share of the reachable palettes on which sequential alignment misses a target by over
            ``MISS`` after one round.
        rounds_missed: the same after ``ROUNDS`` rounds.
        one_round_short: median of the largest shortfall after one round, in standard deviations.
        rounds_short: the same after ``ROUNDS`` rounds.
    """

    values: int
    palettes: int
    reachable: float
    by_certificate: int
    converged: float
    residual: float
    published_solved: float
    published_false: float
    published_refused: float
    published_missed: float
    safe_missed: float
    pooled_missed: float
    published_residual: float
    our_missed: float
    our_ms: float
    published_ms: float
    random_meets: float
    random_improves: float
    our_improves: float
    random_wins: float
    our_wins: float
    one_round_missed: float
    rounds_missed: float
    one_round_short: float
    rounds_short: float


@dataclass(frozen=True)
class SequentialExample:
    """Sequential alignment of one palette; levels are quantiles of the base model's replies.

    Args:
        values: names, in the order of the steps.
        quantile: the target of every value: the paper's, or the highest attainable below it in steps of 0.05.
        one_round: level of each value after one round.
        five_rounds: level of each value after ``ROUNDS`` rounds.
        together: level of each value when all targets are solved for at once.
    """

    values: tuple[str, ...]
    quantile: float
    one_round: tuple[float, ...]
    five_rounds: tuple[float, ...]
    together: tuple[float, ...]


@dataclass(frozen=True)
class ReproductionStudy:
    """The protocol, a row for each number of values, and the sequential example (None where nothing is reachable)."""

    protocol: ReproductionProtocol
    sizes: tuple[SizeResult, ...]
    rounds: SequentialExample | None
