"""All that the mathematics needs from data, behind one contract, and the homes that the data may have.

contract    weights in; log-normaliser, levels, covariance, best replies and per-prompt scores out
combine     the answers of parts of a table, put together
spread      base levels and scales, from parts
grouped, block, threads
            the arithmetic of a part, and parts side by side
weighted    prompts that count differently, in any of these homes
memory      a table in memory (numpy)
tensor      a table in torch, on the CPU or a GPU; import it from its module, it loads torch
parquet, reading
            a file streamed within a memory cap
cluster     a table shared out over a Ray cluster; import it from its module, it loads ray
"""

from map_core.oracle.base import REDUNDANT, Batch, EffectiveSampleSize, Moments, Oracle, PromptMoments, is_singular
from map_core.oracle.memory import MemoryOracle
from map_core.oracle.weighted import WeightedOracle

__all__ = [
    "REDUNDANT",
    "Batch",
    "EffectiveSampleSize",
    "MemoryOracle",
    "Moments",
    "Oracle",
    "PromptMoments",
    "WeightedOracle",
    "is_singular",
]
