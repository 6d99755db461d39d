"""Moments of a reward table, behind one contract, wherever the data is.

base            weights in; log-normaliser, levels, covariance, best replies and per-prompt scores out
combine         the answers of parts of a table, put together
reward_stats    base levels and scales, from parts
ragged, block, threads
                the arithmetic of a part, and parts side by side
weighted        prompts that count differently, with any backend
memory          a table in memory (numpy)
torch_oracle    a table in torch, on the CPU or a GPU; import it from its module, it loads torch
parquet, parquet_reader
                a file streamed within a memory cap
ray_oracle      a table shared out over a Ray cluster; import it from its module, it loads ray
"""

from map_core.oracle.base import (
    REDUNDANT,
    BatchMoments,
    EffectiveSampleSize,
    Moments,
    Oracle,
    PromptMoments,
    is_singular,
)
from map_core.oracle.memory import MemoryOracle
from map_core.oracle.weighted import WeightedOracle

__all__ = [
    "REDUNDANT",
    "BatchMoments",
    "EffectiveSampleSize",
    "MemoryOracle",
    "Moments",
    "Oracle",
    "PromptMoments",
    "WeightedOracle",
    "is_singular",
]
