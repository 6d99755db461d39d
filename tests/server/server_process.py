"""A process of ``python -m map_core serve`` for tests, and its official client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from tests import ROOT

HELLO: Any = [{"role": "user", "content": "How are you?"}]
KEY = "a key that nobody guesses"


@dataclass
class ServerProcess:
    """A running server process, its port and the name of its model."""

    process: subprocess.Popen[str]
    port: int
    model: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def client(self, key: str = "none") -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=120.0)

    def ask(self, messages: Any = HELLO, max_tokens: int | None = 12, stream: bool = False, **fields: Any) -> Any:
        """Return a completion by the official client; extra fields go into the body."""
        with self.client() as client:
            return client.chat.completions.create(
                model=fields.pop("model", self.model),
                messages=messages,
                max_tokens=max_tokens,
                **{name: fields.pop(name) for name in ("n", "seed", "stop", "temperature", "top_p") if name in fields},
                extra_body=fields,
            )

    def post(self, body: bytes, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
        """Return status and JSON of the response to a body given as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": "application/json"} | headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def health(self) -> dict[str, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/health")
            health: dict[str, Any] = json.loads(connection.getresponse().read())
        return health


@contextlib.contextmanager
def running_server(folder: Path, *options: str, **environment: str) -> Iterator[ServerProcess]:
    command = [sys.executable, "-m", "map_core", "serve", "--model", str(folder), "--engine", "openvino"]
    process = subprocess.Popen(
        [*command, "--dtype", "float32", "--port", "0", *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    reader = None
    try:
        while not (address := re.search(r"at http://127\.0\.0\.1:(\d+)/v1", lines[-1] if lines else "")):
            lines.append(process.stderr.readline())
            assert lines[-1], f"the server ended: {lines}"
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield ServerProcess(process, int(address[1]), folder.name)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        if reader is not None:
            reader.join(5)
        process.stderr.close()
    assert not any("Traceback" in line for line in lines), "".join(lines)
    assert not any(KEY in line for line in lines)
