"""Requests to a service, and waiting for what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from map_core.core.types import SamplingSettings
from map_core.generation.request import GenerationRequest

SHORT = SamplingSettings(max_new_tokens=24)
LONG = SamplingSettings(max_new_tokens=220)


def request(seed: int = 0, candidates: int = 4, settings: SamplingSettings = SHORT) -> GenerationRequest:
    return GenerationRequest("How are you?", {"plain_language": 0.02, "diversity": 1.0}, (), candidates, settings, seed)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.002)
