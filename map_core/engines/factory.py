"""Open the engine that suits a model and this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from map_core.engines.base import Engine
from map_core.errors import EngineError, InputError
from map_core.models.endpoint import address_of
from map_core.models.files import ModelFiles
from map_core.models.packaged import DEFAULT_MODEL


def open_engine(
    model: str = DEFAULT_MODEL,
    engine: str = "auto",
    dtype: str | None = None,
    device: str | None = None,
    *,
    draws: bool = True,
    cache_gigabytes: int = 1,
    request_extra: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    trusted: bool = False,
) -> Engine:
    """Load a model into the engine that suits this machine, or connect to it on its server.

    Args:
        model: a name from ``models list``, a folder, the name of a hub model that is on this machine, or NAME@URL for a
            model on an OpenAI-compatible server, see :mod:`map_core.engines.remote_engine`.
        engine: "torch", "openvino", "remote", or "auto": remote for NAME@URL, torch if there is a CUDA device, else
            OpenVINO if it is installed and supports the model, else torch.
        dtype: "float32" or "bfloat16"; None for the engine's default.
        device: "cpu", "cuda", "cuda:1" or "auto" (distributed over all GPUs), which implies the engine torch; None for
            the default of the machine.
        draws: whether it is to draw replies; False saves memory where it only scores some.
        cache_gigabytes: memory for keys and values in the engine openvino; 0 for as much as the largest call takes.
        request_extra: further fields of every request to a server, such as ``chat_template_kwargs``.
        timeout: seconds to wait for the next piece of a server's answer; None for the default.
        trusted: whether the user who runs this program named the model for this call, so that its server may be called;
            else only listed servers are called, see :mod:`map_core.models.endpoint`.

    Raises:
        InputError: a server that is not listed, an unknown engine, a model that the requested engine does not support,
            a dtype or a device for a server, or a device that does not exist.
        MissingModelError: the weights are not on this machine.
        EngineError: the files are damaged, the engine is not installed, or the server cannot be reached.
    """
    if engine not in ("auto", "torch", "openvino", "remote"):
        raise InputError(f"The engine is {engine!r}; expected auto, torch, openvino or remote.")
    if engine == "remote" or address_of(model):
        if engine not in ("auto", "remote"):
            raise InputError(f"The model {model} is on a server and the engine is {engine!r}; expected auto or remote.")
        if dtype is not None or device is not None:
            setting = f"dtype is {dtype!r}" if dtype is not None else f"device is {device!r}"
            raise InputError(f"The {setting}; a server decides on its own. Leave it out.")
        from map_core.engines.remote_engine import TIMEOUT, RemoteEngine

        return RemoteEngine(model, timeout=timeout or TIMEOUT, extra=request_extra, trusted=trusted)
    if request_extra:
        raise InputError(
            f"Extra request fields ({', '.join(request_extra)}) are given for {model}, which is on this machine and "
            "gets no requests. Leave them out, or name a model on a server: NAME@URL."
        )
    from map_core.models import files as model_files

    files = model_files.locate(model)
    if device is not None and engine == "openvino":
        raise InputError(f"The device is {device!r}, which goes with the engine torch; OpenVINO runs on the processor.")
    if engine == "auto":
        engine = "torch" if device is not None else _suited(files)
    if engine == "openvino":
        from map_core.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(files, dtype=dtype, cache_gigabytes=cache_gigabytes, draws=draws)
    from map_core.engines.torch_engine import TorchEngine

    return TorchEngine(files, dtype=dtype, device=device)


def _suited(files: ModelFiles) -> str:
    from map_core.models.conversion import can_convert

    if _cuda_is_likely():
        import torch

        if torch.cuda.is_available():
            return "torch"
    if importlib.util.find_spec("openvino_genai") is not None and can_convert(files.folder):
        return "openvino"
    if importlib.util.find_spec("torch") is None:
        raise EngineError("Neither torch nor openvino_genai is installed. Run: pip install -r requirements.txt")
    return "torch"


def _cuda_is_likely() -> bool:
    """Return whether there is a driver's device file or library, so that loading torch to check is worth the time."""
    import ctypes.util
    from pathlib import Path

    return Path("/dev/nvidia0").exists() or any(ctypes.util.find_library(name) for name in ("cuda", "nvcuda"))
