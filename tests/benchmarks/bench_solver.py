"""One solve on the embedded table: ours, scipy's L-BFGS-B and SLSQP, and 150 Adam steps on log weights.

Adam is what the published code runs; here in its leanest form: one log-sum-exp and its gradient a step, written in
torch without anything else in the loop, at the thread count that suits it best. Every solver gets the same
standardised table and the same reachable targets; medians over palettes and repeats, interleaved in one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from map_core import rewards
from map_core.dual import solve
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle

REPEATS = 7


def palettes(oracle: MemoryOracle, count: int = 8) -> list[np.ndarray]:
    """Reachable targets above the base levels on all values, from easy to hard."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < count:
        d = rng.uniform(0.0, 0.15 + 0.4 * rng.random(), len(oracle.values))
        if margin(oracle, d).value > 0.02:
            found.append(d)
    return found


def scipy_solver(oracle: MemoryOracle, method: str) -> Callable[[np.ndarray], np.ndarray]:
    """The dual given to a general solver, with our fused moments as its function and gradient."""

    def run(d: np.ndarray) -> np.ndarray:
        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            at = oracle.moments(x)
            return at.log_normaliser - float(x @ d), at.levels - d

        options = {"ftol": 1e-12, "maxiter": 500}
        return minimize(loss, np.zeros(len(d)), jac=True, method=method, bounds=[(0, None)] * len(d), options=options).x

    return run


def adam_solver(z: np.ndarray, prompts: int) -> Callable[[np.ndarray], np.ndarray]:
    """150 Adam steps on log weights at learning rate 0.1, (prompt, candidate, value) in float32."""
    import torch

    table = torch.tensor(z.reshape(prompts, -1, z.shape[1]), dtype=torch.float32)

    def run(d: np.ndarray) -> np.ndarray:
        log_weights = torch.zeros(len(d), requires_grad=True)
        targets = torch.tensor(d, dtype=torch.float32)
        adam = torch.optim.Adam([log_weights], lr=0.1)
        for _ in range(150):
            adam.zero_grad()
            weights = log_weights.exp()
            loss = torch.logsumexp(table @ weights, dim=1).mean() - weights @ targets
            loss.backward()
            adam.step()
        return log_weights.exp().detach().numpy().astype(float)

    return run


def worst(oracle: MemoryOracle, x: np.ndarray, d: np.ndarray) -> float:
    """Largest violation of the optimality conditions, in standard deviations."""
    return float(np.abs(x - np.maximum(0.0, x + d - oracle.moments(x).levels)).max())


def run() -> dict[str, Any]:
    """Time each solver, print a table, return its rows."""
    import torch

    table = rewards.load(rewards.DEFAULT_TABLE)
    oracle = MemoryOracle.of(table)
    z = oracle.standardise(table.rewards)
    adam = adam_solver(z, len(table.prompts))
    solvers: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "ours": lambda d: solve(oracle, d).weights,
        "L-BFGS-B": scipy_solver(oracle, "L-BFGS-B"),
        "SLSQP": scipy_solver(oracle, "SLSQP"),
        "Adam, 1 thread": adam,
        "Adam, 2 threads": adam,
    }
    times: dict[str, list[float]] = {name: [] for name in solvers}
    residuals: dict[str, float] = dict.fromkeys(solvers, 0.0)
    for d in palettes(oracle):
        for repeat in range(REPEATS + 1):
            for name, solver in solvers.items():
                if name.startswith("Adam"):
                    torch.set_num_threads(int(name.split()[1]))
                began = time.perf_counter()
                x = solver(d)
                if repeat:  # the first is a warm-up
                    times[name].append(time.perf_counter() - began)
                residuals[name] = max(residuals[name], worst(oracle, x, d))
    ours = statistics.median(times["ours"])
    medians = {name: statistics.median(t) for name, t in times.items()}
    rows = {
        name: {"median_ms": 1e3 * median, "ratio": median / ours, "residual": residuals[name]}
        for name, median in medians.items()
    }
    print(
        f"{len(table.rewards)} replies x {len(table.values)} values per prompt, medians of {len(times['ours'])} solves"
    )
    for name, row in rows.items():
        print(f"{name:<16} {row['median_ms']:9.2f} ms  x{row['ratio']:7.1f}  worst residual {row['residual']:.1e}")
    return rows
