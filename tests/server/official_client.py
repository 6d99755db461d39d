"""OpenAI's official client for Python, speaking to a server in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx2
import openai
from starlette.testclient import TestClient


class _InProcess(httpx2.BaseTransport):
    """Carries a request to Starlette's client, and the answer back."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        answer = self._client.request(
            request.method, request.url.raw_path.decode(), content=request.read(), headers=headers
        )
        kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx2.Response(answer.status_code, headers=kept, content=answer.content, request=request)


@contextlib.contextmanager
def official(client: TestClient) -> Iterator[openai.OpenAI]:
    """OpenAI's client for a server that Starlette's client reaches; a stream is read to its end first."""
    with (
        httpx2.Client(transport=_InProcess(client)) as transport,
        openai.OpenAI(base_url="http://localhost/v1", api_key="none", max_retries=0, http_client=transport) as api,
    ):
        yield api
