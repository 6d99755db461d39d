"""``/docs``: the server's endpoints and their fields on one page, generated from ``/openapi.json``.

FastAPI's own pages load scripts and styles from other sites, which fails without a network and under a strict content
security policy. Constraint: one page of plain HTML, no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from map_core.server.http import get

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #8888;padding:.2rem .5rem;text-align:left}"
    ":root{color-scheme:light dark}"
)


def reference_router(app: FastAPI) -> APIRouter:
    """Return the route of the page on an application."""
    router = APIRouter(include_in_schema=False)

    @get(router, "/docs")
    async def docs() -> HTMLResponse:
        """Show the endpoints and their fields."""
        return HTMLResponse(reference_page(app.openapi()))

    return router


def reference_page(description: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI description."""
    title = escape(str(description["info"]["title"]))
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>',
        f'<h1>{title}</h1><p>For programs: <a href="/openapi.json">/openapi.json</a>.</p>',
    ]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>")
            parts += _fields(operation)
    return "\n".join([*parts, "</body></html>"])


def _fields(operation: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of a body's fields."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    if not schema.get("properties"):
        return
    yield "<table><tr><th>field</th><th>meaning</th></tr>"
    for name, field in schema["properties"].items():
        required = " (required)" if name in schema.get("required", ()) else ""
        yield f"<tr><td><code>{escape(name)}</code>{required}</td><td>{escape(field.get('description', ''))}</td></tr>"
    yield "</table>"
