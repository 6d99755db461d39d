"""Convert errors of the openai client to errors with messages for the user, which never contain the key.

Constraint: openai is imported only for a conversion, when the client that raised the error is loaded anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from map_core.errors import EngineError, InputError, PaletteError, TryAgainError
from map_core.models.endpoint import MODEL_KEY, Address, Connection, key_advice
from map_core.models.server_reasons import redacted, server_reason


class RemoteErrors:
    """Converts errors of the openai client.

    Args:
        address: the model's address.
        server: URL and key of its server.
        attempts: total number of the client's attempts.
    """

    def __init__(self, address: Address, server: Connection, attempts: int) -> None:
        self._address, self._server, self._attempts = address, server, attempts

    def in_words(self, error: Exception, opened: bool, offered: Iterable[str] = ()) -> PaletteError:
        """Return the error of this project for an error of the client.

        Args:
            error: the client's error.
            opened: whether the answer had begun.
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
        """Return the server's reason for a failure as the end of a sentence; empty if there is none."""
        reason = server_reason(body, self._server)
        return f": {reason}" if reason else ""

    def redacted(self, text: str) -> str:
        """Return a server's text as one line without the key."""
        return redacted(text, self._server)
