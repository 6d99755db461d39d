"""Disable the telemetry of libraries."""

from __future__ import annotations

import sys


def disable() -> None:
    """Prevent OpenVINO's telemetry from loading, which would start a process that reports use; call before openvino."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def disable_hub() -> None:
    """Prevent TRL's trainers from reporting their use to the hub; call before one is made."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
