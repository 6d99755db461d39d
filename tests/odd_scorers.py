"""Scorers that misbehave on chosen replies; importable, so that child processes can use them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from map_core.core.types import Reply
from map_core.scoring.base import Card, Scorer


class Fault(StrEnum):
    """The fault that a scorer shows instead of scoring."""

    RAISES = "raises"
    NAN = "nan"
    INFINITE = "infinite"
    SHAPE = "shape"
    NO_MEMORY = "no memory"
    TORCH_NO_MEMORY = "torch no memory"
    HANGS = "hangs"
    IS_KILLED = "is killed"
    LEAVES = "leaves"


class FaultyScorer(Scorer):
    """Score replies by length, and misbehave on given texts.

    Args:
        fault: the fault.
        texts: on which replies; on every one when None.
    """

    card = Card("odd", "Odd", "m", "m", "l", "s", "1", partial=False)

    def __init__(self, fault: Fault, texts: Sequence[str] | None) -> None:
        self.fault, self.texts = fault, None if texts is None else set(texts)

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        rewards = np.array([float(len(reply.text)) for reply in replies])
        bad = np.array([self.texts is None or reply.text in self.texts for reply in replies])
        if bad.any():
            self.misbehave()
            rewards[bad] = np.nan if self.fault is Fault.NAN else np.inf
            if self.fault is Fault.SHAPE:
                return rewards[:-1]
        return rewards

    def misbehave(self) -> None:
        match self.fault:
            case Fault.RAISES:
                raise ValueError("a reply like no other")
            case Fault.NO_MEMORY:
                raise MemoryError
            case Fault.TORCH_NO_MEMORY:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
            case Fault.HANGS:
                time.sleep(600)
            case Fault.IS_KILLED:
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.LEAVES:
                os._exit(3)
