"""``/v1/models``: the base model, alone and with each palette."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from map_core.server.errors import Refusal, shortened
from map_core.server.http import get
from map_core.server.steering import Steering


def model_router(steering: Steering) -> APIRouter:
    """Return the routes that list and describe models."""
    router, created = APIRouter(tags=["models"]), int(time.time())

    def described(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "value-palette"}

    @get(router, "/v1/models")
    async def models() -> dict[str, Any]:
        """List the base model, alone and with each palette."""
        return {"object": "list", "data": [described(name) for name in steering.models]}

    @get(router, "/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """Describe one model."""
        if name not in steering.models:
            known = ", ".join(steering.models)
            raise Refusal(
                f"There is no model {shortened(name)!r} here; there are {known}.",
                status=404,
                param="model",
                code="model_not_found",
            )
        return described(name)

    return router
