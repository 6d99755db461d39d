"""``/health`` and ``/ready``: how the server is, and whether it can answer now."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from map_core.server.http import JsonResponse, get
from map_core.service.service import GenerationService


def status_router(service: GenerationService) -> APIRouter:
    """Return the routes; they need no key."""
    router = APIRouter(tags=["status"])

    def described() -> dict[str, Any]:
        status = service.status()
        return {"state": status.state, "note": status.note, "running": status.running, "waiting": status.waiting}

    @get(router, "/health")
    async def health() -> dict[str, Any]:
        """Say how the server is; 200 for as long as it runs."""
        return described()

    @get(router, "/ready")
    async def ready() -> Response:
        """Say whether a request would be answered at once: 200, or 503 while the model loads or cannot be loaded."""
        if service.status().state == "stopped":
            service.start()  # no request would start it: balancers send them only to those that are ready
        status = described()
        return JsonResponse(status, 200 if status["state"] == "ready" else 503)

    return router
