"""The services that all sessions of an app share: one for each model and how it is asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from map_core.core import limits
from map_core.errors import InputError
from map_core.models.packaged import DEFAULT_MODEL
from map_core.models.tuned import tuned_version
from map_core.service.generation import Generation
from map_core.service.process_slot import ProcessSlot
from map_core.service.request_queue import CandidateLimits
from map_core.service.service import GenerationService

#: Services of tuned models that are kept for the generations that they have served.
_MOST_TUNED = 16


class _Key(NamedTuple):
    """What a service is for; ``version`` tells apart tuned models that have had one name after the other."""

    model: str
    engine: str
    request_extra: str
    tuned: str
    version: str


_shared: dict[_Key, GenerationService] = {}
_sharing = threading.Lock()
#: A tuned model's process holds two models, so that there is one such process at a time.
_tuned_slot = ProcessSlot()


def shared_service(
    model: str = DEFAULT_MODEL,
    engine: str = "auto",
    request_extra: Mapping[str, Any] | None = None,
    tuned: str = "",
) -> GenerationService:
    """Return the one service of this process for a model and how it is asked, created on first use.

    How much may wait, and how many candidates, are settings (:mod:`map_core.core.limits`). The processes of tuned
    models take turns in one slot (:mod:`map_core.service.process_slot`); their services stay, with the generations
    that they have served.
    """
    key = _Key(model, engine, json.dumps(request_extra or {}, sort_keys=True), tuned, tuned_version(tuned))
    with _sharing:
        service = _shared.pop(key, None) or GenerationService(
            model,
            engine,
            most_waiting=limits.GENERATIONS.value,
            most_of_viewer=limits.GENERATIONS_OF_VISIT.value,
            request_extra=request_extra,
            tuned=tuned or None,
            candidate_limits=CandidateLimits(
                limits.CANDIDATES.value, limits.CANDIDATES_OF_VISIT.value, limits.CANDIDATES_OF_REQUEST.value
            ),
            slot=_tuned_slot if tuned else None,
        )
        _shared[key] = service  # the one used last comes last
        if tuned:
            _drop_oldest_idle()
    if tuned:
        close_deleted()
    return service


def close_deleted() -> None:
    """End the processes of tuned models that were deleted or replaced, except while they have work."""
    with _sharing:
        tuned = [(key, service) for key, service in _shared.items() if key.tuned]
    for key, service in tuned:
        if service.has_process and tuned_version(key.tuned) != key.version:
            service.close_idle()


def _drop_oldest_idle() -> None:
    """Drop services of tuned models that have no process and no work, the one used longest ago first."""
    tuned = [key for key in _shared if key.tuned]
    idle = [
        key
        for key in tuned[:-1]  # the last one is about to be used
        if not (_shared[key].has_process or _shared[key].is_busy or _shared[key].is_waiting)
    ]
    for key in idle[: max(len(tuned) - _MOST_TUNED, 0)]:
        del _shared[key]


def shared_generation(model: str, generation_id: str) -> Generation:
    """Return a generation of a base model by its id, whichever of its services has it.

    Raises:
        InputError: no such generation in this process.
    """
    with _sharing:
        services = [service for key, service in _shared.items() if key.model == model]
    for service in services:
        with contextlib.suppress(InputError):
            return service.generation(generation_id)
    raise InputError(f"There is no generation {generation_id!r} any more. Start a new one.")
