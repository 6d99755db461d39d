"""The middleware that admits requests to everything the app serves: pages, sockets, uploads, media, files.

A request is admitted when its host and origin are the app's own and its sender is known
(:mod:`pages.view.shell.identity`); the sender is passed on in a signed header. Others get a sentence and the login. A
socket is closed when its login expires or is ended in any tab. Only the health check is open. Constraint: it wraps the
whole app, so that no route can be forgotten; nothing of the app runs for a refused request.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from http.cookies import SimpleCookie
from urllib.parse import quote, unquote

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.auth_util import validate_auth_credentials
from streamlit.errors import StreamlitAuthError, StreamlitMissingAuthlibError
from streamlit.user_info import generate_login_redirect_url

from map_core.access import audit
from map_core.errors import InputError
from map_core.text.access import AccessRefusal, login_failure
from pages.view.shell import (
    hosts,
    identity,
    login_page,
    login_providers,
    logins,
    settings_check,
    sockets,
    visitor_header,
)
from pages.view.shell.identity import Recognised

#: Paths of Streamlit's login; a link to it is valid for two minutes only, so links lead to identity.LOGIN instead.
CALLBACK, LOGOUT, STREAMLIT_LOGIN = "oauth2callback", "auth/logout", "auth/login"
HEALTH = "_stcore/health"
#: The cookie with the page to return to after a login, and its maximum length.
RETURN_COOKIE, MAX_RETURN = "vp_return", 3000
#: The cookie by which other tabs recognise a logout, and do not merely ask for a login.
LOGGED_OUT_COOKIE = "vp_logged_out"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

log = logging.getLogger("value_palette")
#: The errors of Streamlit's login in this request, which Streamlit only logs.
_failure: ContextVar[list[BaseException] | None] = ContextVar("login_failure", default=None)


class _FailureFilter(logging.Filter):
    """Collect the error of a login that Streamlit logs, for the request that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Collect the error; the record is logged all the same."""
        held = _failure.get()
        if held is not None and record.exc_info and record.exc_info[1] is not None:
            held.append(record.exc_info[1])
        return True


logging.getLogger("streamlit.web.server.starlette.starlette_auth_routes").addFilter(_FailureFilter())


class Gate:
    """The middleware.

    Args:
        app: to protect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = visitor_header.without(scope)
        request = HTTPConnection(scope)
        path = _path(scope)
        if path == HEALTH:
            await self._app(scope, receive, send)
            return
        refusal = _foreign(request)
        if refusal is None and scope["type"] == "http" and login_providers.has_login():
            if path == identity.LOGIN:
                await self._begin(request, send, receive)
                return
            if path in (CALLBACK, STREAMLIT_LOGIN):
                await self._login(request, path, receive, send)
                return
        if refusal is not None:
            await _refuse(request, Recognised(None, refusal), 403, receive, send)
            return
        known = _recognised(request)
        if path == LOGOUT and scope["type"] == "http":
            await self._logout(request, known, receive, send)
            return
        if known.visitor is None:
            await _refuse(request, known, _status(known), receive, send)
            return
        if not (path or scope.get("query_string")) and (back := _return_path(request)) and scope["type"] == "http":
            answer = RedirectResponse(back, 303)
            answer.delete_cookie(RETURN_COOKIE, path=_base() or "/")
            await answer(scope, receive, send)
            return
        scope = {**visitor_header.add(scope, known.visitor), "client": (identity.browser_address(request), 0)}
        if scope["type"] == "websocket":
            await sockets.serve(self._app, scope, receive, send, known)
        else:
            await self._app(scope, receive, send)

    async def _begin(self, request: HTTPConnection, send: Send, receive: Receive) -> None:
        """Redirect a browser to the login of the provider that it names."""
        requested, offered = request.query_params.get("provider", ""), login_providers.providers()
        name = requested if requested in offered else next(iter(offered), "")
        try:
            validate_auth_credentials(name or "default")
            answer: Response = RedirectResponse(generate_login_redirect_url(name or "default"), 303)
        except (StreamlitAuthError, StreamlitMissingAuthlibError) as error:
            log.error("The login is not set up: %s", error)
            answer = _page(AccessRefusal.MISCONFIGURED, 503)
        await answer(request.scope, receive, send)

    async def _login(self, request: HTTPConnection, path: str, receive: Receive, send: Send) -> None:
        """Let Streamlit begin or complete a login, and answer with the reason where that failed."""
        held: list[BaseException] = []
        token = _failure.set(held)
        answer = _Answer()
        try:
            await self._app(request.scope, receive, answer.take)
        except Exception as error:
            log.exception("A login failed.")
            held.append(error)
            answer = _Answer()
        finally:
            _failure.reset(token)
        new = Recognised(None)
        if path == STREAMLIT_LOGIN:
            # With a link that is too old Streamlit goes back to the app's own page instead of to the provider's.
            done = answer.status in (302, 303) and dict(answer.headers).get("location", "").startswith("http")
            refusal = AccessRefusal.UNREACHABLE if held or answer.status >= 400 else AccessRefusal.STALE
        else:
            new = identity.of_cookies(answer.cookies)
            done, refusal = new.visitor is not None, _callback_refusal(request, held)
        if done:
            if path == CALLBACK:
                audit.record(new.visitor.id if new.visitor else "", "log in")
            await answer.pass_on(send)
            return
        if refusal is not AccessRefusal.LOGGED_OUT:
            audit.record("", "log in failed", what=refusal.name.lower())
        await _page(refusal, 200 if refusal is AccessRefusal.LOGGED_OUT else 401)(request.scope, receive, send)

    async def _logout(self, request: HTTPConnection, known: Recognised, receive: Receive, send: Send) -> None:
        """End a login in all its tabs, and let Streamlit log out."""
        logins.end(known.login)
        if known.visitor is not None:
            audit.record(known.visitor.id, "log out")
        if login_providers.has_login():
            answer = _Answer()
            await self._app(request.scope, receive, answer.take)
            answer.add_cookie(LOGGED_OUT_COOKIE, _base() or "/")
            await answer.pass_on(send)
        else:
            await RedirectResponse(_base() + "/", 303)(request.scope, receive, send)


