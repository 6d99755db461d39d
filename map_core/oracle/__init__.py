"""Moments of a reward table behind one interface, wherever the data is stored.

base            the contract: weights in; log-normaliser, levels, covariance and best replies out
combine         results of the parts of a table, combined
reward_stats    base levels and scales, from parts
ragged, block, threads
                the arithmetic of a part, and parts in parallel
weighted        prompt weights, over any storage
memory          a table in memory (numpy)
torch_oracle    a table in torch, on the CPU or a GPU; import it from its module, it loads torch
parquet, parquet_reader
                a file streamed within a memory limit
ray_oracle      a table distributed over a Ray cluster; import it from its module, it loads ray
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
