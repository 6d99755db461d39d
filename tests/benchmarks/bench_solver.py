"""One solve: ours, scipy's L-BFGS-B and SLSQP, a conic solver, and 150 Adam steps on log weights, side by side.

Adam is what the published code runs; here in its leanest form: one log-sum-exp and its gradient a step, written in
torch without anything else in the loop, at the thread count that suits it best. The conic solver is Clarabel through
cvxpy, with the problem compiled beforehand. Every solver gets the same standardised table and the same reachable
targets; medians over palettes and repeats, each solver after a warm-up of its own. The physical limit of a solve is
one pass over the table: reading the rewards once and an exponential a reply.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from map_core.core.types import Form
from map_core.data import table_format
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve

REPEATS = 7
Solver = Callable[[np.ndarray], np.ndarray]


def palettes(oracle: MemoryOracle, count: int = 8) -> list[np.ndarray]:
    """Return reachable targets above base on all values, from easy to hard."""
    rng = np.random.default_rng(0)
    found: list[np.ndarray] = []
    while len(found) < count:
        d = rng.uniform(0.0, 0.15 + 0.4 * rng.random(), len(oracle.values))
        if margin(oracle, d).value > 0.02:
            found.append(d)
    return found


def scipy_solver(oracle: MemoryOracle, method: str) -> Solver:
    """Solve the dual by a general solver, with our moments as function and gradient."""

    def run(d: np.ndarray) -> np.ndarray:
        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            at = oracle.moments(x)
            return at.log_normaliser - float(x @ d), at.levels - d

        options = {"ftol": 1e-12, "maxiter": 500}
        return minimize(loss, np.zeros(len(d)), jac=True, method=method, bounds=[(0, None)] * len(d), options=options).x

    return run


def adam_solver(z: np.ndarray, groups: int) -> Solver:
    """Take 150 Adam steps on log weights at learning rate 0.1; ``z`` is (reply, value) in equal groups."""
    import torch

    table = torch.tensor(z.reshape(groups, -1, z.shape[1]), dtype=torch.float32)

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


def conic_solver(z: np.ndarray, groups: int) -> Solver:
    """Solve the dual as a program of exponential cones."""
    import cvxpy

    x = cvxpy.Variable(z.shape[1], nonneg=True)
    target = cvxpy.Parameter(z.shape[1])
    parts = z.reshape(groups, -1, z.shape[1])
    total = sum(cvxpy.log_sum_exp(part @ x) for part in parts) / groups
    problem = cvxpy.Problem(cvxpy.Minimize(total - target @ x))

    def run(d: np.ndarray) -> np.ndarray:
        target.value = d
        problem.solve(solver="CLARABEL")
        return np.asarray(x.value)

    run(np.zeros(z.shape[1]))
    return run


def worst(oracle: MemoryOracle, x: np.ndarray, d: np.ndarray) -> float:
    """Return the largest violation of the optimality conditions, in standard deviations."""
    return float(np.abs(x - np.maximum(0.0, x + d - oracle.moments(x).levels)).max())


def compare(oracle: MemoryOracle, z: np.ndarray, groups: int, title: str) -> dict[str, Any]:
    """Time each solver on one table; print and return the rows."""
    import torch

    adam = adam_solver(z, groups)
    solvers: dict[str, Solver] = {
        "ours": lambda d: solve(oracle, d).weights,
        "L-BFGS-B": scipy_solver(oracle, "L-BFGS-B"),
        "SLSQP": scipy_solver(oracle, "SLSQP"),
        "Adam, 1 thread": adam,
        "Adam, 2 threads": adam,
        "Clarabel": conic_solver(z, groups),
    }
    times: dict[str, list[float]] = {name: [] for name in solvers}
    residuals = dict.fromkeys(solvers, 0.0)
    passes: list[float] = []
    for d in palettes(oracle):
        for name, solver in solvers.items():
            if name.startswith("Adam"):
                torch.set_num_threads(int(name.split()[1]))
            x = solver(d)  # a warm-up
            residuals[name] = max(residuals[name], worst(oracle, x, d))
            for _ in range(1 if name == "Clarabel" else REPEATS):
                began = time.perf_counter()
                solver(d)
                times[name].append(time.perf_counter() - began)
        for _ in range(REPEATS):
            began = time.perf_counter()
            oracle.moments(x)
            passes.append(time.perf_counter() - began)
    medians = {name: statistics.median(t) for name, t in times.items()}
    limit = statistics.median(passes)
    rows: dict[str, Any] = {
        name: {"median_ms": 1e3 * median, "ratio": median / medians["ours"], "residual": residuals[name]}
        for name, median in medians.items()
    }
    rows["one pass over the table (the limit)"] = {"median_ms": 1e3 * limit, "ratio": limit / medians["ours"]}
    print(f"{title}, medians of {len(times['ours'])} solves")
    for name, row in rows.items():
        residual = f"  worst residual {row['residual']:.1e}" if "residual" in row else ""
        print(f"{name:<36} {row['median_ms']:9.3f} ms  x{row['ratio']:8.2f}{residual}")
    return rows


def run() -> dict[str, Any]:
    """Compare on the embedded table and on one of the published table's shape."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    oracle = MemoryOracle.of(table)
    title = f"{len(table.rewards)} replies x {len(table.values)} values per prompt, all targeted"
    results = {"default": compare(oracle, oracle.standardise(table.rewards), len(table.prompts), title)}
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(2312, 6)) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    pooled = MemoryOracle(mixed, np.arange(2313), tuple("abcdef"), Form.POOLED)
    results["pooled"] = compare(pooled, pooled.standardise(mixed), 1, "2312 replies x 6 values pooled, all targeted")
    return results
