"""What a library would tell its makers about its use stays here: nothing of the product calls anybody by itself."""

from __future__ import annotations

import sys


def disable() -> None:
    """Keep OpenVINO's telemetry from being loaded; it would fork a process that calls home. Call before openvino."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
