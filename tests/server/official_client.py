"""OpenAI's official client for Python, connected to a server in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx2
import openai
from starlette.testclient import TestClient


class _InProcess(httpx2.BaseTransport):
    """A transport that sends requests through Starlette's client."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        response = self._client.request(
            request.method, request.url.raw_path.decode(), content=request.read(), headers=headers
        )
        response_headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx2.Response(
            response.status_code, headers=response_headers, content=response.content, request=request
        )


@contextlib.contextmanager
def openai_client(client: TestClient) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client for the server behind Starlette's client; streams are read to their end first."""
    with (
        httpx2.Client(transport=_InProcess(client)) as transport,
        openai.OpenAI(base_url="http://localhost/v1", api_key="none", max_retries=0, http_client=transport) as api,
    ):
        yield api
