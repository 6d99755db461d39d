"""``/health`` and ``/ready``: the server's state, and whether it can answer now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response

from map_core.server.http import JsonResponse, get
from map_core.service.service import GenerationService

#: The error response of the readiness endpoints, for /openapi.json.
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "The model loads, cannot be loaded, or is stopped."}}


def status_router(service: GenerationService, draining: Callable[[], bool] | None = None) -> APIRouter:
    """Return the routes; they need no key.

    Args:
        service: the generator.
        draining: whether new work is refused because the server is shutting down.
    """
    router = APIRouter(tags=["status"])

    def described() -> dict[str, Any]:
        status = service.status()
        return {"state": status.state, "note": status.note, "running": status.running, "waiting": status.waiting}

    @get(router, "/health/live")
    @get(router, "/health")
    async def health() -> dict[str, Any]:
        """Return the server's state; 200 for as long as it runs."""
        return described()

    @get(router, "/health/ready", responses=NOT_READY)
    @get(router, "/ready", responses=NOT_READY)
    async def ready() -> Response:
        """Return whether a request would be answered at once: 200, or 503 while the model loads or cannot be loaded."""
        if draining is not None and draining():
            return JsonResponse(described() | {"note": "The server is being stopped."}, 503)
        if service.status().state == "stopped":
            service.start()  # a load balancer sends requests only to ready servers, so none would start the model
        status = described()
        return JsonResponse(status, 200 if status["state"] == "ready" else 503)

    return router
