"""Run third-party servers with the tiny model, each in its own process on 127.0.0.1, for a ``with`` block.

``transformers serve`` is that of the tests' environment; llama.cpp's server comes with the package xllamacpp and
LiteLLM with its own, both in environments of their own (:mod:`tests.environments`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.environments import python_environment
from tests.tiny_gguf import write_tiny_gguf
from tests.tiny_model import TEMPLATE, make_tiny_model

XLLAMACPP = ("xllamacpp==2026.10.11549",)
LITELLM = ("litellm[proxy]==1.108.7",)
#: Timeout of a server's start, in seconds.
START = 120
#: LiteLLM requires a key; the other servers accept any.
KEY = "sk-tests"
#: The chat template of a reasoning model; a request can switch the reasoning off.
THINKING = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' and message.reasoning_content %}"
    "{{ '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}{% endif %}"
    "{{ message.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}"
    "{% else %}{{ '<think>\n' }}{% endif %}{% endif %}"
)

_LLAMA_CPP = """
import sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias = sys.argv[1], {"tiny"}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
params.n_parallel, params.n_ctx, params.warmup = 4, 1024, False
server = xllamacpp.Server(params)
while True:
    time.sleep(3600)
"""


@contextlib.contextmanager
def llama_cpp(folder: Path, template: str = TEMPLATE) -> Iterator[str]:
    """Run llama.cpp's server; the model is "tiny" with a context of 256 tokens.

    Args:
        folder: for its files.
        template: the model's chat template.

    Yields:
        The address, which ends in /v1.
    """
    programs = python_environment("xllamacpp", *XLLAMACPP, beside=False)
    model = make_tiny_model(folder / "tiny")
    (model / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_tiny_gguf(model, folder / "tiny.gguf")
    with _running(lambda port: [str(programs / "python"), "-c", _LLAMA_CPP, "tiny.gguf", str(port)], folder) as address:
        yield address


@contextlib.contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """Run ``transformers serve``; the model is "./tiny"."""
    make_tiny_model(folder / "tiny")
    program = Path(sys.executable).parent / "transformers"
    words = [str(program), "serve", "./tiny", "--host", "127.0.0.1", "--port"]
    with _running(lambda port: [*words, str(port)], folder) as address:
        yield address


@contextlib.contextmanager
def litellm(folder: Path, upstream: str, model: str = "tiny") -> Iterator[str]:
    """Run LiteLLM in front of another server; the model is "tiny".

    Args:
        folder: for its files.
        upstream: the other server's address, which ends in /v1.
        model: its name there.
    """
    programs = python_environment("litellm", *LITELLM, beside=False)
    behind = {"model": f"openai/{model}", "api_base": upstream, "api_key": "none"}
    config = {"model_list": [{"model_name": "tiny", "litellm_params": behind}]}
    (folder / "litellm.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is valid YAML
    words = [str(programs / "litellm"), "--config", "litellm.yaml", "--host", "127.0.0.1", "--port"]
    with _running(lambda port: [*words, str(port)], folder, "/health/liveliness") as address:
        yield address


@contextlib.contextmanager
def _running(command: Callable[[int], list[str]], folder: Path, health: str = "/health") -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    quiet = {"HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_COLOR": "1", "LITELLM_MASTER_KEY": KEY}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command(port), cwd=folder, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **quiet}
        )
    try:
        _wait(f"http://127.0.0.1:{port}{health}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"The server did not start: {log.read_text(errors='replace')[-1000:]}")
