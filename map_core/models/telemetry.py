"""Disable the telemetry of libraries."""

from __future__ import annotations

import sys


def disable() -> None:
    """Prevent OpenVINO's telemetry from loading, which would start a process that reports use; call before openvino."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
