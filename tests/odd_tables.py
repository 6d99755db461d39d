"""Unusual tables and targets drawn by Hypothesis, with the full linear program as the reference of every verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.oracle import MemoryOracle
from tests.linear_program import full_margin

KINDS = (
    "plain",
    "integers",
    "coins",
    "identical",
    "mirrored",
    "mixed",
    "constant",
    "scales",
    "offset",
    "copies",
    "outlier",
)


@dataclass(frozen=True, eq=False)
class OddTable:
    """An unusual table, its oracle, and a random generator for further draws of a test."""

    kind: str
    table: RewardTable
    oracle: MemoryOracle
    rng: np.random.Generator

    @property
    def z(self) -> np.ndarray:
        """Return (reply, value) standardised rewards."""
        return np.where(self.oracle.constant, 0.0, self.oracle.standardise(self.table.rewards))

    @property
    def top(self) -> np.ndarray:
        """Return (value,) the highest level of each value alone."""
        return np.array([self.oracle.best(row)[j] for j, row in enumerate(np.eye(len(self.table.values)))])

    def targets(self, rows: int) -> np.ndarray:
        """Return (rows, value) targets below, at, near and beyond the attainable ones, some of them free."""
        rng, size = self.rng, len(self.table.values)
        how = rng.integers(6, size=(rows, 1))
        share = rng.uniform(-0.3, 1.1, (rows, size)) * rng.uniform(0.1, 1.2, (rows, 1))
        # Levels that some weights give exactly, and corners of the attainable set.
        weights = rng.exponential(1.0, (rows, size)) * rng.integers(2, size=(rows, size)) * 10.0 ** rng.integers(-2, 3)
        realised = np.array([self.oracle.moments(x).levels for x in weights])
        corner = np.array([self.oracle.best(x) for x in weights])
        levels = np.choose(how, [share * self.top, share * self.top, realised, corner, 0 * share, 1e3 + share])
        return np.where(rng.random((rows, size)) < 0.2, np.nan, levels)

    def true_margin(self, targets: np.ndarray) -> float:
        """Return the margin of targets from one linear program over the probabilities of all replies."""
        wanted = np.where(self.oracle.constant & (targets <= 0), np.nan, targets)
        if np.isnan(wanted).all():
            return np.inf
        return full_margin(self.z, self.table.offsets, self.oracle.form, wanted)


@st.composite
def odd_tables(
    draw: st.DrawFn, kinds: tuple[str, ...] = KINDS, most_prompts: int = 8, most_values: int = 20
) -> OddTable:
    """Draw one prompt or several, one reply or several, one value or twenty, and all kinds of odd rewards."""
    kind = draw(st.sampled_from(kinds))
    prompts = draw(st.integers(1, most_prompts))
    size = min(draw(st.sampled_from((1, 1, 2, 2, 3, 4, 6, 20))), most_values)
    form = draw(st.sampled_from(Form))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(1, 12, prompts)
    counts[0] = max(counts[0], 2)
    rewards = rng.normal(size=(counts.sum(), size))
    if kind == "integers":
        rewards = np.round(2 * rewards)
    elif kind == "coins":
        rewards = np.sign(rewards)
    elif kind == "identical":
        rewards[:] = rewards[:, :1]
    elif kind == "mirrored":
        rewards[:, size // 2] = -rewards[:, 0]
    elif kind == "mixed" and size > 1:
        rewards[:, -1] = rewards[:, :-1] @ rng.uniform(0, 1, size - 1) + 3
    elif kind == "constant":
        rewards[:, 0] = 7.0
    elif kind == "scales":
        rewards *= 10.0 ** rng.integers(-9, 10, size)
    elif kind == "offset":
        rewards = rewards + 10.0 ** rng.integers(0, 7, size)
    elif kind == "copies":
        rewards = rewards[rng.integers(0, max(1, len(rewards) // 4), len(rewards))]
    elif kind == "outlier":
        rewards[rng.integers(len(rewards))] *= 1e4
    names = tuple(f"p{i}" for i in range(prompts))
    table = RewardTable(
        tuple(f"v{j}" for j in range(size)), rewards, np.concatenate([[0], np.cumsum(counts)]), names, names, names
    )
    return OddTable(kind, table, MemoryOracle.of(table, form), rng)
