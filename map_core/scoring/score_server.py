"""Call the server of a judge or of a served value: its address, its client, its errors.

Constraint: openai loads when a server is first called; the key comes only from the environment and is in no table, log
or message.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.errors import EngineError, InputError
from map_core.models.endpoint import Address, Connection, connection, key_advice
from map_core.models.endpoint import address_of as address_in
from map_core.models.refused_fields import OptionalField, RefusedFields
from map_core.models.server_reasons import server_reason
from map_core.scoring.settings import Setting
from map_core.scoring.shared_models import ScoringModels

_RETRIES = 4


@dataclass(frozen=True)
class ScoreServer:
    """A server: its connection, its client, and the fields that it refuses."""

    connection: Connection
    client: Any
    fields: RefusedFields

    def __post_init__(self) -> None:
        # Closes the client's connections with this object, and not at some later garbage collection.
        weakref.finalize(self, self.client.close)


def model_address(
    name: str, given: Mapping[str, Any], settings: Mapping[str, Setting], needed: Sequence[str]
) -> Address:
    """Return the address of a value's model.

    Args:
        name: the value's name.
        given: its settings.
        settings: all settings of its family.
        needed: names of the required ones.

    Raises:
        InputError: a required setting is missing, or the model names no server.
    """
    for key in needed:
        if key not in given:
            raise InputError(f"The value {name!r} lacks {key!r}; expected {settings[key].words}.")
    address = address_in(given["model"])
    if address is None:
        raise InputError(f"model of {name!r} is {given['model']!r}; expected {settings['model'].words}.")
    return address


def open_server(
    models: ScoringModels,
    address: Address,
    kind: tuple[Hashable, ...],
    url_of: Callable[[str], str],
    optional: Sequence[OptionalField],
    seconds: float,
    *,
    trusted: bool,
) -> ScoreServer:
    """Open a server, or return the one that was opened for another value.

    Args:
        models: shares it among all values of the same server.
        address: of its model.
        kind: distinguishes it from other uses of this address.
        url_of: from the server's URL to the base URL of requests.
        optional: fields of a request that it may refuse.
        seconds: to wait for an answer.
        trusted: the operator of this program named this value, so that its server may be called.

    Raises:
        EngineError: openai is not installed, or the server may not be called.
    """
    try:
        import openai
    except ImportError as error:
        raise EngineError("openai is not installed. Run: pip install -r requirements.txt") from error
    server = connection(address, trusted=trusted, judge=True)
    return models.shared(
        (*kind, server, address.name, seconds),
        lambda: ScoreServer(
            server,
            openai.OpenAI(base_url=url_of(server.url), api_key=server.key, max_retries=_RETRIES, timeout=seconds),
            RefusedFields(optional),
        ),
    )


def send(
    server: ScoreServer,
    body: dict[str, Any],
    call: Callable[[dict[str, Any]], Any],
    address: Address,
    *,
    who: str,
    fails: str,
    mend: str,
) -> Any:
    """Send a request without the fields that the server refuses, and return the answer.

    Args:
        server: from :func:`open_server`.
        body: the full request.
        call: sends one form of it.
        address: of the model.
        who: the server as the subject of an error message.
        fails: the predicate of the message on a refusal.
        mend: a sentence on what to do.

    Raises:
        EngineError: the server refuses, does not answer, or its answer is not JSON.
    """
    import openai

    try:
        return server.fields.send(body, call)
    except openai.APIStatusError as error:
        reason, refused = server_reason(error.body, server.connection), error.status_code in (401, 403)
        answer = f"{'the key is refused, ' if refused else ''}it answers {error.status_code}"
        advice = f"{key_advice(address)} " if refused else ""
        raise EngineError(f"{who} {fails}: {answer}{f': {reason}' if reason else ''}. {advice}{mend}") from error
    except openai.APIError as error:
        raise EngineError(f"{who} does not answer ({type(error).__name__}). {mend}") from error
    except ValueError as error:
        raise EngineError(f"{who} answers with what is no JSON. {mend}") from error
