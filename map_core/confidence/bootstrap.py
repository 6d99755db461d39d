"""Solve a palette on bootstrap samples of the prompts, for the distribution of weights, cost and verdict.

A draw takes as many prompts as the table solves on, with replacement, and all replies of a prompt together, since
replies to one prompt are not independent. All draws are one batched solve that starts from the table's own weights. A
draw whose solve converges proves its targets attainable, and one whose dual exceeds log K proves them out of reach.
Free values have no weight in any draw, so draws are solved on the targeted values alone.
Constraint: draws are solved in chunks, so that no array exceeds CHUNK numbers.

Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from map_core.confidence.margins import margins_of
from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE, Margin
from map_core.feasibility.trust import log_trust
from map_core.oracle import Oracle
from map_core.oracle.threads import one_blas_thread
from map_core.solver.batched import solve_many
from map_core.solver.newton import Solution, Status

#: Maximum size of the (draw, prompt) array of a chunk, 32 MB.
CHUNK = 4_194_304
MIN_DRAWS = 20


@dataclass(frozen=True, eq=False)
class Draws:
    """One palette on many draws of the prompts, in the standardised units of the whole table.

    Args:
        attainable: (draw,) bool, whether the targets can be met.
        trust: (draw,) log ratio of the effective sample size to its threshold; minus infinity without weights.
        weights: (draw, value) x; 0 for free values, infinite where no weights exist or were found.
        kl: (draw,) nats; infinite likewise.
        margins: (draw,) t*; None when pooled, where the best reply of a table is not an average over prompts.
        margin_bias: bias of a sample's margin, 0 or below; 0 when pooled.
        undecided: number of draws without a proof either way, which are decided by their margin, or counted as on
            paper when pooled.
    """

    attainable: np.ndarray
    trust: np.ndarray
    weights: np.ndarray
    kl: np.ndarray
    margins: np.ndarray | None
    margin_bias: float
    undecided: int

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def shares(self) -> dict[Verdict, float]:
        """The share of draws with each verdict."""
        reachable = float(np.mean(self.trust >= 0))
        attainable = float(np.mean(self.attainable))
        return {
            Verdict.REACHABLE: reachable,
            Verdict.ON_PAPER: attainable - reachable,
            Verdict.OUT_OF_REACH: 1.0 - attainable,
        }


def bootstrap(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    solution: Solution,
    margin: Margin,
    draws: int = 1000,
    seed: int = 0,
) -> Draws:
    """Solve a palette on draws of the prompts.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        solution: the palette on the whole table, converged or not.
        margin: its margin on the whole table.
        draws: number of draws, at least 20.
        seed: of the draws.

    Raises:
        InputError: too few draws, or a single prompt.
    """
    if draws < MIN_DRAWS:
        raise InputError(f"{draws} draws were asked for; expected {MIN_DRAWS} or more, 1000 for stable results.")
    if oracle.counted_prompts < 2:
        raise InputError("The table has 1 prompt; error bars need 2 or more. Build it with more prompts.")
    targets, rng = oracle.deviations(targets), np.random.default_rng(seed)
    targeted = np.flatnonzero(~np.isnan(targets))
    if 0 < len(targeted) < len(targets) and (part := oracle.of_values(targeted)) is not None:
        of_targeted = bootstrap(
            part,
            targets[targeted],
            solution=replace(solution, weights=solution.weights[targeted]),
            margin=replace(margin, certificate=margin.certificate[targeted]),
            draws=draws,
            seed=seed,
        )
        weights = np.zeros((draws, len(targets)))
        weights[:, targeted] = of_targeted.weights
        return replace(of_targeted, weights=weights)
    # Held-out prompts do not belong to the sample.
    counted, prompts = np.flatnonzero(oracle.counted), oracle.counted_prompts
    step = max(1, CHUNK // oracle.prompts)
    parts = []
    # The oracle parallelises a large batch itself; BLAS threads would only slow down its many small products.
    with one_blas_thread():
        for first in range(0, draws, step):
            drawn = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), min(step, draws - first))
            multiplicity = np.zeros((len(drawn), oracle.prompts))
            multiplicity[:, counted] = drawn
            parts.append(_solve(oracle, targets, solution, margin, multiplicity))
    margins = [part.margins for part in parts if part.margins is not None]
    return Draws(
        attainable=np.concatenate([part.attainable for part in parts]),
        trust=np.concatenate([part.trust for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        kl=np.concatenate([part.kl for part in parts]),
        margins=np.concatenate(margins) if margins else None,
        margin_bias=float(np.average([part.margin_bias for part in parts], weights=[len(part) for part in parts])),
        undecided=sum(part.undecided for part in parts),
    )


def _solve(oracle: Oracle, targets: np.ndarray, solution: Solution, margin: Margin, multiplicity: np.ndarray) -> Draws:
    start = solution.weights if solution.status is Status.CONVERGED else None
    solutions = solve_many(oracle, targets, start=start, multiplicity=multiplicity)
    margins, bias = None, 0.0
    if oracle.form is Form.PER_PROMPT:
        margins, gains = margins_of(oracle, targets, margin, multiplicity)
        bias = -float(gains.mean())
    # A constant value is left out of the solve: its target is met on every draw, or on none.
    constants_met = not np.any(oracle.constant & (targets > MARGIN_TOLERANCE))
    converged = solutions.converged & constants_met
    undecided = ~solutions.converged & ~solutions.unbounded & constants_met
    by_margin = undecided if margins is None else undecided & (margins >= -MARGIN_TOLERANCE)
    free = np.isnan(targets) | oracle.constant
    return Draws(
        attainable=converged | by_margin,
        trust=np.where(converged, log_trust(oracle, solutions.ess, solutions.pooled_ess), -np.inf),
        weights=np.where(free, 0.0, np.where(converged[:, None], solutions.weights, np.inf)),
        kl=np.where(converged, solutions.kl, np.inf),
        margins=margins,
        margin_bias=bias,
        undecided=int(undecided.sum()),
    )
