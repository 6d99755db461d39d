"""A fake OpenID Connect provider on loopback: it asks for a name, and can misbehave on request.

Discovery, keys, authorisation with PKCE, token and end of session, signed by joserfc as real providers are. Constraint:
state is that of one test; nothing is checked that the app should check.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.server_thread import ServerThread

CLIENT, SECRET = "value-palette", "a-secret-of-the-tests"


@dataclass
class Provider:
    """The state of a provider.

    Args:
        address: where it answers.
        token: claims that its tokens have instead of the right ones.
        forged: it signs with a key that it does not publish.
        broken: it answers with an error.
        refuses: the error with which it sends browsers back; "" for none.
        people: claims by mail address.
        ended: how many sessions were ended.
    """

    address: str = ""
    token: dict[str, Any] = field(default_factory=dict)
    forged: bool = False
    broken: bool = False
    refuses: str = ""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: int = 0
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)


def application(provider: Provider) -> FastAPI:
    """Return the provider's server."""
    app = FastAPI()
    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, private=True)
    other = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, private=True)

    @app.middleware("http")
    async def fail(request: Request, call_next: Any) -> Any:
        return JSONResponse({"error": "server_error"}, 500) if provider.broken else await call_next(request)

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, Any]:
        at = provider.address
        return {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/keys",
            "end_session_endpoint": f"{at}/end",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @app.get("/keys")
    def keys() -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False)]}

    @app.get("/authorize", response_model=None)
    def authorize(request: Request) -> HTMLResponse | RedirectResponse:
        asked = dict(request.query_params)
        if provider.refuses:
            query = urlencode({"error": provider.refuses, "state": asked["state"]})
            return RedirectResponse(f"{asked['redirect_uri']}?{query}", 302)
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(asked.get(name, ""))}">'
            for name in ("state", "nonce", "redirect_uri", "code_challenge", "client_id")
        )
        return HTMLResponse(
            f'<title>Provider</title><form method="post" action="/authorize">{fields}<label>Mail address'
            '<input name="email"></label><button>Continue</button></form>'
        )

    @app.post("/authorize")
    def consent(
        email: str = Form(),
        state: str = Form(),
        nonce: str = Form(),
        redirect_uri: str = Form(),
        code_challenge: str = Form(),
        client_id: str = Form(),
    ) -> RedirectResponse:
        code = secrets.token_urlsafe(16)
        provider.grants[code] = {
            "email": email,
            "nonce": nonce,
            "redirect_uri": redirect_uri,
            "challenge": code_challenge,
            "client": client_id,
        }
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': state})}", 303)

    @app.post("/token", response_model=None)
    async def token(request: Request) -> JSONResponse | dict[str, Any]:
        form = await request.form()
        grant = provider.grants.pop(str(form.get("code")), None)
        verifier = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            grant is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != grant["challenge"]
            or form.get("redirect_uri") != grant["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now, email = int(time.time()), grant["email"]
        claims = {
            "iss": provider.address,
            "sub": hashlib.sha256(email.encode()).hexdigest()[:12],
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": grant["nonce"],
            "email": email,
            "email_verified": True,
            "name": email.partition("@")[0].capitalize(),
            **provider.people.get(email, {}),
            **{name: now + value if name in ("iat", "exp", "nbf") else value for name, value in provider.token.items()},
        }
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, other if provider.forged else key)
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": signed,
        }

    @app.get("/end")
    def end(post_logout_redirect_uri: str = "", client_id: str = "") -> RedirectResponse:
        provider.ended += client_id == CLIENT
        return RedirectResponse(post_logout_redirect_uri, 302)

    return app


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider for a ``with`` block."""
    provider = Provider()
    with ServerThread(application(provider)) as server:
        provider.address = server.origin
        yield provider


def secrets_file(provider: Provider, app_address: str, extra_lines: str = "") -> str:
    """Return the section of Streamlit's secrets that an operator would write, and more lines of it."""
    return (
        "[auth]\n"
        f'redirect_uri = "{app_address}/oauth2callback"\n'
        'cookie_secret = "a long random text of the tests, at least 32 letters"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
        f'server_metadata_url = "{provider.address}/.well-known/openid-configuration"\n{extra_lines}'
    )
