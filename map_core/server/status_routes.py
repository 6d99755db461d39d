"""``/health`` and ``/ready``: how the server is, and whether it can answer now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response

from map_core.server.http import JsonResponse, get
from map_core.service.service import GenerationService

#: As /openapi.json describes it.
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "The model loads, cannot be loaded, or is stopped."}}


def status_router(service: GenerationService, draining: Callable[[], bool] | None = None) -> APIRouter:
    """Return the routes; they need no key.

    Args:
        service: the generator.
        draining: whether new work is refused, since the server ends.
    """
    router = APIRouter(tags=["status"])

    def described() -> dict[str, Any]:
        status = service.status()
        return {"state": status.state, "note": status.note, "running": status.running, "waiting": status.waiting}

    @get(router, "/health/live")
    @get(router, "/health")
    async def health() -> dict[str, Any]:
        """Say how the server is; 200 for as long as it runs."""
        return described()

    @get(router, "/health/ready", responses=NOT_READY)
    @get(router, "/ready", responses=NOT_READY)
    async def ready() -> Response:
        """Say whether a request would be answered at once: 200, or 503 while the model loads or cannot be loaded."""
        if draining is not None and draining():
            return JsonResponse(described() | {"note": "The server is being stopped."}, 503)
        if service.status().state == "stopped":
            service.start()  # no request would start it: balancers send them only to those that are ready
        status = described()
        return JsonResponse(status, 200 if status["state"] == "ready" else 503)

    return router
