"""The page for visitors who are not admitted: the reason, and the login where there is one; plain HTML, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from map_core.text.access import AccessRefusal

#: The page loads nothing and sends nothing; a link leads to the provider.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1D2530; --paper: #FBFAF7; --line: #DCD8CE; --blue: #1F5673; --on: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #E6E8EA; --paper: #12171D; --line: #313B47; --blue: #63A7CB;
  --on: #12171D } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.05rem/1.55 'Hanken Grotesk', system-ui,
  sans-serif; display: grid; min-height: 100vh; place-items: center }
main { box-sizing: border-box; width: min(34rem, 100%); padding: 2rem 1.5rem }
h1 { font: 600 2rem/1.2 Newsreader, Georgia, serif; margin: 0 0 .75rem }
p { margin: 0 0 1.25rem }
a { display: inline-block; padding: .6rem 1.3rem; margin: 0 .6rem .6rem 0; border-radius: .5rem;
  background: var(--blue); color: var(--on); text-decoration: none; font-weight: 600 }
a:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px }
"""


def login_page(refusal: AccessRefusal, login: str, providers: Sequence[str], status: int) -> Response:
    """Return the page.

    Args:
        refusal: why it is shown.
        login: the address that begins a login.
        providers: of logins; none where there is no login.
        status: of the response.
    """
    links = "".join(
        f'<a href="{escape(login)}?provider={quote(name)}">Log in{_with(name) if len(providers) > 1 else ""}</a>'
        for name in providers
    )
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Value Palette</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{_STYLE}</style></head><body><main><h1>Value Palette</h1><p role="status">{escape(refusal)}</p>'
        f"{links}</main></body></html>",
        status,
        _headers(),
    )


def plain_refusal(refusal: AccessRefusal, status: int) -> Response:
    """Return the sentence alone, for requests that are not for a page."""
    return PlainTextResponse(refusal.value, status, _headers())


def _headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _with(name: str) -> str:
    return "" if name == "default" else f" with {escape(name.capitalize())}"
