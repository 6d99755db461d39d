"""What goes wrong between here and a server, in words; the key stands in none of them.

Constraint: openai is imported when there is something to word, as the client that raised it is loaded then.
"""

from __future__ import annotations

from collections.abc import Iterable

from map_core.errors import EngineError, InputError, PaletteError, TryAgainError
from map_core.models.endpoint import MODEL_KEY, Address, Connection, key_advice
from map_core.models.server_reasons import redacted, server_reason


class RemoteErrors:
    """Words what the openai client raises.

    Args:
        address: of the model.
        server: URL and key with which it is called.
        attempts: how often the client asks in all.
    """

    def __init__(self, address: Address, server: Connection, attempts: int) -> None:
        self._address, self._server, self._attempts = address, server, attempts

    def in_words(self, error: Exception, opened: bool, offered: Iterable[str] = ()) -> PaletteError:
        """Word an error.

        Args:
            error: what the client raised.
            opened: the answer had begun.
            offered: the models that the server lists.
        """
        import openai

        url, name = self._address.url, self._address.name
        if isinstance(error, openai.APIStatusError):
            status, detail = error.status_code, self._detail(error.body)
            if status in (401, 403):
                variable = self._server.key_variable
                what = f"refuses the key in {variable}" if variable else "wants a key and there is none"
                return EngineError(
                    f"The server {url} {what} ({status}). Set {MODEL_KEY} to a key of it, or, with models or judges on "
                    f"several hosts, say whose it is. {key_advice(self._address)}"
                )
            if status == 404:
                listed = ", ".join(sorted(offered))
                return InputError(
                    f"The server {url} has no model {name!r}, or no chat at this address (404{detail})."
                    f"{f' It offers {listed}.' if listed else ''} Check the name, and the address, which mostly ends "
                    "in /v1."
                )
            if status in (408, 409, 429) or status >= 500:
                return TryAgainError(
                    f"The server {url} could not answer ({status}{detail}), asked up to {self._attempts} times. Try "
                    "again later, or with fewer candidates."
                )
            return InputError(
                f"The server {url} refuses the request ({status}{detail}). Change the prompt or the settings."
            )
        if isinstance(error, openai.APITimeoutError):
            return TryAgainError(
                f"The server {url} did not answer in time. Check that it runs and try again, or with fewer candidates."
            )
        reason = self._detail(getattr(error, "body", None)) or f": {self.redacted(str(error.__cause__ or error))}"
        if opened or not isinstance(error, openai.APIConnectionError):
            return TryAgainError(f"The stream of the server {url} broke off{reason}. Try again.")
        return TryAgainError(f"The server {url} cannot be reached{reason}. Start it, or check the address.")

    def _detail(self, body: object) -> str:
        """Return the server's reason for a failure as the rest of a sentence; empty where there is none."""
        reason = server_reason(body, self._server)
        return f": {reason}" if reason else ""

    def redacted(self, text: str) -> str:
        """Return a text of the server's as one line without the key."""
        return redacted(text, self._server)