class _Answer:
    """A buffered answer of the app, which is sent only if it is the right one."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def take(self, message: Message) -> None:
        """Buffer a message of the answer."""
        self._messages.append(message)

    async def pass_on(self, send: Send) -> None:
        """Send the answer."""
        for message in self._messages:
            await send(message)

    def add_cookie(self, name: str, path: str) -> None:
        """Add a cookie that is valid for a minute."""
        for message in self._messages:
            if message["type"] == "http.response.start":
                cookie = f"{name}=1; Max-Age=60; Path={path}; HttpOnly; SameSite=Lax"
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode("latin-1"))]

    @property
    def status(self) -> int:
        """Its status code; 0 where there is none."""
        return int(self._messages[0]["status"]) if self._messages else 0

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Its headers, names in lower case."""
        raw = self._messages[0].get("headers", ()) if self._messages else ()
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets."""
        held: SimpleCookie = SimpleCookie()
        for name, value in self.headers:
            if name == "set-cookie":
                held.load(value)
        return {name: morsel.value for name, morsel in held.items()}


def _callback_refusal(request: HTTPConnection, failures: list[BaseException]) -> AccessRefusal:
    """Return the refusal where a provider sent a browser back without a login."""
    if failures:
        return login_failure(failures[-1])
    if "error" in request.query_params:
        # Errors caused by the person; others come from the settings. RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6.
        own = ("access_denied", "login_required", "interaction_required", "consent_required")
        return AccessRefusal.STOPPED if request.query_params["error"] in own else AccessRefusal.REJECTED
    # After a logout the provider redirects here as well, without parameters.
    return AccessRefusal.STALE if request.query_params.keys() & {"code", "state"} else AccessRefusal.LOGGED_OUT


def _foreign(request: HTTPConnection) -> AccessRefusal | None:
    """Return why the host or origin of a request is refused; None where both are the app's own."""
    if not hosts.is_allowed_host(request):
        return AccessRefusal.FOREIGN_HOST
    unsafe = request.scope["type"] == "websocket" or request.scope["method"] not in SAFE_METHODS
    return AccessRefusal.FOREIGN_ORIGIN if unsafe and not hosts.is_own_origin(request) else None


def _recognised(request: HTTPConnection) -> Recognised:
    try:
        settings_check.check_settings()
        known = identity.recognise(request)
    except InputError as error:
        log.error("The app is closed: %s", error)
        return Recognised(None, AccessRefusal.MISCONFIGURED)
    return Recognised(None, AccessRefusal.LOGGED_OUT) if logins.is_ended(known.login) else known


def _status(known: Recognised) -> int:
    needs_login = (AccessRefusal.LOG_IN, AccessRefusal.LOGGED_OUT, AccessRefusal.EXPIRED)
    return 401 if known.refusal in needs_login else 503 if known.refusal is AccessRefusal.MISCONFIGURED else 403


async def _refuse(request: HTTPConnection, known: Recognised, status: int, receive: Receive, send: Send) -> None:
    """Answer a request that is not admitted: a page for a browser that opens one, else a sentence; close a socket."""
    refusal = known.refusal or AccessRefusal.LOG_IN
    if refusal is AccessRefusal.LOG_IN and LOGGED_OUT_COOKIE in request.cookies:
        refusal = AccessRefusal.LOGGED_OUT
    if request.scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.value[:100]})
        return
    method = request.scope["method"]
    if method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
        answer = _page(refusal, status)
        if status == 401 and (back := _to_return(request.scope)):
            answer.set_cookie(RETURN_COOKIE, back, 900, path=_base() or "/", httponly=True, samesite="lax")
    else:
        answer = login_page.plain_refusal(refusal, status)
    await answer(request.scope, receive, send)


def _page(refusal: AccessRefusal, status: int) -> Response:
    offered = login_providers.providers() if status in (200, 401) else ()
    return login_page.login_page(refusal, f"{_base()}/{identity.LOGIN}", offered, status)


def _base() -> str:
    """Return the base path of the app; "" for the root."""
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def _path(scope: Scope) -> str:
    """Return the path of a request below the base path, without slashes at its ends."""
    return str(scope["path"]).removeprefix(_base()).strip("/")


def _to_return(scope: Scope) -> str:
    """Return the address of a request for the return cookie; "" where it is the first page or too long."""
    query = scope.get("query_string", b"").decode("latin-1")
    back = quote(f"{scope['path']}?{query}" if query else str(scope["path"]), safe="")
    return "" if len(back) > MAX_RETURN or (not query and not _path(scope)) else back


def _return_path(request: HTTPConnection) -> str:
    """Return the address to return to after a login; "" where there is none, or it leads out of the app."""
    back = unquote(request.cookies.get(RETURN_COOKIE, ""))
    inside = back.startswith(f"{_base()}/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    return back if inside else ""
