"""Results of the published experiments on one table: plain numbers, a row for each number of values."""

from __future__ import annotations

from dataclasses import dataclass

from map_core.core.types import Form

#: A level further below its target than this, in standard deviations, misses it.
MISS = 0.05
#: Rounds of sequential alignment, as in the paper.
ROUNDS = 5


@dataclass(frozen=True)
class ReproductionProtocol:
    """The settings of a reproduction.

    Args:
        form: per prompt or pooled.
        values: names that palettes are drawn from.
        palettes: of each size.
        highest: the highest percentile of a target, as a share.
        seed: of everything that is drawn.
        prompts: of the table.
        replies: of the table.
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
    """Palettes of one number of values; shares are from 0 to 1, NaN where there is nothing to share.

    Args:
        values: how many values each palette has.
        palettes: how many there are.
        reachable: share that is attainable, proven.
        by_certificate: how many of them the linear program decided, since no solve did.
        converged: share of the reachable ones that our solver meets.
        residual: its largest violation of the optimality conditions on those, in standard deviations.
        published_solved: share that the published solver calls solved.
        published_false: share of its solved ones that are not attainable.
        published_refused: share of the reachable ones that it does not solve.
        published_missed: share of the reachable ones that it solves on which it misses a target by over ``MISS``.
        safe_missed: share of all reachable ones that the published steps miss so when nothing can overflow; then every
            palette counts as solved, also those that are not attainable.
        pooled_missed: the same for weights of the published pooled form used per prompt; ``safe_missed`` when pooled.
        published_residual: median of the published steps' violation of the optimality conditions on the reachable
            ones, in standard deviations; levels above their target count, for they cost nats.
        our_missed: as ``safe_missed``, for our weights.
        our_ms: median of one solve of ours, in milliseconds, one palette at a time.
        published_ms: likewise of the published solver.
        random_meets, random_improves: share of random weights that meet a reachable palette, and that are above the
            base model in all of its values.
        our_improves: the latter for our weights.
        random_wins, our_wins: share of them whose replies beat the base model's in half of the
            comparisons or more, in all of their values.
        one_round_missed, rounds_missed: share of the reachable palettes on which sequential alignment misses a target
            by over ``MISS``, after one round and after ``ROUNDS``.
        one_round_short, rounds_short: median of the largest lack, in standard deviations.
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
    """One palette in sequence, as quantiles of the base model's replies.

    Args:
        values: names, in their order.
        quantile: the target of every value: the paper's, or the highest below it in steps of 0.05 that is attainable.
        one_round, five_rounds, together: the quantile of each value's level.
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
