"""Messages for people to whom access is denied or whose login failed."""

from __future__ import annotations

import re
from enum import StrEnum

from map_core.access import settings

OPEN_BY = (
    "To whoever runs it: set up a login or a trusted proxy, or let everybody in as a guest with "
    f"{settings.OPEN}=1. docs/security.md has the steps."
)


class AccessRefusal(StrEnum):
    """Why a request is refused, in a sentence or two."""

    LOG_IN = "Please log in."
    LOGGED_OUT = "You are logged out."
    EXPIRED = "Your login has ended. Please log in again."
    CLOSED = f"This app can be reached by other machines and has no login, so it is closed. {OPEN_BY}"
    FORWARDED = f"This request came through a proxy, and the app has no login, so it is closed. {OPEN_BY}"
    NO_PROXY = (
        "This app is opened through a proxy that identifies you, and this request came without it. Use the address "
        "that you were given."
    )
    FOREIGN_PROXY = (
        "This request names its user, but came from an address that is not trusted. To whoever runs the app: "
        f"{settings.PROXIES} lists the proxies."
    )
    FOREIGN_HOST = (
        "This app does not answer under this name. To whoever runs it: "
        f"{settings.ALLOWED_HOSTS} lists the names under which it may be opened."
    )
    FOREIGN_ORIGIN = "This request was sent by a page of another site, so it is refused."
    MISCONFIGURED = (
        "The settings of who may use this app cannot be read, so it is closed. Whoever runs it finds the reason in "
        "its log."
    )
    STOPPED = "The login was stopped before it was complete. You can begin it again."
    REJECTED = (
        "The login service refused this app's request; the reason is in the app's log. Tell whoever runs this app."
    )
    STALE = "This login was begun in another window, or too long ago. Please begin it again."
    UNREACHABLE = (
        "The login service is not answering. Try again in a moment; if that does not help, tell whoever runs this app."
    )
    EXPIRED_TOKEN = (
        "The login service sent a login that had already ended. Please begin it again; if that does not help, the "
        "clock of this server or of the login service is wrong. Tell whoever runs this app."
    )
    CLOCK = (
        "The login service sent a login that has not begun yet: its clock and the clock of this server differ. "
        "Tell whoever runs this app."
    )
    WRONG_TOKEN = (
        "The login service sent a login that is not for this app or has no valid signature, so it was refused. Tell "
        "whoever runs this app."
    )
    FAILED = "The login did not work. Please try again; if that does not help, tell whoever runs this app."


#: Patterns of exception names of a failed login, with their messages; the first match counts.
_MEANINGS = (
    (r"Connect|Timeout|Network|Protocol|ReadError|HTTPStatus|JSONDecode", AccessRefusal.UNREACHABLE),
    (r"ExpiredToken", AccessRefusal.EXPIRED_TOKEN),
    (r"MismatchingState", AccessRefusal.STALE),
    (
        r"BadSignature|InvalidKeyId|DecodeError|UnsupportedAlgorithm|MissingClaim|InvalidToken|MissingKey",
        AccessRefusal.WRONG_TOKEN,
    ),
)


def login_failure(error: BaseException | None) -> AccessRefusal:
    """Return the message on a login that failed.

    Args:
        error: what the check of the provider's answer raised; None where it is not known.
    """
    if error is None:
        return AccessRefusal.FAILED
    name = type(error).__name__
    if "InvalidClaim" in name:
        return AccessRefusal.CLOCK if getattr(error, "claim", "") in ("iat", "nbf") else AccessRefusal.WRONG_TOKEN
    return next((refusal for pattern, refusal in _MEANINGS if re.search(pattern, name)), AccessRefusal.FAILED)
