"""Requests that the service tests submit."""

from __future__ import annotations

from map_core.core.types import SamplingSettings
from map_core.generation.request import GenerationRequest

SHORT = SamplingSettings(max_new_tokens=24)
LONG = SamplingSettings(max_new_tokens=220)


def request(seed: int = 0, candidates: int = 4, settings: SamplingSettings = SHORT) -> GenerationRequest:
    return GenerationRequest("How are you?", {"plain_language": 0.02, "diversity": 1.0}, (), candidates, settings, seed)
