"""Describe how workers open their model, as plain data that can be sent to another machine.

Constraint: the model is opened only by :meth:`ModelSpec.open`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from map_core.engines.base import Engine
from map_core.engines.factory import open_engine


@dataclass(frozen=True)
class ModelSpec:
    """A model and the arguments with which :func:`map_core.engines.factory.open_engine` opens it.

    ``trusted`` is for a machine of a cluster, which has no list of the servers that may be called.
    """

    model: str
    engine: str = "auto"
    dtype: str | None = None
    device: str | None = None
    trusted: bool = False
    request_extra: Mapping[str, Any] | None = None
    timeout: float | None = None

    def open(self) -> Engine:
        """Open the model."""
        return open_engine(
            self.model,
            self.engine,
            self.dtype,
            self.device,
            request_extra=self.request_extra,
            timeout=self.timeout,
            trusted=self.trusted,
        )
