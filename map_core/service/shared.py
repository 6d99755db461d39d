"""The services that all sessions of an app share: one for each model and how it is asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any

from map_core.core import limits
from map_core.errors import InputError
from map_core.models.packaged import DEFAULT_MODEL
from map_core.service.generation import Generation
from map_core.service.request_queue import CandidateLimits
from map_core.service.service import GenerationService

_shared: dict[tuple[str, str, str, str], GenerationService] = {}
_sharing = threading.Lock()


def shared_service(
    model: str = DEFAULT_MODEL,
    engine: str = "auto",
    request_extra: Mapping[str, Any] | None = None,
    tuned: str = "",
) -> GenerationService:
    """Return the one service of this process for a model and how it is asked, created on first use.

    How much may wait, and how many candidates, are settings (:mod:`map_core.core.limits`). With a tuned model two
    models are in memory, so that a service of another tuned model that has nothing to do ends first.
    """
    key = (model, engine, json.dumps(request_extra or {}, sort_keys=True), tuned)
    with _sharing:
        if key not in _shared:
            for other in [other for other in _shared if tuned and other[3]]:
                status = _shared[other].status()
                if not status.running and not status.waiting:
                    _shared.pop(other).close()
            _shared[key] = GenerationService(
                model,
                engine,
                most_waiting=limits.GENERATIONS.value,
                most_of_viewer=limits.GENERATIONS_OF_VISIT.value,
                request_extra=request_extra,
                tuned=tuned or None,
                candidate_limits=CandidateLimits(
                    limits.CANDIDATES.value, limits.CANDIDATES_OF_VISIT.value, limits.CANDIDATES_OF_REQUEST.value
                ),
            )
        return _shared[key]


def shared_generation(model: str, generation_id: str) -> Generation:
    """Return a generation of a base model by its id, whichever of its services has it.

    Raises:
        InputError: no such generation in this process.
    """
    with _sharing:
        services = [service for key, service in _shared.items() if key[0] == model]
    for service in services:
        with contextlib.suppress(InputError):
            return service.generation(generation_id)
    raise InputError(f"There is no generation {generation_id!r} any more. Start a new one.")
